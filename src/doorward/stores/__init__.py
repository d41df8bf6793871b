"""Where everything is kept: one interface (``doorward.ports.Store``), several engines, one suite that all pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from doorward.clocks import system_clock
from doorward.errors import ConfigurationError, Problem
from doorward.ports import Announcements, Clock, Knowledge, Store
from doorward.secret import Secret

if TYPE_CHECKING:
    from doorward.stores.sql.migrations import Migration
    from doorward.stores.sql.runners import Runner
    from doorward.stores.sql.store import SqlStore


def open_store(
    database_url: str,
    *,
    clock: Clock | None = None,
    blocking: bool = False,
    memcached_url: str | None = None,
    redis_url: str | None = None,
    knowledge: Callable[[], Knowledge | None] = lambda: None,
) -> Store:
    """The store that an address names; ``await store.open()`` makes it ready.

    Args:
        database_url: ``sqlite:///relative.db``, ``sqlite:////absolute.db``,
            ``postgresql://user:password@host:port/database`` or ``memory:``.
        clock: the store's time; by default the database's own, or this machine's where it has none.
        blocking: whether it is used from synchronous code, in the caller's thread (``run_blocking``).
        memcached_url: ``memcached://host:port,host:port``, to keep there as well what cookies' requests look up; a
            blocking store keeps away from it.
        redis_url: ``redis://user:password@host:port/0``, or another address that ``docs/guides/redis.md`` names, to
            keep sessions there instead of in the database.
        knowledge: what a cache is checked against, or None before it is known.

    Raises:
        ConfigurationError: the address names no store that there is.
    """
    if redis_url is not None:
        return _with_redis(database_url, redis_url, memcached_url, clock=clock, blocking=blocking)
    if memcached_url is not None:
        # Made in any case: an address that cannot be used is refused by the command line as well.
        cached = _cached(database_url, memcached_url, knowledge, clock=clock)
        if not blocking:
            return cached
    if database_url == "memory:":
        from doorward.stores.memory import MemoryStore

        return MemoryStore(clock or system_clock)
    if is_postgres(database_url):
        from doorward.stores.sql.postgres import postgres_store

        return postgres_store(database_url, clock=clock, blocking=blocking)
    place = _sqlite_file(database_url)

    from doorward.stores.sql.sqlite import sqlite_store

    return _noting(sqlite_store(place, clock=clock or system_clock, blocking=blocking), database_url)


def _noting(store: SqlStore, database_url: str) -> SqlStore:
    """A store that notes beside its file how far it has come; one on a server has no file."""
    if not is_postgres(database_url):
        from doorward.stores.sql.note_beside import NoteBeside

        store.note = NoteBeside(Path(_sqlite_file(database_url)).absolute())
    return store


def _cached(
    database_url: str,
    memcached_url: str,
    knowledge: Callable[[], Knowledge | None],
    *,
    clock: Clock | None,
) -> Store:
    from doorward.stores.memcached_servers import Servers, parse_memcached

    addresses = parse_memcached(memcached_url)
    if database_url == "memory:":
        raise ConfigurationError([_NOTHING_TO_CACHE])
    from doorward.stores.memcached import CachedSqlStore

    store = CachedSqlStore(_runner(database_url, clock=clock), Servers(addresses), knowledge)
    return _noting(store, database_url)


def _with_redis(
    database_url: str, redis_url: str, memcached_url: str | None, *, clock: Clock | None, blocking: bool
) -> Store:
    from doorward.stores.redis import redis_store

    if database_url == "memory:":
        raise ConfigurationError([_HALF_IN_MEMORY])
    if memcached_url is not None:
        raise ConfigurationError([_CACHE_BEFORE_REDIS])
    runner = _runner(database_url, clock=clock, blocking=blocking)
    # PostgreSQL tells inside the commit, which nobody can die after without having told.
    announces = not is_postgres(database_url)
    store = redis_store(runner, redis_url, clock=clock, blocking=blocking, announces=announces)
    return _noting(store, database_url)


def _runner(database_url: str, *, clock: Clock | None, blocking: bool = False) -> Runner:
    if is_postgres(database_url):
        from doorward.stores.sql.postgres import postgres_runner

        return postgres_runner(database_url, clock=clock, blocking=blocking)
    place = _sqlite_file(database_url)

    from doorward.stores.sql.sqlite import sqlite_runner

    return sqlite_runner(place, clock=clock or system_clock, blocking=blocking)


def open_announcements(database_url: str, *, redis_url: str | None = None) -> Announcements | None:
    """Where servers on this database tell each other what they revoke; None where they have to read.

    For an event loop.

    Args:
        database_url: as for ``open_store``, and what follows as well.
        redis_url: used where the database has no announcements of its own.
    """
    if is_postgres(database_url):
        from doorward.stores.sql.announcing import postgres_announcements

        return postgres_announcements(database_url)
    if redis_url is None:
        if database_url == "memory:":
            return None
        from doorward.stores.sql.sqlite_announcing import sqlite_announcements

        return sqlite_announcements(_sqlite_file(database_url))
    from doorward.stores.redis import redis_announcements

    return redis_announcements(redis_url)


def migrate(database_url: str) -> Migration:
    """Bring a database to the schema of this version.

    Args:
        database_url: as for ``open_store``, but for ``memory:``.

    Returns:
        The revision before (None for a new database) and after.

    Raises:
        ConfigurationError: the address names no database.
        DatabaseUnusable: it cannot be opened, or is newer; the detail names the remedy.
        StoreUnavailable: another process holds it.
    """
    if is_postgres(database_url):
        from doorward.stores.sql.postgres import migrate_postgres

        return migrate_postgres(database_url)
    place = _sqlite_file(database_url)

    from doorward.stores.sql.sqlite import migrate_sqlite

    return migrate_sqlite(place)


def is_postgres(database_url: str) -> bool:
    """Whether an address names a PostgreSQL database."""
    return database_url.startswith(("postgresql://", "postgres://"))


def place_of(database_url: str) -> str:
    """Where an address leads, for people: without user and password.

    Raises:
        ConfigurationError: the address cannot be used.
    """
    if is_postgres(database_url):
        from doorward.stores.sql.postgres_address import parse_postgres

        return str(parse_postgres(database_url))
    if database_url == "memory:":
        return "in memory alone, gone when the server ends"
    return str(Path(_sqlite_file(database_url)).absolute())


def place_of_sessions(redis_url: str) -> str:
    """Where an address of Redis leads, for people: without user and password.

    Raises:
        ConfigurationError: the address cannot be used.
    """
    from doorward.stores.redis.address import parse_redis

    return str(parse_redis(redis_url))


def secrets_of_redis(redis_url: str) -> Sequence[Secret]:
    """The passwords in an address of Redis; none where it cannot be used."""
    from doorward.stores.redis.address import parse_redis

    try:
        address = parse_redis(redis_url)
    except ConfigurationError:
        return ()
    return [each for each in (address.password, address.sentinel_password) if each is not None]


def _sqlite_file(database_url: str) -> str:
    """The file that an address names.  Raises ConfigurationError."""
    scheme, _, address = database_url.partition(":")
    if scheme == "sqlite" and address.startswith("///"):
        place = address.removeprefix("///")
        if ":memory:" in place:
            raise ConfigurationError([_IN_MEMORY])
        if place.rpartition("/")[2] not in {"", ".", ".."}:
            return place
    raise ConfigurationError([_unknown(scheme)])


_IN_MEMORY = Problem(
    id="DW050",
    message="SQLite's own :memory: is one database a connection, and no file is to be called that.",
    remedy="Use memory: for a store that is gone when the process ends.",
)


_NOTHING_TO_CACHE = Problem(
    id="DW058",
    message="There is no cache before memory:, which is as quick and dies with the process.",
    remedy="Name a database, or leave DOORWARD_MEMCACHED_URL out.",
)


_HALF_IN_MEMORY = Problem(
    id="DW056",
    message="Sessions in Redis would outlive the accounts that memory: forgets.",
    remedy="Name a database, or leave DOORWARD_REDIS_URL out.",
)


_CACHE_BEFORE_REDIS = Problem(
    id="DW056",
    message="Memcached is a cache before sessions in the database; Redis answers as quickly by itself.",
    remedy="Leave DOORWARD_MEMCACHED_URL out, or DOORWARD_REDIS_URL.",
)


def _unknown(scheme: str) -> Problem:
    """What is wrong with an address.  Only its scheme is repeated: the rest may hold a password."""
    if scheme == "sqlite":
        message, remedy = "The address names no SQLite file.", "Use sqlite:///app.db, or sqlite:////var/lib/app.db."
    elif scheme.partition("+")[0] in {"postgresql", "postgres"}:
        message = "The address names no PostgreSQL database, or a driver: Doorward chooses that itself."
        remedy = "Use postgresql://user:password@host:5432/database."
    else:
        message = f"No store is called {scheme[:32]!r}."
        remedy = "Use sqlite:///app.db, postgresql://user:password@host:5432/database or memory:."
    return Problem(id="DW050", message=message, remedy=remedy)
