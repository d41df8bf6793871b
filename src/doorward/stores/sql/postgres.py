"""PostgreSQL: how it is connected to, made ready and migrated.

Every connection brings its own bounds: a statement that is slow, a lock that is not given, a transaction that somebody
forgot and an engine that does not answer all end by themselves.
"""

from __future__ import annotations

import math
import time
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, func, select
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.pool import NullPool, QueuePool

from doorward.errors import ConfigurationError, DatabaseUnusable, Problem
from doorward.ports import Clock
from doorward.stores.readiness import PING_TIMEOUT
from doorward.stores.sql.migrations import HEAD, Migration, revision_of, upgrade
from doorward.stores.sql.postgres_address import PostgresAddress, parse_postgres
from doorward.stores.sql.postgres_errors import READ_ONLY, sqlstate_of, unusable
from doorward.stores.sql.runners import Runner
from doorward.stores.sql.store import SqlStore

CONNECT_TIMEOUT = timedelta(seconds=3)
POOL_TIMEOUT = timedelta(seconds=2)
STATEMENT_TIMEOUT = timedelta(seconds=5)
LOCK_TIMEOUT = timedelta(seconds=2)
IDLE_IN_TRANSACTION_TIMEOUT = timedelta(seconds=10)
"""After which the engine ends a transaction that nobody goes on with, such as one of a server that froze."""

ANSWER_TIMEOUT = timedelta(seconds=7)
"""How long a blocking host waits for an engine that does not even say that it is slow."""

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
        probing = psycopg_engine(address, answer_timeout=PING_TIMEOUT, pooled=False)
        return PsycopgRunner(address, engine, probing, ready=_refuse_unready, clock=clock)
    lanes = lanes_of(address.pool_size)
    return AsyncpgRunner(
        address,
        partial(_asyncpg_engine, address, pool_size=address.pool_size - 2 * lanes),
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


# Connecting


def _settings() -> dict[str, str]:
    return {
        # What the statements are written for, whatever somebody made the default.
        "default_transaction_isolation": "read committed",
        "timezone": "UTC",
        "statement_timeout": _milliseconds(STATEMENT_TIMEOUT),
        "lock_timeout": _milliseconds(LOCK_TIMEOUT),
        "idle_in_transaction_session_timeout": _milliseconds(IDLE_IN_TRANSACTION_TIMEOUT),
        # Compiling a statement of a few rows takes longer than running it.
        "jit": "off",
    }


# An error repeats its parameters otherwise, and some of them are hashes.
_QUIET = {"hide_parameters": True}


def _pool(pool_size: int) -> dict[str, Any]:
    return {
        **_QUIET,
        "pool_size": pool_size,
        "max_overflow": 0,
        "pool_timeout": POOL_TIMEOUT.total_seconds(),
        # Every transaction of ours ends by itself; a rollback more for each would be a way to the engine and back.
        "pool_reset_on_return": None,
    }


def _asyncpg_engine(address: PostgresAddress, *, pool_size: int) -> Any:
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=partial(connect_asyncpg, address), **_pool(pool_size)
    )
    event.listen(engine.sync_engine, "handle_error", _leave_what_became_a_standby)
    return engine


async def connect_asyncpg(address: PostgresAddress) -> Any:
    import asyncpg

    return await asyncpg.connect(
        address.tls,
        host=list(address.hosts) or None,
        port=list(address.ports) or None,
        user=address.user,
        password=address.password.reveal() if address.password else None,
        database=address.database,
        timeout=CONNECT_TIMEOUT.total_seconds(),
        server_settings=_settings() | _named(address),
    )


def psycopg_engine(address: PostgresAddress, *, answer_timeout: timedelta | None, pooled: bool = True) -> Engine:
    """Blocking connections.

    Args:
        address: of the database.
        answer_timeout: how long an answer is waited for; None: as long as it takes.
        pooled: whether connections are kept; else each is closed after its use.
    """
    connect = partial(_connect_psycopg, address, answer_timeout)
    pool = {"poolclass": QueuePool, **_pool(address.pool_size)} if pooled else {"poolclass": NullPool, **_QUIET}
    engine = create_engine("postgresql+psycopg://", creator=connect, **pool)
    event.listen(engine, "handle_error", _leave_what_became_a_standby)
    return engine


def _connect_psycopg(address: PostgresAddress, answer_timeout: timedelta | None) -> Any:
    import psycopg

    class Bounded(psycopg.Connection[Any]):
        """Does not wait for ever for an engine that is stopped, or on a machine that is gone."""

        answers_until = math.inf
        """When the operation that has the connection is over, on the monotonic clock."""

        def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
            bound = timeout
            if answer_timeout is not None:
                left = max(self.answers_until - time.monotonic(), 0.0)
                bound = min(answer_timeout.total_seconds(), left)
            try:
                return super().wait(gen, interval, bound)
            except psycopg.OperationalError as error:
                if error.sqlstate is None:
                    # The engine has said nothing: whatever it says later would be taken for the next answer.
                    self.pgconn.finish()
                raise

    places: dict[str, Any] = {
        "host": ",".join(address.hosts) or None,
        "port": ",".join(map(str, address.ports)) or None,
        "user": address.user,
        "password": address.password.reveal() if address.password else None,
        "dbname": address.database,
    }
    passed: dict[str, Any] = {name: value for name, value in address.options.items() if name != "application_name"}
    return Bounded.connect(
        **{name: value for name, value in places.items() if value is not None},
        **_named(address),
        **passed,
        connect_timeout=int(CONNECT_TIMEOUT.total_seconds()),
        options=" ".join(f"-c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in _settings().items()),
    )


def _named(address: PostgresAddress) -> dict[str, Any]:
    return {"application_name": address.options.get("application_name", "doorward")}


def _leave_what_became_a_standby(context: ExceptionContext) -> None:
    """After a failover the connections still lead to the old primary, which only reads."""
    if sqlstate_of(context.original_exception) == READ_ONLY:
        context.is_disconnect = True


def _set(connection: Connection, **settings: timedelta) -> None:
    for name, value in settings.items():
        connection.execute(select(func.set_config(name, _milliseconds(value), True))).close()


def _milliseconds(duration: timedelta) -> str:
    return str(duration // timedelta(milliseconds=1))


def need_drivers() -> None:
    with suppress(ImportError):
        import asyncpg  # noqa: F401 -- whether it is there, and can be loaded
        import psycopg  # noqa: F401 -- likewise: without libpq it is there and cannot

        return
    message, remedy = "PostgreSQL needs its drivers.", "Install them with: pip install 'doorward[postgres]'"
    raise ConfigurationError([Problem(id="DW052", message=message, remedy=remedy)])
