"""Statements on PostgreSQL: under an event loop by asyncpg, in the calling thread by psycopg.

Transactions are READ COMMITTED: each statement sees what was committed before it, and a statement that waited for a row
looks at it anew.  What has to stay as it is for longer is locked.  A transaction that the engine gave up, or whose
connection was lost before its commit was asked for, has left nothing behind and is begun again, a bounded number of
times within a bounded time.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from doorward.errors import Busy, StoreUnavailable, Unavailable
from doorward.ports import Clock
from doorward.stores.readiness import PING_TIMEOUT, within_ping_timeout
from doorward.stores.sql import pooler
from doorward.stores.sql.batches import BATCHES
from doorward.stores.sql.hot_path import NotHeld
from doorward.stores.sql.postgres_address import PostgresAddress
from doorward.stores.sql.postgres_errors import Unsure, has_rolled_back, is_worth_another_try, translated, unusable
from doorward.stores.sql.postgres_hot_path import HotPath
from doorward.stores.sql.rotation import Rotate
from doorward.stores.sql.runners import Statement
from doorward.stores.sql.sessions import Start
from doorward.stores.sql.transaction import Transaction

T = TypeVar("T")

OPERATION_TIMEOUT = timedelta(seconds=8)
"""How long one operation may take in all, waiting for a connection and starting over included; in the calling thread,
until when another attempt may begin."""

ATTEMPTS = 4

CLOSE_TIMEOUT = timedelta(seconds=5)


class AsyncpgRunner:
    """Runs statements for an event loop.

    Args:
        address: of the database, for messages.
        connect: makes the engine, once there is a loop.
        ready: refuses a database that is not ready; raises DatabaseUnusable.
        clock: instead of the database's own.
        hot_path: makes the quicker way of look-ups and rotations, once there is a loop; None: they go as all others.
    """

    def __init__(
        self,
        address: PostgresAddress,
        connect: Callable[[], AsyncEngine],
        *,
        ready: Callable[[Connection], None],
        clock: Clock | None,
        hot_path: Callable[[], HotPath] | None = None,
    ) -> None:
        self._address = address
        self._connect = connect
        self._ready = ready
        self._clock = clock
        self._make_hot_path = hot_path
        self._hot_path: HotPath | None = None
        self._engine: AsyncEngine | None = None
        self._reading: AsyncEngine | None = None

    async def open(self) -> None:
        if self._engine is not None:
            return
        engine = self._connect()
        reading = engine.execution_options(isolation_level="AUTOCOMMIT")
        try:
            await self._run(reading, self._ready, told=unusable)
            await self._refuse_lent(reading)
        except BaseException:
            await _dispose(engine)
            raise
        self._engine, self._reading = engine, reading
        self._hot_path = self._make_hot_path() if self._make_hot_path is not None else None

    async def _refuse_lent(self, reading: AsyncEngine) -> None:
        text, apart = secrets.token_hex(8), self._connect()
        try:
            async with asyncio.timeout(OPERATION_TIMEOUT.total_seconds()), reading.connect() as one:
                await one.run_sync(pooler.mark, text)
                # Of no pool of ours: nothing is kept of it.
                async with apart.execution_options(isolation_level="AUTOCOMMIT").connect() as other:
                    is_lent = await other.run_sync(pooler.has_mark, text)
        except Exception as error:
            raise unusable(error, self._address) from error
        finally:
            await _dispose(apart)
        if is_lent:
            raise pooler.lent_by_the_transaction(self._address)

    async def close(self) -> None:
        engine, self._engine, self._reading = self._engine, None, None
        hot_path, self._hot_path = self._hot_path, None
        if hot_path is not None:
            await hot_path.close()
        if engine is not None:
            await _dispose(engine)

    async def look_up(self, statement: Statement[T]) -> T:
        if self._hot_path is not None and type(statement) in BATCHES:
            return cast("T", await self._hot_path.look_up(statement))
        return await self._run(self._reading, partial(_alone, statement=statement, clock=self._clock))

    read = look_up

    async def write(self, statement: Statement[T]) -> T:
        if self._hot_path is not None and isinstance(statement, Rotate):
            done = await self._hot_path.rotate(statement)
            if not isinstance(done, NotHeld):
                return cast("T", done)
        if self._hot_path is not None and isinstance(statement, Start) and statement.ends_nothing:
            started = await self._hot_path.start(statement)
            if started is not None:
                return cast("T", started)
        return await self._run(self._engine, partial(_in_transaction, statement=statement, clock=self._clock))

    async def ping(self, statement: Statement[None]) -> None:
        async with within_ping_timeout(self._overdue):
            await self.look_up(statement)

    def _overdue(self) -> Unavailable:
        pool: Any = None if self._engine is None else self._engine.pool
        if pool is not None and pool.checkedout() >= pool.size():
            return Busy(detail=f"{self._address}: all {pool.size()} connections of the pool are in use")
        return StoreUnavailable(detail=f"{self._address}: no answer in time")

    async def _run(
        self,
        engine: AsyncEngine | None,
        work: Callable[[Connection], T],
        *,
        told: Callable[[Exception, PostgresAddress], Exception] = translated,
    ) -> T:
        if engine is None:
            raise StoreUnavailable(detail="the store is not open")
        try:
            async with asyncio.timeout(OPERATION_TIMEOUT.total_seconds()):
                return await _until_done(engine, work)
        except Exception as error:
            raised = told(error, self._address)
            if raised is error:
                raise
            raise raised from error


async def _dispose(engine: AsyncEngine) -> None:
    """Close the connections; an engine that does not take leave is left all the same."""
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_TIMEOUT.total_seconds()):
            await engine.dispose()


async def _until_done(engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
    for attempt in count(1):
        try:
            async with engine.connect() as connection:
                return await connection.run_sync(work)
        except Exception as error:
            if attempt == ATTEMPTS or not is_worth_another_try(error):
                raise
    raise AssertionError("counting has an end")


class PsycopgRunner:
    """Runs statements in the calling thread and never suspends; for synchronous hosts and the command line.

    Threads may share it, and so may processes that were forked from one which had opened it.
    """

    def __init__(
        self,
        address: PostgresAddress,
        engine: Engine,
        probing: Engine,
        *,
        ready: Callable[[Connection], None],
        clock: Clock | None,
    ) -> None:
        self._address = address
        self._engine = engine
        self._probing = probing.execution_options(isolation_level="AUTOCOMMIT")
        self._reading = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._ready = ready
        self._clock = clock
        self._process = os.getpid()

    async def open(self) -> None:
        try:
            self._run(self._reading, self._ready, told=unusable)
            self._refuse_lent()
        except BaseException:
            self._engine.dispose()
            raise

    def _refuse_lent(self) -> None:
        text = secrets.token_hex(8)
        try:
            with self._reading.connect() as one, self._probing.connect() as other:
                pooler.mark(one, text)
                is_lent = pooler.has_mark(other, text)
        except Exception as error:
            raise unusable(error, self._address) from error
        if is_lent:
            raise pooler.lent_by_the_transaction(self._address)

    async def close(self) -> None:
        self._engine.dispose()

    async def look_up(self, statement: Statement[T]) -> T:
        return self._run(self._reading, partial(_alone, statement=statement, clock=self._clock))

    read = look_up

    async def write(self, statement: Statement[T]) -> T:
        return self._run(self._engine, partial(_in_transaction, statement=statement, clock=self._clock))

    async def ping(self, statement: Statement[None]) -> None:
        # On a connection of its own: it tells whether the engine answers, not whether others keep the pool busy.
        self._run(
            self._probing, partial(_alone, statement=statement, clock=self._clock), attempts=1, within=PING_TIMEOUT
        )

    def _run(
        self,
        engine: Engine,
        work: Callable[[Connection], T],
        *,
        told: Callable[[Exception, PostgresAddress], Exception] = translated,
        attempts: int = ATTEMPTS,
        within: timedelta | None = None,
    ) -> T:
        if self._process != os.getpid():
            # Two processes on one connection would read each other's answers.
            self._engine.dispose(close=False)
            self._process = os.getpid()
        until = time.monotonic() + (within or OPERATION_TIMEOUT).total_seconds()
        for attempt in count(1):
            try:
                with engine.connect() as connection:
                    # What is left of the operation's time, however many answers it waits for.
                    connection.connection.dbapi_connection.answers_until = until  # type: ignore[union-attr]
                    return work(connection)
            except Exception as error:
                if attempt < attempts and time.monotonic() < until and is_worth_another_try(error):
                    continue
                raised = told(error, self._address)
                if raised is error:
                    raise
                raise raised from error
        raise AssertionError("counting has an end")


def _alone(connection: Connection, *, statement: Statement[T], clock: Clock | None) -> T:
    """Run what only reads; each of its statements is a transaction of its own."""
    return statement(Transaction(connection=connection, clock=clock or partial(_time, connection)))


def _in_transaction(connection: Connection, *, statement: Statement[T], clock: Clock | None) -> T:
    with connection.begin() as transaction:
        result = statement(Transaction(connection=connection, clock=clock or partial(_time, connection)))
        try:
            transaction.commit()
        except Exception as error:
            if has_rolled_back(error):
                raise
            # Once more could be twice.
            raise Unsure from error
    return result


def _time(connection: Connection) -> datetime:
    now: datetime = connection.exec_driver_sql("SELECT clock_timestamp()").scalar_one()
    return now
