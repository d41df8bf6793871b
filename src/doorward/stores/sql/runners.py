"""In which thread and transaction statements run.

An asynchronous host has one writer: SQLite lets one write at a time, and what waits meanwhile is committed together,
which shares the one wait for the disk.  Its look-ups take a few microseconds and run in the event loop itself; going to
a thread and back would take longer.  A synchronous host runs everything in the calling thread.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from functools import partial
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, Engine

from doorward.errors import Busy, StoreUnavailable
from doorward.ports import Clock
from doorward.stores.readiness import within_ping_timeout
from doorward.stores.sql.sqlite_file import SqliteFile
from doorward.stores.sql.transaction import Transaction
from doorward.stores.sql.worker import Job, Worker

T = TypeVar("T")
Statement = Callable[[Transaction], T]
"""What runs inside a transaction; never suspends."""

PROBED_FOR = timedelta(seconds=1)
"""How long a write that took is believed to show that the next one will, where readiness is asked."""

Translated = Callable[[], AbstractContextManager[None]]


class Runner(Protocol):
    """Runs statements.

    ``look_up`` is for one read that an index answers, ``read`` for one that may take longer, ``write`` for what
    changes something: it returns once that is committed.
    """

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def look_up(self, statement: Statement[T]) -> T: ...

    async def read(self, statement: Statement[T]) -> T: ...

    async def write(self, statement: Statement[T]) -> T: ...

    async def ping(self, statement: Statement[None]) -> None:
        """As ``look_up``, within ``PING_TIMEOUT``; where only a write shows that a database can be written, that too.

        Raises Busy or StoreUnavailable, whichever is the cause.
        """
        ...


class DirectRunner:
    """Runs statements in the calling thread and never suspends; for synchronous hosts and the command line.

    Threads may share it: each call takes a connection of its own.  So may processes that were forked from one which
    had opened it.
    """

    def __init__(
        self,
        engine: Engine,
        probing: Engine,
        *,
        file: SqliteFile,
        ready: Callable[[], object],
        translated: Translated,
        clock: Clock,
    ) -> None:
        self._engine = engine
        self._probing = probing
        self._file = file
        self._ready = ready
        self._translated = translated
        self._process = os.getpid()
        self._clock = clock

    async def open(self) -> None:
        self._ready()
        self._file.note()

    async def close(self) -> None:
        self._engine.dispose()
        self._probing.dispose()

    async def look_up(self, statement: Statement[T]) -> T:
        self._file.check()
        with self._translated(), self._own().execution_options(reads=True).connect() as connection:
            return statement(Transaction(connection=connection, clock=self._clock))

    read = look_up

    async def write(self, statement: Statement[T]) -> T:
        self._file.check()
        with self._translated(), self._own().begin() as connection:
            return statement(Transaction(connection=connection, clock=self._clock))

    async def ping(self, statement: Statement[None]) -> None:
        self._file.check()
        self._own()
        with self._translated(), self._probing.begin() as connection:
            _probe(Transaction(connection=connection, clock=self._clock), statement)

    def _own(self) -> Engine:
        """The connections of this process: SQLite's are not carried across a fork, not even to be closed."""
        if self._process != os.getpid():
            self._engine.dispose(close=False)
            self._probing.dispose(close=False)
            self._process = os.getpid()
        return self._engine


class SqliteRunner:
    """Runs statements for an event loop.

    Args:
        engine: for writing, and for reads that may take longer.
        looking_up: for look-ups in the event loop.
        ready: makes the file ready; slow.
        file: that the engines connect to.
        translated: turns errors of the driver into ours.
        clock: the store's time.
    """

    def __init__(
        self,
        engine: Engine,
        looking_up: Engine,
        *,
        file: SqliteFile,
        ready: Callable[[], object],
        translated: Translated,
        clock: Clock,
    ) -> None:
        self._file = file
        self._probed_until = float("-inf")
        self._engine = engine
        self._reading = engine.execution_options(reads=True)
        self._looking_up = looking_up.execution_options(reads=True)
        self._ready = ready
        self._translated = translated
        self._clock = clock
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._writer = Worker("doorward-writer", self._write_together)
        self._reader = Worker("doorward-reader", self._read_each)

    async def open(self) -> None:
        if self._connection is not None:
            return
        await asyncio.to_thread(self._ready)
        with self._translated():
            self._connection = self._looking_up.connect()
            # The first read makes the write-ahead log, where there is none.
            self._connection.exec_driver_sql("SELECT count(*) FROM doorward_meta").close()
        self._file.note(log=True)
        self._reader.start()
        self._writer.start()

    async def close(self) -> None:
        await self._writer.stop()
        await self._reader.stop()
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
        self._looking_up.dispose()
        self._engine.dispose()

    async def look_up(self, statement: Statement[T]) -> T:
        # The threads look at the file, with each read of the revocations at the latest.
        self._file.refuse_if_lost()
        # The lock is for event loops in two threads; one loop never waits here.
        with self._lock, self._translated():
            if self._connection is None:
                raise StoreUnavailable(detail="the store is not open")
            return statement(Transaction(connection=self._connection, clock=self._clock))

    async def read(self, statement: Statement[T]) -> T:
        return await self._reader.do(statement)

    async def write(self, statement: Statement[T]) -> T:
        return await self._writer.do(statement)

    async def ping(self, statement: Statement[None]) -> None:
        if time.monotonic() < self._probed_until:
            # Anybody may ask, and each write waits for the disk.
            await self.read(statement)
            return
        async with within_ping_timeout(lambda: Busy(detail="the writer of the database does not get on")):
            await self.write(partial(_probe, statement=statement))
        self._probed_until = time.monotonic() + PROBED_FOR.total_seconds()

    def _read_each(self, jobs: list[Job]) -> None:
        for job in jobs:
            with job.failing():
                self._file.check()
            if job.error is not None:
                continue
            with job.failing(), self._translated(), self._reading.connect() as connection:
                job.result = job.statement(Transaction(connection=connection, clock=self._clock))

    def _write_together(self, jobs: list[Job]) -> None:
        try:
            self._commit(jobs)
        except Exception as error:  # noqa: BLE001 -- whatever it was, each caller is told, and the writer goes on
            kind = Busy if isinstance(error, Busy) else StoreUnavailable
            for job in jobs:
                # One error each: a traceback grows with every place that raises it.
                job.error = job.error or kind(detail=f"not committed, or not known to be: {error}")

    def _commit(self, jobs: list[Job]) -> None:
        """Run writes in one transaction; one that fails leaves nothing behind and the others alone."""
        self._file.check()
        with self._translated(), self._engine.begin() as connection:
            for job in jobs:
                with job.failing(), self._translated(), _apart(connection):
                    job.result = job.statement(Transaction(connection=connection, clock=self._clock))
                if job.error is not None and not _is_in_transaction(connection):
                    # A full disk can make SQLite give up all of it: what the others wrote is gone too.
                    raise StoreUnavailable(detail="the database gave the transaction up")


def _probe(tx: Transaction, statement: Statement[None]) -> None:
    """Read, and write what is there: a lock of another process, or a full disk, shows in nothing else."""
    statement(tx)
    tx.connection.exec_driver_sql("UPDATE doorward_meta SET value = value WHERE name = 'identity'").close()


@contextmanager
def _apart(connection: Connection) -> Iterator[None]:
    """Let what fails leave nothing behind, in a transaction that goes on.

    The driver is asked itself: SQLAlchemy takes longer over a savepoint than over most of what is done in it.
    """
    driver: Any = connection.connection.dbapi_connection
    driver.execute("SAVEPOINT job")
    try:
        yield
    except BaseException:
        if driver.in_transaction:
            driver.execute("ROLLBACK TO job")
            driver.execute("RELEASE job")
        raise
    driver.execute("RELEASE job")


def _is_in_transaction(connection: Connection) -> bool:
    driver: Any = connection.connection.dbapi_connection
    return bool(driver.in_transaction)
