"""Rotations in process, beside the bare statement on the same engine; for ``benchmarks/refreshing.py``."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import asyncpg

from benchmarks.callers import Clients, Operation, Plan, as_it_is, clients_of, compare, rotating
from benchmarks.measuring import Part
from doorward.rotation.model import Taken
from doorward.stores.redis.address import parse_redis
from doorward.stores.redis.clients import AsyncRedis
from doorward.stores.redis.connecting import async_client
from doorward.stores.redis.sessions import RedisSessions, row_name
from doorward.stores.redis.store import RedisSessionStore
from doorward.stores.sql.hot_path import ROTATE, presented_of, rotations_of
from doorward.stores.sql.postgres import postgres_runner
from doorward.stores.sql.postgres_address import POOL_SIZE
from doorward.stores.sql.postgres_hot_path import Lanes
from doorward.stores.sql.rotation import Rotate, rotate
from doorward.stores.sql.runners import Runner
from doorward.stores.sql.sqlite import sqlite_runner
from doorward.stores.sql.store import SqlStore

_BARE = "UPDATE doorward_session SET generation = generation + 1, made_at = {} WHERE key = {} RETURNING *"

# PostgreSQL


async def on_postgres(address: str, plan: Plan) -> list[Part]:
    runner = postgres_runner(address)
    store = SqlStore(runner)
    await store.open()
    lanes, free = Lanes(partial(asyncpg.connect, address)), asyncio.Semaphore(POOL_SIZE)
    bare = await asyncpg.create_pool(address, min_size=POOL_SIZE, max_size=POOL_SIZE, reset=as_it_is)
    statement = _BARE.format("clock_timestamp()", "$1")
    try:
        clients = await clients_of(store, plan)

        async def alone(asked: Rotate) -> object:
            async with free:
                rows = await lanes.fetch(ROTATE, presented_of([asked], now=None))
                return rotations_of(rows, [asked.presented.key])[0]

        ways: dict[str, Operation] = {
            "bare statement": lambda number: bare.fetchrow(statement, clients.spare[number].key),
            "SQLAlchemy, one by one": rotating(clients, partial(_by_itself, runner)),
            "driver, one by one": rotating(clients, alone),
            "together": rotating(clients, partial(_by_store, store)),
        }
        return [await compare("PostgreSQL", ways, plan, at_once=callers) for callers in plan.at_once]
    finally:
        await bare.close()
        await lanes.close()
        await store.close()


async def _by_itself(runner: Runner, asked: Rotate) -> object:
    """As any other statement: the runner does not know it by its function."""
    return await runner.write(partial(rotate, presented=asked.presented, policy=asked.policy, actor=asked.actor))


async def _by_store(store: SqlStore, asked: Rotate) -> object:
    return await store.rotate(asked.presented, asked.policy, actor=asked.actor)


# SQLite


async def on_sqlite(folder: Path, plan: Plan) -> list[Part]:
    place = str(folder / "rotations.db")
    store, each = SqlStore(sqlite_runner(place)), SqlStore(sqlite_runner(place, blocking=True))
    await store.open()
    await each.open()
    try:
        with closing(sqlite3.connect(place, isolation_level="IMMEDIATE")) as bare:
            bare.execute("PRAGMA synchronous = FULL")  # as the store has it
            clients = await clients_of(store, plan)
            ways: dict[str, Operation] = {
                "bare statement": partial(_by_sqlite3, bare, clients),
                "a commit each": rotating(clients, partial(_by_store, each)),
                "together": rotating(clients, partial(_by_store, store)),
            }
            return [await compare("SQLite", ways, plan, at_once=callers) for callers in plan.at_once]
    finally:
        await each.close()
        await store.close()


async def _by_sqlite3(bare: sqlite3.Connection, clients: Clients, number: int) -> object:
    with bare:
        return bare.execute(_BARE.format("made_at", "?"), [clients.spare[number].key]).fetchall()


# Redis or Valkey


async def on_redis(redis_url: str, folder: Path, plan: Plan) -> list[Part]:
    address = parse_redis(redis_url)
    redis = AsyncRedis(address)
    store = RedisSessionStore(sqlite_runner(str(folder / "beside_redis.db")), redis, clock=None, blocking=False)
    await store.open()
    sessions, bare, free = RedisSessions(redis, None), async_client(address), asyncio.Semaphore(address.pool_size)
    try:
        clients = await clients_of(store, plan)

        async def put(number: int) -> object:
            async with free:
                return await bare.set(row_name(clients.spare[number].key), b"x" * 400)

        async def alone(asked: Rotate) -> object:
            found = await sessions.rotate(asked.presented, asked.policy)
            assert found.took, found
            assert found.row is not None
            return Taken(session=found.row.session, account=found.row.owner, at=found.at)

        ways: dict[str, Operation] = {
            "bare command": put,
            "one by one": rotating(clients, alone),
            "together": rotating(clients, partial(_by_store, store)),
        }
        return [await compare("Valkey", ways, plan, at_once=callers) for callers in plan.at_once]
    finally:
        await bare.aclose()
        await store.close()
