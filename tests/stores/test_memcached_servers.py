"""What is spoken to Memcached, and what becomes of servers that do not speak as they should."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import pytest

from doorward.stores import memcached_connection, memcached_servers
from doorward.stores.memcached_connection import (
    MOST_WAITING,
    Place,
    read_version,
)
from doorward.stores.memcached_servers import Address, Servers, parse_memcached
from tests.memcached import MemcachedServer, a_memcached, missing

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

MINUTE = timedelta(minutes=1)
LONG = timedelta(minutes=5)
SHORT = timedelta(milliseconds=50)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections come back when they are next asked for, and what is only slow is waited for."""
    monkeypatch.setattr(memcached_servers, "PAUSE", timedelta(0))
    monkeypatch.setattr(memcached_servers, "CONNECT_TIMEOUT", LONG)
    monkeypatch.setattr(memcached_connection, "ANSWER_TIMEOUT", LONG)


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    return lambda: [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.fixture
def of_its_own() -> Iterator[MemcachedServer]:
    """A server that a test may stop."""
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    with a_memcached("-m", "8") as server:
        yield server


@asynccontextmanager
async def opened(*urls: str) -> AsyncIterator[Servers]:
    servers = Servers([address for url in urls for address in parse_memcached(url)])
    await servers.open()
    yield servers
    await servers.close()


@asynccontextmanager
async def scripted(script: Script, *, greeting: bytes = b"VERSION 1.6.18\r\n") -> AsyncIterator[Servers]:
    """Servers that speak by a script once they have been asked for their version."""
    speaking: list[asyncio.Task[None]] = []

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Whoever is in doubt hangs up in the middle.
        with suppress(ConnectionError):
            assert await reader.readline() in {b"version\r\n", b""}
            writer.write(greeting)
            await script(reader, writer)
        writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        speaking.append(asyncio.create_task(speak(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        async with opened(f"memcached://127.0.0.1:{server.sockets[0].getsockname()[1]}") as servers:
            yield servers
        await asyncio.gather(*speaking)


async def until_it_is_back(servers: Servers) -> None:
    async with asyncio.timeout(30):
        while await servers.look(b"nothing") is None:  # noqa: ASYNC110 -- it happens elsewhere
            await asyncio.sleep(0.001)


# One connection


@pytest.mark.anyio
async def test_a_place_is_filled_only_as_it_was_seen(memcached: MemcachedServer) -> None:
    async with opened(memcached.emptied()) as servers:
        seen = await servers.look(b"name")
        assert seen == Place()
        memcached.put("name", b"first")
        servers.fill(b"name", b"late", seen=seen, keep_for=MINUTE)
        place = await servers.look(b"name")
        assert place is not None
        assert place.value == b"first"
        memcached.put("name", b"second")
        servers.fill(b"name", b"late", seen=place, keep_for=MINUTE)
        place = await servers.look(b"name")
        assert place is not None
        assert place.value == b"second"
        servers.fill(b"name", b"in time", seen=place, keep_for=MINUTE)
        assert await servers.look(b"name") != place
        assert memcached.value("name") == b"in time"
        await servers.put([b"name", b"another"], b"\r\nEND\r\n", keep_for=MINUTE)
        assert (memcached.value("name"), memcached.value("another")) == (b"\r\nEND\r\n", b"\r\nEND\r\n")


@pytest.mark.anyio
async def test_whoever_stops_waiting_leaves_the_others_their_answers(memcached: MemcachedServer) -> None:
    memcached.emptied()
    for name in ("a", "b"):
        memcached.put(name, name.encode())
    async with opened(memcached.url) as servers:
        gone = asyncio.create_task(servers.look(b"a"))
        await asyncio.sleep(0)
        gone.cancel()
        place = await servers.look(b"b")
        assert place is not None
        assert place.value == b"b"


@pytest.mark.anyio
async def test_questions_beyond_the_bound_are_answered_with_nothing_at_once() -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with scripted(silent) as servers:
        waiting = [asyncio.create_task(servers.look(b"name")) for _ in range(MOST_WAITING)]
        await asyncio.sleep(0)
        assert await servers.look(b"one too many") is None
        assert not any(task.done() for task in waiting)
        await servers.close()
        assert set(await asyncio.gather(*waiting)) == {None}


@pytest.mark.anyio
async def test_answers_may_come_in_pieces_and_together() -> None:
    async def dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        names = [(await reader.readline()).split()[1] for _ in range(3)]
        said = b"".join(b"VALUE %b 0 %d 1\r\n%b\r\nEND\r\n" % (name, len(name), name) for name in names)
        for start in range(0, len(said), 5):
            writer.write(said[start : start + 5])
            await writer.drain()
            await asyncio.sleep(0)
        await reader.read()

    async with scripted(dribble) as servers:
        places = await asyncio.gather(*(servers.look(name) for name in (b"a", b"bcd", b"efghi")))
        assert [place.value for place in places if place] == [b"a", b"bcd", b"efghi"]


# An answer that belongs to another question, that is cut off, or that comes too late


async def _one_answer_too_many(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    writer.write(b"END\r\n" * 2)
    await reader.read()


async def _the_answer_to_another(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    writer.write(b"VALUE another 0 1 1\r\nx\r\nEND\r\n")
    await reader.read()


async def _half_an_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    writer.write(b"VALUE name 0 1")


async def _no_answer(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.readline()


@pytest.mark.anyio
@pytest.mark.parametrize("script", [_one_answer_too_many, _the_answer_to_another, _half_an_answer, _no_answer])
async def test_a_connection_in_doubt_is_not_used_again(script: Script, told: Callable[[], list[str]]) -> None:
    connections = 0

    async def in_turns(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        if connections == 1:
            await script(reader, writer)
            return
        while line := await reader.readline():
            writer.write(b"VALUE %b 0 1 1\r\nx\r\nEND\r\n" % line.split()[1])

    async with scripted(in_turns) as servers, asyncio.timeout(30):
        first = await servers.look(b"name")
        assert first is None or first.value is None
        while (place := await servers.look(b"name")) is None or place.value is None:  # noqa: ASYNC110 -- likewise
            await asyncio.sleep(0.001)
        assert (place.value, connections) == (b"x", 2)
        assert ["is left alone" in line for line in told()] == [True, False]


@pytest.mark.anyio
async def test_an_answer_that_comes_too_late_is_nobodys(
    monkeypatch: pytest.MonkeyPatch, told: Callable[[], list[str]]
) -> None:
    monkeypatch.setattr(memcached_connection, "ANSWER_TIMEOUT", SHORT)
    asked: list[bytes] = []

    async def too_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            asked.append(line)
            if b"first" in line:
                # Held back until nobody waits any more.
                await reader.read()
            writer.write(b"VALUE %b 0 1 1\r\nx\r\nEND\r\n" % line.split()[1])

    async with scripted(too_late) as servers:
        while not asked:
            assert await servers.look(b"first") is None
            await asyncio.sleep(0)
        await until_it_is_back(servers)
        place = await servers.look(b"second")
        assert place is None or place.value == b"x"
        assert any(f"no answer within {SHORT.total_seconds()} s" in line for line in told())


@pytest.mark.anyio
async def test_what_is_no_memcached_is_not_used(told: Callable[[], list[str]]) -> None:
    async def goes_on(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with scripted(goes_on, greeting=b"HTTP/1.1 400 Bad Request\r\n\r\n") as servers:
        assert await servers.look(b"name") is None
        assert "no Memcached answers there" in told()[0]


# Servers that come and go


@pytest.mark.anyio
async def test_a_server_that_is_not_there_costs_nothing_and_is_told_of_once(told: Callable[[], list[str]]) -> None:
    async with opened("memcached://127.0.0.1:1") as servers:
        for _ in range(20):
            assert await servers.look(b"name") is None
            await servers.put([b"name"], b"value", keep_for=MINUTE)
            servers.fill(b"name", b"value", seen=Place(), keep_for=MINUTE)
            await asyncio.sleep(0)
    assert len(told()) == 1


@pytest.mark.anyio
async def test_a_server_that_failed_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memcached_servers, "PAUSE", LONG)
    attempts = 0

    async def hangs_up(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        nonlocal attempts
        attempts += 1

    async with scripted(hangs_up, greeting=b"") as servers:
        for _ in range(50):
            assert await servers.look(b"name") is None
            await asyncio.sleep(0)
    assert attempts == 1


@pytest.mark.anyio
async def test_a_server_that_was_killed_is_used_again_when_it_is_back(
    of_its_own: MemcachedServer, told: Callable[[], list[str]]
) -> None:
    async with opened(of_its_own.url) as servers:
        assert await servers.look(b"name") == Place()
        of_its_own.kill()
        for _ in range(5):
            assert await servers.look(b"name") is None
        of_its_own.start()
        await until_it_is_back(servers)
        assert await servers.look(b"name") == Place()
    assert ["is left alone" in line for line in told()] == [True, False]
    assert told()[1].endswith("is back")


@pytest.mark.anyio
async def test_a_server_that_is_stopped_keeps_nobody_waiting(
    of_its_own: MemcachedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memcached_connection, "ANSWER_TIMEOUT", SHORT)
    async with opened(of_its_own.url) as servers:
        await until_it_is_back(servers)
        with of_its_own.paused():
            assert await servers.look(b"name") is None
            # The system would take a connection and what is sent on it: nobody is told that it is there.
            (server,) = servers._servers
            for _ in range(10):
                assert server.send(b"version\r\n", read_version) is None
                await asyncio.sleep(0)
        await until_it_is_back(servers)


@pytest.mark.anyio
async def test_a_server_that_is_full_lets_the_oldest_go(of_its_own: MemcachedServer) -> None:
    async with opened(of_its_own.url) as servers:
        for start in range(0, 20_000, MOST_WAITING // 2):
            names = [b"doorward:%d" % number for number in range(start, start + MOST_WAITING // 2)]
            await servers.put(names, b"v" * 800, keep_for=MINUTE)
        assert of_its_own.count("evictions") > 0
        assert await servers.look(b"doorward:0") == Place()
        last = await servers.look(b"doorward:19999")
        assert last is not None
        assert last.value == b"v" * 800


@pytest.mark.anyio
async def test_closing_ends_what_waits_and_what_connects(memcached: MemcachedServer) -> None:
    async with opened(memcached.url) as servers:
        waiting = asyncio.create_task(servers.look(b"name"))
        await asyncio.sleep(0)
        await servers.close()
        assert await waiting is None
        assert await servers.look(b"name") is None
        await servers.open()
        assert await servers.look(b"name") is not None


# Several servers


def test_a_server_that_is_taken_away_moves_its_own_share_and_no_other() -> None:
    three = Servers(parse_memcached("memcached://a,b,c"))
    two = Servers(parse_memcached("memcached://c,a"))
    names = [b"doorward:%d" % number for number in range(3_000)]
    share: dict[str, int] = {}
    for name in names:
        before, after = three._server_of(name).address, two._server_of(name).address
        share[before.host] = share.get(before.host, 0) + 1
        assert before in (after, Address(host="b", port=11211))
    assert all(900 < count < 1_100 for count in share.values())


@pytest.mark.anyio
async def test_of_several_servers_one_that_is_gone_takes_nothing_but_its_share(memcached: MemcachedServer) -> None:
    memcached.emptied()
    async with opened(memcached.url, "memcached://127.0.0.1:1") as servers:
        names = [b"doorward:%d" % number for number in range(50)]
        await servers.put(names, b"value", keep_for=MINUTE)
        found = [await servers.look(name) for name in names]
        kept = [place for place in found if place is not None]
        assert {place.value for place in kept} == {b"value"}
        assert 10 < len(kept) < 40
