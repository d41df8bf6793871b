"""What servers that share a Redis beside SQLite tell each other at once: hints, without which all is as right."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from doorward import watching
from doorward.blocking import run_blocking
from doorward.doorward import Doorward
from doorward.ports import Announcements
from doorward.revocation.model import Kind, Revocation
from doorward.sessions.model import EndReason
from doorward.stores import open_announcements
from doorward.stores.redis import announcing
from doorward.stores.redis.address import parse_redis
from doorward.stores.redis.announcing import RedisAnnouncements
from doorward.stores.redis.clients import MOST_TO_TELL, AsyncRedis
from doorward.stores.sql import revocations
from tests.sessions.deployments import ACTOR, EMAIL, HOME, PASSWORD, SECRET, sqlite, template
from tests.stores.on_redis import a_store, opened
from tests.valkey import ValkeyCluster, ValkeyServer, a_cluster, missing

__all__ = ["sqlite", "template"]

pytestmark = pytest.mark.anyio

CHANNEL = "doorward:revoked:0"


def an_entry(name: str = "a") -> Revocation:
    dies_at = datetime.now(UTC).replace(microsecond=7) + timedelta(minutes=17)
    return Revocation(kind=Kind.SESSION, id=name, dies_at=dies_at)


class Ear:
    """What has been heard."""

    def __init__(self) -> None:
        self.heard: list[Sequence[Revocation] | None] = []
        self._arrived = asyncio.Event()

    def __call__(self, heard: Sequence[Revocation] | None) -> None:
        self.heard.append(heard)
        self._arrived.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.heard) < count:
                self._arrived.clear()
                await self._arrived.wait()

    async def until_told(self, entries: Sequence[Revocation]) -> None:
        while entries not in self.heard:
            await self.until(len(self.heard) + 1)


@asynccontextmanager
async def listening(redis_url: str) -> AsyncIterator[Ear]:
    announcements = open_announcements("sqlite:///x.db", redis_url=redis_url)
    assert announcements is not None
    ear = Ear()
    task = asyncio.create_task(announcements.listen(ear))
    await ear.until(1)
    assert ear.heard == [None]
    try:
        yield ear
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def redis_url(valkey: ValkeyServer) -> str:
    return valkey.emptied()


@pytest.fixture(scope="module")
def cluster() -> Iterator[ValkeyCluster]:
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    with a_cluster() as nodes:
        yield nodes


def test_each_database_announces_in_its_way_and_the_memory_of_one_process_to_nobody() -> None:
    found: list[Announcements | None] = [
        open_announcements(database, redis_url=redis_url)
        for database in ("postgresql://127.0.0.1/x", "sqlite:///x.db")
        for redis_url in ("redis://127.0.0.1", None)
    ]
    assert [type(each).__name__ for each in [*found, open_announcements("memory:")]] == [
        "PostgresAnnouncements", "PostgresAnnouncements", "RedisAnnouncements", "SqliteAnnouncements", "NoneType",
    ]  # fmt: skip


async def test_a_revocation_is_announced_when_it_has_committed(sqlite: str, redis_url: str) -> None:
    async with opened(sqlite, redis_url) as store, listening(redis_url) as ear:
        entry = an_entry()
        await store.revoke([entry])
        await ear.until(2)
        assert ear.heard[1] == (entry,)


async def test_what_is_told_on_one_node_of_a_cluster_is_heard_on_every_other(
    sqlite: str, cluster: ValkeyCluster
) -> None:
    cluster.emptied()
    async with opened(sqlite, cluster.url) as store:
        for node in cluster.nodes:
            async with listening(node.url) as ear:
                entry = an_entry(f"{node.port}")
                await store.revoke([entry])
                # What was told on another node before may arrive here first.
                await ear.until_told((entry,))
        async with listening(cluster.url) as ear:
            await store.revoke([an_entry()])
            await ear.until(2)


async def test_the_command_line_announces_too(sqlite: str, redis_url: str) -> None:
    store, entry = a_store(sqlite, redis_url, blocking=True), an_entry()
    run_blocking(store.open())
    async with listening(redis_url) as ear:
        await asyncio.to_thread(lambda: run_blocking(store.revoke([entry])))
        await ear.until(2)
        assert ear.heard[1] == (entry,)
    run_blocking(store.close())


async def test_a_revocation_that_is_rolled_back_is_not_announced(sqlite: str, redis_url: str) -> None:
    def revoke_and_fail(tx: Any) -> None:
        revocations.write(tx, [an_entry("never")])
        raise ZeroDivisionError

    async with opened(sqlite, redis_url) as store, listening(redis_url) as ear:
        with pytest.raises(ZeroDivisionError):
            await store._runner.write(revoke_and_fail)
        await store.revoke([last := an_entry("last")])
        await ear.until(2)
        assert ear.heard[1:] == [(last,)]


async def test_databases_of_one_redis_do_not_hear_each_other(sqlite: str, redis_url: str, valkey: ValkeyServer) -> None:
    async with opened(sqlite, redis_url + "/1") as store, listening(redis_url) as ear:
        await store.revoke([an_entry()])
        await store.revoke([an_entry("b")])
        valkey.say("PUBLISH", CHANNEL, "[]")
        await ear.until(2)
        assert ear.heard[1] == ()


async def test_what_nobody_understands_is_a_hint_to_read(redis_url: str, valkey: ValkeyServer) -> None:
    async with listening(redis_url) as ear:
        valkey.say("PUBLISH", CHANNEL, b"\xff\x00 nonsense")
        await ear.until(2)
        assert ear.heard[1] is None


async def test_whoever_loses_the_connection_listens_again_and_reads(redis_url: str, valkey: ValkeyServer) -> None:
    async with listening(redis_url) as ear:
        valkey.say("CLIENT", "KILL", "TYPE", "pubsub")
        await ear.until(2)
        assert ear.heard[1] is None
        valkey.say("PUBLISH", CHANNEL, "[]")
        await ear.until(3)
        assert ear.heard[2] == ()


async def test_a_server_that_says_nothing_any_more_is_left(
    redis_url: str, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announcing, "ALIVE_EVERY", timedelta(milliseconds=50))
    left = asyncio.Event()
    hear = RedisAnnouncements._hear

    async def hear_until_left(self: RedisAnnouncements, listening: Any, heard: Any) -> None:
        try:
            await hear(self, listening, heard)
        finally:
            left.set()

    monkeypatch.setattr(RedisAnnouncements, "_hear", hear_until_left)
    async with listening(redis_url) as ear:
        valkey.say("PUBLISH", CHANNEL, "[]")
        await ear.until(2)
        with valkey.paused():
            async with asyncio.timeout(30):
                await left.wait()
        await ear.until(3)
        assert ear.heard[2] is None


async def test_a_server_that_is_away_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    attempts = 0
    enough = asyncio.Event()

    class Counting(RedisAnnouncements):
        async def _listen_once(self, heard: Any) -> None:
            nonlocal attempts
            attempts += 1
            if attempts == 3:
                enough.set()
            await super()._listen_once(heard)

    task = asyncio.create_task(Counting(parse_redis("redis://ada:hidden@127.0.0.1:1")).listen(lambda _: None))
    async with asyncio.timeout(30):
        await enough.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert len(caplog.records) == 1
    assert "127.0.0.1:1" in caplog.text
    assert "hidden" not in caplog.text


async def test_what_cannot_be_told_in_time_is_one_hint_and_waits_for_nobody(
    sqlite: str, redis_url: str, valkey: ValkeyServer
) -> None:
    async with opened(sqlite, redis_url) as store, listening(redis_url) as ear:
        with valkey.paused():
            async with asyncio.timeout(20):
                for number in range(MOST_TO_TELL + 20):
                    await store._redis.announce(f'[["session","{number}",1,1]]')
        await ear.until(3)
        # What was on its way, then that there was too much to tell, then what came after.
        assert ear.heard[1] is not None
        assert ear.heard[2] is None
        assert len(ear.heard) < MOST_TO_TELL


# Two deployments


@asynccontextmanager
async def a_deployment(database: str, redis_url: str) -> AsyncIterator[Doorward]:
    options: dict[str, Any] = {"secret": SECRET, "rate_limits": False, "insecure_fast_hashing": True}
    async with Doorward(database, redis=redis_url, **options) as auth:
        yield auth


async def published_in_vain(_redis: AsyncRedis, _text: str) -> None:
    pass


@pytest.mark.parametrize("arrives", [True, False], ids=["announced", "lost"])
async def test_another_deployment_learns_of_a_sign_out_whether_or_not_its_announcement_arrives(
    sqlite: str, redis_url: str, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch, *, arrives: bool
) -> None:
    if arrives:
        # Nobody reads.
        monkeypatch.setattr(watching, "DUE_EVERY", timedelta(hours=1))
    else:
        # As where a node of a Cluster has no link to another one: the command succeeds, and the message is dropped.
        monkeypatch.setattr(AsyncRedis, "_publish", published_in_vain)
    async with a_deployment(sqlite, redis_url) as one, a_deployment(sqlite, redis_url) as other:
        await one.sign_up(email=EMAIL, password=PASSWORD, actor=ACTOR)
        async with asyncio.timeout(30):
            while valkey.say("PUBSUB", "NUMSUB", CHANNEL)[1] < 2:  # noqa: ASYNC110 -- the server is asked
                await asyncio.sleep(0.01)
        signed_in = await one.sign_in(email=EMAIL, password=PASSWORD, origin=HOME)
        await one.end_session(signed_in.session.id, account_id=None, reason=EndReason.ADMIN, actor=ACTOR)
        async with asyncio.timeout(30):
            while signed_in.session.id not in other.deployment.live.sessions:  # noqa: ASYNC110 -- it tells nobody
                await asyncio.sleep(0.005)
