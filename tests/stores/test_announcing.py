"""What servers on one PostgreSQL tell each other at once: hints, without which everything is as right, and slower."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.doorward import Doorward
from doorward.errors import SessionEnded
from doorward.options import Strategy
from doorward.revocation.model import Kind, LiveSet, Revocation
from doorward.secret import Secret
from doorward.sessions.model import EndReason
from doorward.stores import open_announcements
from doorward.stores.sql import announcing
from doorward.wire.announcement import CHANNEL, LONGEST, parse_announcement, write_announcement
from tests.postgres import PostgresServer
from tests.sessions.deployments import ACTOR, HOME, PASSWORD
from tests.stores.on_postgres import a_store

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 3, 10, tzinfo=UTC)
SECRET = "a secret of the deployment, long enough"


def an_entry(name: str = "a", *, kind: Kind = Kind.SESSION, dies_in: timedelta = timedelta(minutes=17)) -> Revocation:
    return Revocation(kind=kind, id=name, dies_at=datetime.now(UTC).replace(microsecond=7) + dies_in)


# The words


@given(st.lists(st.builds(
    Revocation,
    kind=st.sampled_from(Kind),
    id=st.text(min_size=1, max_size=20),
    value=st.integers(0, 2**31 - 1),
    dies_at=st.datetimes(datetime(2026, 1, 1), datetime(2026, 11, 4), timezones=st.just(UTC)),  # noqa: DTZ001
), max_size=20))  # fmt: skip
def test_what_is_announced_is_heard(entries: list[Revocation]) -> None:
    assert parse_announcement(write_announcement(entries), now=NOW) == tuple(entries)


def test_what_is_too_much_to_announce_is_a_hint_to_read() -> None:
    some, many = ([an_entry("x" * 16) for _ in range(count)] for count in (100, 1000))
    assert 0 < len(write_announcement(some)) <= LONGEST
    assert write_announcement(many) == ""
    assert parse_announcement("", now=NOW) is None


@pytest.mark.parametrize(
    "text",
    [
        "nonsense", "{}", "[1]", '[["session","a",1]]', '[["future","a",1,1]]', '[["session","",1,1]]',
        '[["session","a",-1,1]]', '[["session","a",1,"1"]]', '[["session","a",1,99999999999999999999]]', "[" * 5000,
        '[["session","a",1,9999999999999999999]]',
    ],
)  # fmt: skip
def test_what_is_not_understood_is_a_hint_to_read(text: str) -> None:
    assert parse_announcement(text, now=NOW) is None


def test_nobody_fills_the_live_set_with_what_lives_for_ever() -> None:
    microseconds = int((NOW + timedelta(days=3)).timestamp()) * 1_000_000
    assert parse_announcement(json.dumps([["session", "a", 1, microseconds]]), now=NOW) is None


def test_where_there_is_nothing_to_listen_to_there_is_nothing() -> None:
    assert open_announcements("memory:") is None


# A real engine


class Ear:
    """What has been heard."""

    def __init__(self) -> None:
        self.heard: list[Sequence[Revocation] | None] = []
        self._arrived = asyncio.Event()

    def __call__(self, revocations: Sequence[Revocation] | None) -> None:
        self.heard.append(revocations)
        self._arrived.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.heard) < count:
                self._arrived.clear()
                await self._arrived.wait()


@asynccontextmanager
async def listening(address: str) -> AsyncIterator[Ear]:
    """An ear that listens, and has been told to read what it may have missed."""
    announcements = open_announcements(address)
    assert announcements is not None
    ear = Ear()
    task = asyncio.create_task(announcements.listen(ear))
    await ear.until(1)
    assert ear.heard == [None]
    yield ear
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.fixture
async def address(postgres: PostgresServer) -> str:
    # A connection that an earlier test has closed must not be counted as a server that listens.
    postgres.run("SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
    return postgres.emptied()


async def test_a_revocation_is_announced_when_it_has_committed(address: str) -> None:
    store, entry = a_store(address), an_entry()
    await store.open()
    async with listening(address) as ear:
        await store.revoke([entry])
        await ear.until(2)
        assert ear.heard[1] == (entry,)
    await store.close()


async def test_the_command_line_announces_too(address: str) -> None:
    store, entry = a_store(address, blocking=True), an_entry()
    await store.open()
    async with listening(address) as ear:
        await asyncio.to_thread(_revoke, store, entry)
        await ear.until(2)
        assert ear.heard[1] == (entry,)
    await store.close()


def _revoke(store: Any, entry: Revocation) -> None:
    with suppress(StopIteration):
        store.revoke([entry]).send(None)


async def test_a_revocation_that_is_rolled_back_is_not_announced(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = a_store(address)
    await store.open()
    async with listening(address) as ear:
        with pytest.raises(ZeroDivisionError):
            await store._runner.write(_revoke_and_fail)
        await store.revoke([last := an_entry("last")])
        await ear.until(2)
        assert ear.heard[1:] == [(last,)]
    await store.close()


def _revoke_and_fail(tx: Any) -> None:
    from doorward.stores.sql import revocations

    revocations.write(tx, [an_entry("never")])
    raise ZeroDivisionError


async def test_whoever_loses_the_connection_listens_again_and_reads(address: str, postgres: PostgresServer) -> None:
    async with listening(address) as ear:
        postgres.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE query LIKE 'LISTEN%' AND pid <> pg_backend_pid()"
        )
        await ear.until(2)
        assert ear.heard[1] is None
        postgres.run(f"NOTIFY {CHANNEL}, '[]'")
        await ear.until(3)
        assert ear.heard[2] == ()


async def test_an_engine_that_is_away_is_asked_again_and_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    attempts = 0
    enough = asyncio.Event()

    async def connect(_address: object) -> Any:
        nonlocal attempts
        attempts += 1
        if attempts == 3:
            enough.set()
        raise OSError("nobody there, password=hidden")

    from doorward.stores.sql.postgres_address import parse_postgres

    listener = announcing.PostgresAnnouncements(parse_postgres("postgresql://u:hidden@127.0.0.1:1/x"), connect)
    task = asyncio.create_task(listener.listen(lambda _: None))
    async with asyncio.timeout(30):
        await enough.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert len(caplog.records) == 1
    assert "hidden" not in caplog.text


# Two servers


@asynccontextmanager
async def a_server(address: str, *, strategy: Strategy = "jwt") -> AsyncIterator[Doorward]:
    async with Doorward(
        address,
        secret=SECRET,
        rate_limits=False,
        insecure_fast_hashing=True,
        strategy=strategy,
        # Fresh for longer than any test takes: how fast one runs decides nothing.
        max_staleness=timedelta(minutes=15),
    ) as auth:
        yield auth


async def until_it_knows(live: LiveSet, name: str) -> None:
    async with asyncio.timeout(30):
        while name not in live.sessions:  # noqa: ASYNC110 -- the live set tells nobody; a test alone waits for it
            await asyncio.sleep(0.005)


def no_reading(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Nobody reads by himself any more."""
    from doorward import watching

    monkeypatch.setattr(watching, "DUE_EVERY", timedelta(hours=1))
    return monkeypatch.undo


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "read"])
async def test_another_server_learns_of_a_sign_out_announced_or_not(
    address: str, monkeypatch: pytest.MonkeyPatch, *, announced: bool
) -> None:
    if announced:
        no_reading(monkeypatch)
    else:
        monkeypatch.setattr("doorward.doorward.open_announcements", lambda *_, **__: None)
    async with a_server(address) as one, a_server(address) as other:
        await one.sign_up(email="ada@example.com", password=PASSWORD, actor=ACTOR)
        if announced:
            await until_both_listen(address)
        signed_in = await one.sign_in(email="ada@example.com", password=PASSWORD, origin=HOME)
        await one.end_session(signed_in.session.id, account_id=None, reason=EndReason.ADMIN, actor=ACTOR)
        await until_it_knows(other.deployment.live, signed_in.session.id)


async def a_cookie_in_memory(one: Doorward, other: Doorward) -> tuple[Secret, str]:
    """A cookie that the other server answers from memory, and the id of its session."""
    await one.sign_up(email="ada@example.com", password=PASSWORD, actor=ACTOR)
    signed_in = await one.sign_in(email="ada@example.com", password=PASSWORD, origin=HOME)
    handle = signed_in.credentials.handle
    assert handle is not None
    for server in (one, other):
        await server.authenticate(handle=handle)
        hits = server.deployment.cookies.hits
        await server.authenticate(handle=handle)
        assert server.deployment.cookies.hits == hits + 1
    return handle, signed_in.session.id


@pytest.mark.parametrize("way", ["announced", "read", "stale"])
async def test_a_cookie_that_another_server_answers_from_memory_is_refused_there(
    address: str, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    if way != "read":
        no_reading(monkeypatch)
    if way != "announced":
        monkeypatch.setattr("doorward.doorward.open_announcements", lambda *_, **_named: None)
    async with a_server(address, strategy="session") as one, a_server(address, strategy="session") as other:
        if way == "announced":
            await until_both_listen(address)
        handle, session_id = await a_cookie_in_memory(one, other)
        await one.end_session(session_id, account_id=None, reason=EndReason.ADMIN, actor=ACTOR)
        if way == "stale":
            # Neither told nor able to read: as soon as it is not fresh any more, it asks.
            assert (await other.authenticate(handle=handle)).session_id == session_id
            other.deployment.freshness.known_as_of = None
        else:
            await until_it_knows(other.deployment.live, session_id)
        with pytest.raises(SessionEnded, match="admin"):
            await other.authenticate(handle=handle)


async def test_another_server_drops_a_revoked_key_as_it_hears_of_it(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_reading(monkeypatch)
    async with a_server(address) as one, a_server(address) as other:
        await until_both_listen(address)
        await one.sign_up(email="ada@example.com", password=PASSWORD, actor=ACTOR)
        signed_in = await one.sign_in(email="ada@example.com", password=PASSWORD, origin=HOME)
        assert signed_in.credentials.access_token is not None
        token, kid = signed_in.credentials.access_token.text, one.deployment.desk.signing_key.kid
        await other.authenticate(bearer=token)
        await one.revoke_key(kid, actor=ACTOR)
        async with asyncio.timeout(30):
            while kid not in other.deployment.live.keys:  # noqa: ASYNC110 -- as above
                await asyncio.sleep(0.005)
        # At once: it does not wait for its next look at the keys.
        with pytest.raises(SessionEnded, match="key_revoked"):
            await other.authenticate(bearer=token)
        async with asyncio.timeout(30):
            while not other.deployment.desk.ready:  # noqa: ASYNC110 -- as above
                await asyncio.sleep(0.005)
        assert other.deployment.desk.signing_key.kid == one.deployment.desk.signing_key.kid != kid


async def until_both_listen(address: str) -> None:
    import psycopg

    asking = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
    async with asyncio.timeout(30), await psycopg.AsyncConnection.connect(address, autocommit=True) as watching:
        # The engine is asked: it has no event for this.
        while (await (await watching.execute(asking)).fetchone() or (0,))[0] < 2:  # noqa: ASYNC110 -- see above
            await asyncio.sleep(0.01)
