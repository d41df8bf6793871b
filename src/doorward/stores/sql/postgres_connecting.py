"""Connections to PostgreSQL, by both drivers.

Every connection brings its own bounds: a statement that is slow, a lock that is not given, a transaction that somebody
forgot and an engine that does not answer all end by themselves.  They are set by SET once the connection is there, and
not as parameters of its start, which poolers refuse.
"""

from __future__ import annotations

import logging
import math
import ssl
import time
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.pool import NullPool, QueuePool

from doorward.errors import DatabaseUnusable
from doorward.stores.sql.postgres_address import PostgresAddress
from doorward.stores.sql.postgres_errors import READ_ONLY, sqlstate_of

CONNECT_TIMEOUT = timedelta(seconds=3)
POOL_TIMEOUT = timedelta(seconds=2)
STATEMENT_TIMEOUT = timedelta(seconds=5)
LOCK_TIMEOUT = timedelta(seconds=2)
IDLE_IN_TRANSACTION_TIMEOUT = timedelta(seconds=10)
"""After which the engine ends a transaction that nobody goes on with, such as one of a server that froze."""


_log = logging.getLogger(__name__)
_warned: set[tuple[str, str]] = set()


def settings_of(address: PostgresAddress) -> dict[str, str]:
    """What each connection sets once it is there."""
    return {
        **address.settings,
        # What the statements are written for, whatever somebody made the default.
        "default_transaction_isolation": "read committed",
        "timezone": "UTC",
        "statement_timeout": milliseconds(STATEMENT_TIMEOUT),
        "lock_timeout": milliseconds(LOCK_TIMEOUT),
        "idle_in_transaction_session_timeout": milliseconds(IDLE_IN_TRANSACTION_TIMEOUT),
        # Compiling a statement of a few rows takes longer than running it.
        "jit": "off",
    }


# An error repeats its parameters otherwise, and some of them are hashes.
_QUIET = {"hide_parameters": True}


def _pool(address: PostgresAddress, pool_size: int) -> dict[str, Any]:
    return {
        **_QUIET,
        "pool_size": pool_size,
        "max_overflow": 0,
        "pool_timeout": (address.pool_timeout or POOL_TIMEOUT).total_seconds(),
        # Every transaction of ours ends by itself; a rollback more for each would be a way to the engine and back.
        "pool_reset_on_return": None,
    }


def asyncpg_engine(address: PostgresAddress, *, pool_size: int) -> Any:
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=partial(connect_asyncpg, address), **_pool(address, pool_size)
    )
    event.listen(engine.sync_engine, "handle_error", _leave_what_became_a_standby)
    return engine


async def connect_asyncpg(address: PostgresAddress) -> Any:
    import asyncpg

    connection = await asyncpg.connect(
        address.tls,
        host=list(address.hosts) or None,
        port=list(address.ports) or None,
        user=address.user,
        password=address.password.reveal() if address.password else None,
        database=address.database,
        timeout=_connect_timeout(address).total_seconds(),
        server_settings=_named(address) | _routed(address),
        **({"ssl": verifying_tls(address)} if address.needs_verified_tls else {}),
    )
    try:
        await _set_on_asyncpg(address, connection)
    except BaseException:
        connection.terminate()
        raise
    return connection


async def _set_on_asyncpg(address: PostgresAddress, connection: Any) -> None:
    import asyncpg

    settings, bound = settings_of(address), _connect_timeout(address).total_seconds()
    try:
        await connection.execute(_setting(settings), timeout=bound)
    except asyncpg.PostgresError:
        # Once more one by one: a pooler or another engine may know all of them but one.
        for name, value in settings.items():
            try:
                await connection.execute(_setting({name: value}), timeout=bound)
            except asyncpg.PostgresError as error:
                _tolerate(address, name, error, is_lost=connection.is_closed())


def psycopg_engine(address: PostgresAddress, *, answer_timeout: timedelta | None, pooled: bool = True) -> Engine:
    """Blocking connections.

    Args:
        address: of the database.
        answer_timeout: how long an answer is waited for; None: as long as it takes.
        pooled: whether connections are kept; else each is closed after its use.
    """
    connect = partial(_connect_psycopg, address, answer_timeout)
    pool = (
        {"poolclass": QueuePool, **_pool(address, address.pool_size)} if pooled else {"poolclass": NullPool, **_QUIET}
    )
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
    if address.channel_binding:
        passed["channel_binding"] = address.channel_binding
    connection = Bounded.connect(
        **{name: value for name, value in places.items() if value is not None},
        **_named(address),
        **passed,
        **_routed(address),
        connect_timeout=int(_connect_timeout(address).total_seconds()),
        autocommit=True,
    )
    try:
        connection.answers_until = time.monotonic() + _connect_timeout(address).total_seconds()
        _set_on_psycopg(address, connection)
        connection.answers_until = math.inf
    except BaseException:
        connection.close()
        raise
    connection.autocommit = False
    return connection


def _set_on_psycopg(address: PostgresAddress, connection: Any) -> None:
    import psycopg

    settings = settings_of(address)
    try:
        connection.execute(_setting(settings))
    except psycopg.Error:
        for name, value in settings.items():
            try:
                connection.execute(_setting({name: value}))
            except psycopg.Error as error:
                _tolerate(address, name, error, is_lost=connection.closed)


def _setting(settings: Mapping[str, str]) -> str:
    """The statement that sets them.  Names and values are ours, or what ``parse_postgres`` has let through."""
    calls = (f"set_config('{name}', '{value}', false)" for name, value in settings.items())
    return f"SELECT {', '.join(calls)}"


def _tolerate(address: PostgresAddress, name: str, error: Exception, *, is_lost: bool) -> None:
    """Go on without a setting of ours that the engine does not take; say so once."""
    if is_lost:
        raise error
    if name in address.settings:
        remedy = "Correct the options in DOORWARD_DATABASE."
        raise DatabaseUnusable(
            f"{address} does not take the setting {name} that its address names. {remedy}"
        ) from error
    if (str(address), name) not in _warned:
        _warned.add((str(address), name))
        _log.warning("%s does not take the setting %s, so that bound does not hold there: %s", address, name, error)


def _connect_timeout(address: PostgresAddress) -> timedelta:
    return address.connect_timeout or CONNECT_TIMEOUT


def _routed(address: PostgresAddress) -> dict[str, Any]:
    """What a provider's proxy finds the database by, where the client does not tell it by TLS."""
    return {"options": address.route} if address.route else {}


def verifying_tls(address: PostgresAddress) -> ssl.SSLContext:
    """TLS that checks the certificate and the name in it.

    asyncpg knows no channel binding.  This protects from the same: somebody in between who has a certificate of his
    own.
    """
    options = address.options
    root = options.get("sslrootcert", "system")
    context = ssl.create_default_context(cafile=None if root == "system" else root)
    if "sslcert" in options:
        context.load_cert_chain(options["sslcert"], options.get("sslkey"), options.get("sslpassword"))
    if "sslcrl" in options:
        context.load_verify_locations(cafile=options["sslcrl"])
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    return context


def _named(address: PostgresAddress) -> dict[str, Any]:
    return {"application_name": address.options.get("application_name", "doorward")}


def _leave_what_became_a_standby(context: ExceptionContext) -> None:
    """After a failover the connections still lead to the old primary, which only reads."""
    if sqlstate_of(context.original_exception) == READ_ONLY:
        context.is_disconnect = True


def milliseconds(duration: timedelta) -> str:
    return str(duration // timedelta(milliseconds=1))
