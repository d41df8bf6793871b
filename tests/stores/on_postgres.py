"""What tests of the store on PostgreSQL share."""

from __future__ import annotations

import asyncio
from contextlib import closing

import psycopg

from doorward.stores import open_store
from doorward.stores.sql.postgres_runners import AsyncpgRunner, PsycopgRunner
from doorward.stores.sql.store import SqlStore


def a_store(address: str, *, blocking: bool = False) -> SqlStore:
    store = open_store(address, blocking=blocking)
    assert isinstance(store, SqlStore)
    return store


def runner_of(store: SqlStore) -> AsyncpgRunner | PsycopgRunner:
    assert isinstance(store._runner, AsyncpgRunner | PsycopgRunner)
    return store._runner


async def until_somebody_waits(address: str) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    async with asyncio.timeout(30):
        with closing(psycopg.connect(address, autocommit=True)) as watching:
            while watching.execute(waiting).fetchall() == [(0,)]:  # noqa: ASYNC110 -- it happens in the engine
                await asyncio.sleep(0.01)
