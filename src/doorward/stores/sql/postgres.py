"""PostgreSQL: how it is opened, made ready and migrated."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial

from sqlalchemy import Connection, func, select

from doorward.errors import ConfigurationError, DatabaseUnusable, Problem
from doorward.ports import Clock
from doorward.stores.sql.migrations import HEAD, Migration, revision_of, upgrade
from doorward.stores.sql.postgres_address import parse_postgres
from doorward.stores.sql.postgres_connecting import (
    STATEMENT_TIMEOUT,
    asyncpg_engine,
    connect_asyncpg,
    milliseconds,
    psycopg_engine,
)
from doorward.stores.sql.postgres_errors import unusable
from doorward.stores.sql.runners import Runner
from doorward.stores.sql.store import SqlStore

ANSWER_TIMEOUT = timedelta(seconds=7)
"""How long a blocking host waits for an engine that does not even say that it is slow."""

PROBE_CONNECT_TIMEOUT = timedelta(seconds=2)
"""The least that libpq knows; readiness of a blocking host makes a connection of its own."""

MIGRATION_TURN_TIMEOUT = timedelta(minutes=1)
_MIGRATION_LOCK = 0x446F6F7277617264
"""The number of the advisory lock: "Doorward" in ASCII."""


def postgres_store(database_url: str, *, clock: Clock | None = None, blocking: bool = False) -> SqlStore:
    """The store in a PostgreSQL database; as ``postgres_runner``."""
    return SqlStore(postgres_runner(database_url, clock=clock, blocking=blocking))


def postgres_runner(database_url: str, *, clock: Clock | None = None, blocking: bool = False) -> Runner:
    """What runs statements in a PostgreSQL database.

    Args:
        database_url: ``postgresql://user:password@host:port/database?option=value``.
        clock: the store's time instead of the database's.
        blocking: whether it is used from synchronous code, in the caller's thread.

    Raises:
        ConfigurationError: the address cannot be used, or the drivers are not installed.
    """
    address = parse_postgres(database_url)
    need_drivers()
    # Late: it takes most of a second, which whoever keeps SQLite is spared.
    from doorward.stores.sql.postgres_hot_path import HotPath, lanes_of
    from doorward.stores.sql.postgres_runners import AsyncpgRunner, PsycopgRunner

    if blocking:
        engine = psycopg_engine(address, answer_timeout=ANSWER_TIMEOUT)
        soon = replace(address, connect_timeout=PROBE_CONNECT_TIMEOUT)
        probing = psycopg_engine(soon, answer_timeout=ANSWER_TIMEOUT, pooled=False)
        return PsycopgRunner(address, engine, probing, ready=_refuse_unready, clock=clock)
    lanes = lanes_of(address.pool_size)
    return AsyncpgRunner(
        address,
        partial(asyncpg_engine, address, pool_size=address.pool_size - 2 * lanes),
        ready=_refuse_unready,
        clock=clock,
        hot_path=partial(HotPath, address, partial(connect_asyncpg, address), lanes=lanes, clock=clock)
        if lanes
        else None,
    )


def migrate_postgres(database_url: str) -> Migration:
    """Bring a database to the revision of this version of Doorward.  Servers wait for each other.

    Raises:
        ConfigurationError: the address cannot be used, or the drivers are not installed.
        DatabaseUnusable: it cannot be; the detail names the remedy.
        StoreUnavailable: not now.
    """
    address = parse_postgres(database_url)
    need_drivers()
    engine = psycopg_engine(address, answer_timeout=None)
    try:
        with engine.begin() as connection:
            _set(connection, statement_timeout=timedelta(0), lock_timeout=MIGRATION_TURN_TIMEOUT)
            connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK))).close()
            # Short again: who waits for a table keeps everybody behind him waiting.
            _set(connection, lock_timeout=STATEMENT_TIMEOUT)
            return upgrade(connection)
    except DatabaseUnusable as error:
        raise DatabaseUnusable(f"{address}: {error.detail}") from error
    except Exception as error:
        told = unusable(error, address)
        if told is error:
            raise
        raise told from error
    finally:
        engine.dispose()


def _refuse_unready(connection: Connection) -> None:
    revision = revision_of(connection)
    if revision == HEAD:
        return
    if revision is not None and revision > HEAD:
        raise DatabaseUnusable(
            f"The database has revision {revision!r}, which this version of Doorward does not know: a newer one made"
            " it. Update Doorward."
        )
    has = f"has revision {revision!r} and not {HEAD!r}" if revision else "has no tables of Doorward yet"
    raise DatabaseUnusable(f"The database {has}. Bring it up to date with: doorward migrate")


def _set(connection: Connection, **settings: timedelta) -> None:
    for name, value in settings.items():
        connection.execute(select(func.set_config(name, milliseconds(value), True))).close()


def need_drivers() -> None:
    with suppress(ImportError):
        import asyncpg  # noqa: F401 -- whether it is there, and can be loaded
        import psycopg  # noqa: F401 -- likewise: without libpq it is there and cannot

        return
    message, remedy = "PostgreSQL needs its drivers.", "Install them with: pip install 'doorward[postgres]'"
    raise ConfigurationError([Problem(id="DW052", message=message, remedy=remedy)])
