"""Processes that present one token on one Redis, a failover told by Sentinel, and what a user has to be allowed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import timedelta

import pytest

from doorward.accounts.model import AccountChange
from doorward.errors import DatabaseUnusable, StoreUnavailable
from doorward.rotation.model import Taken
from doorward.testing import an_ending
from doorward.testing.store_suite.case import POLICY, SOMEBODY, WHENEVER, presentation, row, sign_up, start
from tests.sessions.deployments import sqlite, template
from tests.stores.at_once import race_processes
from tests.stores.on_redis import a_store, opened
from tests.valkey import ValkeyServer, a_replica, a_sentinel, a_valkey, missing

__all__ = ["sqlite", "template"]

pytestmark = pytest.mark.anyio

RIGHTS = (
    "resetchannels", "~doorward:*", "&doorward:*", "+ping", "+eval", "+evalsha", "+get", "+set", "+del", "+pexpire",
    "+pttl", "+time", "+zadd", "+zcard", "+zrange", "+zrem", "+zscore", "+publish", "+subscribe", "+unsubscribe",
    "+select", "+client|setinfo", "+client|setname", "+cluster|slots", "+cluster|shards", "+cluster|nodes",
)  # fmt: skip
"""What docs/guides/redis.md says that a user needs."""


async def test_processes_that_present_one_generation_make_one_successor(sqlite: str, valkey: ValkeyServer) -> None:
    async with opened(sqlite, valkey.emptied()) as store:
        await race_processes(store, sqlite, REDIS_URL=valkey.url)


@pytest.fixture
def sentinels() -> Iterator[tuple[ValkeyServer, ValkeyServer, ValkeyServer]]:
    """A primary, a replica that follows it, and a Sentinel that knows both."""
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    with ExitStack() as stack:
        primary = stack.enter_context(a_valkey())
        replica = stack.enter_context(a_replica(primary))
        yield primary, replica, stack.enter_context(a_sentinel(primary))


async def test_a_failover_to_a_replica_that_lags_ends_again_what_had_ended(
    sqlite: str, sentinels: tuple[ValkeyServer, ValkeyServer, ValkeyServer]
) -> None:
    primary, replica, sentinel = sentinels
    async with opened(sqlite, f"redis+sentinel://127.0.0.1:{sentinel.port}/one") as store:
        await sign_up(store)
        going_on, signed_out, disabled = [await start(store, number) for number in (1, 2, 3)]
        assert primary.say("WAIT", 1, 10_000) == 1
        # From here on the replica lags: it is not let in any more.
        primary.say("ACL", "SETUSER", "default", "-psync", "-sync")
        primary.say("CLIENT", "KILL", "TYPE", "replica")
        await store.end_session(signed_out.id, an_ending())
        taken = await store.rotate(presentation(going_on), POLICY, actor=SOMEBODY)
        assert isinstance(taken, Taken)
        await asyncio.to_thread(primary.kill)
        async with asyncio.timeout(60):
            again = None
            while again is None:
                with suppress(StoreUnavailable):
                    again = await store.rotate(presentation(going_on), POLICY, actor=SOMEBODY)
                await asyncio.sleep(0.02)
        assert b"role:master" in replica.say("INFO", "replication")
        # The rotation was lost, and the chain goes on from what is there.
        assert isinstance(again, Taken)
        assert again.session.generation == taken.session.generation == 1
        assert not isinstance(await store.rotate(presentation(signed_out), POLICY, actor=SOMEBODY), Taken)
        assert (await row(store, signed_out)).ended_at is not None
        await store.change_account(disabled.account, AccountChange(disabled=True), an_ending())
        assert not isinstance(await store.rotate(presentation(disabled), POLICY, actor=SOMEBODY), Taken)


async def test_a_user_needs_no_more_than_the_guide_says(sqlite: str, valkey: ValkeyServer) -> None:
    valkey.emptied()
    valkey.say("ACL", "SETUSER", "doorward", "reset", "on", ">hunter2", *RIGHTS)
    try:
        address = valkey.url.replace("redis://", "redis://doorward:hunter2@")
        async with opened(sqlite, address) as store:
            await sign_up(store)
            session = await start(store)
            await store.touch(session.key, idle=timedelta(hours=1))
            assert isinstance(await store.rotate(presentation(session), POLICY, actor=SOMEBODY), Taken)
            await store.acknowledge(session.id, 1)
            await store.sessions_of(session.account)
            await store.end_sessions(session.account, an_ending())
            await store._redis.announce("[]")
            await store.remove_expired(session_retention=timedelta(1), audit_retention=timedelta(1), until=WHENEVER)
        valkey.say("ACL", "SETUSER", "doorward", "-ping")
        with pytest.raises(DatabaseUnusable, match="rights"):
            await a_store(sqlite, address).open()
    finally:
        valkey.say("ACL", "DELUSER", "doorward")
