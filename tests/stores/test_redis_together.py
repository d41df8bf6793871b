"""What one tick of the loop asks of Redis travels together, and each who asked is answered for himself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from doorward.errors import StoreUnavailable
from doorward.rotation.model import Taken
from doorward.sessions.model import Session, Sighting
from doorward.stores.redis.clients import AsyncRedis
from doorward.stores.redis.sessions import row_name
from doorward.stores.redis.store import RedisSessionStore
from doorward.testing.store_suite.case import POLICY, SOMEBODY, presentation, row, sign_up, start
from tests.sessions.deployments import sqlite, template
from tests.stores.on_redis import opened
from tests.valkey import ValkeyServer

__all__ = ["sqlite", "template"]

pytestmark = pytest.mark.anyio
COUNT = 20


@pytest.fixture
async def store(sqlite: str, valkey: ValkeyServer) -> AsyncIterator[RedisSessionStore]:
    async with opened(sqlite, valkey.emptied()) as store:
        await sign_up(store)
        yield store


async def rotate_all(store: RedisSessionStore, sessions: list[Session]) -> list[Taken | Sighting | BaseException]:
    asked = (store.rotate(presentation(each), POLICY, actor=SOMEBODY) for each in sessions)
    return [*await asyncio.gather(*asked, return_exceptions=True)]


def calls_of(valkey: ValkeyServer, command: str) -> int:
    told = valkey.say("INFO", "commandstats").decode()
    found = [line for line in told.splitlines() if line.startswith(f"cmdstat_{command}:")]
    return int(found[0].partition("calls=")[2].partition(",")[0]) if found else 0


async def test_rotations_of_one_tick_are_one_way_to_the_server(
    store: RedisSessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = [await start(store, number) for number in range(1, COUNT + 1)]
    ways: list[int] = []
    run_each = AsyncRedis._run_each

    async def counted(self: AsyncRedis, calls: object) -> object:
        ways.append(len(calls))  # type: ignore[arg-type]
        return await run_each(self, calls)  # type: ignore[arg-type]

    monkeypatch.setattr(AsyncRedis, "_run_each", counted)
    taken = await rotate_all(store, sessions)
    assert all(isinstance(each, Taken) for each in taken)
    assert ways[0] == COUNT


async def test_each_is_answered_with_his_own(store: RedisSessionStore, valkey: ValkeyServer) -> None:
    sessions = [await start(store, number) for number in range(1, 5)]
    valkey.say("SET", row_name(sessions[1].key), "nothing of ours")
    valkey.say("DEL", row_name(sessions[2].key))
    first, broken, gone, last = await rotate_all(store, sessions)
    assert isinstance(first, Taken)
    assert isinstance(last, Taken)
    assert (first.session.key, last.session.key) == (sessions[0].key, sessions[3].key)
    assert isinstance(gone, Sighting)
    assert gone.session is None
    assert isinstance(broken, StoreUnavailable)


async def test_one_token_presented_many_times_in_one_tick_makes_one_successor(store: RedisSessionStore) -> None:
    session = await start(store)
    said = await rotate_all(store, [session] * COUNT)
    assert sum(isinstance(each, Taken) for each in said) == 1
    assert (await row(store, session)).generation == 1


async def test_scripts_that_the_server_has_forgotten_are_told_it_again(
    store: RedisSessionStore, valkey: ValkeyServer
) -> None:
    sessions = [await start(store, number) for number in range(1, COUNT + 1)]
    valkey.say("SCRIPT", "FLUSH")
    assert all(isinstance(each, Taken) for each in await rotate_all(store, sessions))
    told = calls_of(valkey, "eval")
    for each in sessions:
        await store.acknowledge(each.id, 1)
        await store.acknowledge(each.id, 1)
    # Told once, and not with each call.
    assert calls_of(valkey, "eval") <= told + 1


async def test_whoever_stops_waiting_takes_nobody_with_him(store: RedisSessionStore) -> None:
    sessions = [await start(store, number) for number in range(1, 4)]
    asked = [asyncio.ensure_future(store.rotate(presentation(each), POLICY, actor=SOMEBODY)) for each in sessions]
    await asyncio.sleep(0)
    asked[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked[0]
    assert all(isinstance(each, Taken) for each in await asyncio.gather(*asked[1:]))


async def test_a_connection_lost_under_several_is_told_to_each_and_nothing_is_done_twice(
    store: RedisSessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from redis.exceptions import ConnectionError as Lost

    sessions = [await start(store, number) for number in range(1, 4)]
    run_each = AsyncRedis._run_each

    async def lost(self: AsyncRedis, calls: object) -> object:
        await run_each(self, calls)  # type: ignore[arg-type]
        raise Lost("the answer did not arrive")

    with monkeypatch.context() as patch:
        patch.setattr(AsyncRedis, "_run_each", lost)
        said = await rotate_all(store, sessions)
    assert all(isinstance(each, StoreUnavailable) for each in said)
    assert len({*map(id, said)}) == len(said)
    assert {(await row(store, each)).generation for each in sessions} == {1}
