"""SQLite: how a file is connected to, made ready, and what its errors mean."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.pool import QueuePool

from doorward.clocks import system_clock
from doorward.errors import Busy, DatabaseUnusable, FieldError, StoreUnavailable, ValidationFailed
from doorward.ports import Clock
from doorward.stores.readiness import PING_TIMEOUT
from doorward.stores.sql.migrations import HEAD, Migration, revision_of, upgrade
from doorward.stores.sql.runners import DirectRunner, Runner, SqliteRunner
from doorward.stores.sql.sqlite_file import SqliteFile
from doorward.stores.sql.store import SqlStore

BUSY_TIMEOUT = timedelta(seconds=2)
"""How long a writer waits for another process."""

OPEN_TIMEOUT = timedelta(seconds=5)
"""The same while a file is made ready: several processes may start at once, and one of them migrates."""

LOOK_UP_TIMEOUT = timedelta(milliseconds=250)
"""How long a look-up on the event loop waits: in WAL readers wait only while the file is recovered or closed."""

_CONNECTIONS = 8
_MORE_CONNECTIONS = 24

_REMEDIES = {
    sqlite3.SQLITE_NOTADB: "is not a SQLite database. Name another file, or move this one away.",
    sqlite3.SQLITE_CORRUPT: "is damaged. Put back a backup, or save what is left with: sqlite3 FILE .recover",
    sqlite3.SQLITE_READONLY: "cannot be written. Let this process write the file and the directory that it is in.",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened. Let this process read and write the file and the directory it is in.",
    sqlite3.SQLITE_PERM: "cannot be opened. Let this process read and write the file and the directory it is in.",
}


_BY_EFFECTIVE_ID = os.access in os.supports_effective_ids


def sqlite_store(place: str, *, clock: Clock = system_clock, blocking: bool = False) -> SqlStore:
    """The store in a SQLite file; as ``sqlite_runner``."""
    return SqlStore(sqlite_runner(place, clock=clock, blocking=blocking))


def sqlite_runner(place: str, *, clock: Clock = system_clock, blocking: bool = False) -> Runner:
    """What runs statements in a SQLite file.

    Args:
        place: the file, made where there is none; its directory has to be there.
        clock: the store's time.
        blocking: whether it is used from synchronous code, in the caller's thread.
    """
    path = Path(place).absolute()
    engine = sqlite_engine(path, timeout=BUSY_TIMEOUT)
    file, ready, errors = SqliteFile(path), partial(migrate_sqlite, str(path)), partial(translated, path)
    if blocking:
        probing = sqlite_engine(path, timeout=PING_TIMEOUT)
        return DirectRunner(engine, probing, file=file, ready=ready, translated=errors, clock=clock)
    looking_up = sqlite_engine(path, timeout=LOOK_UP_TIMEOUT, pragmas=("query_only = ON",))
    return SqliteRunner(engine, looking_up, file=file, ready=ready, translated=errors, clock=clock)


def migrate_sqlite(place: str) -> Migration:
    """Bring a file to the revision of this version of Doorward.  Raises DatabaseUnusable."""
    path = Path(place).absolute()
    engine = sqlite_engine(path, timeout=OPEN_TIMEOUT)
    try:
        return make_ready(path, engine)
    finally:
        engine.dispose()


def sqlite_engine(path: Path, *, timeout: timedelta, pragmas: tuple[str, ...] = ()) -> Engine:
    """Connections to a file; a transaction begins by taking the write lock unless it is asked to only read."""
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        # An error repeats its parameters otherwise, and some of them are hashes.
        hide_parameters=True,
        poolclass=QueuePool,
        pool_size=_CONNECTIONS,
        max_overflow=_MORE_CONNECTIONS,
        pool_timeout=timeout.total_seconds(),
        connect_args={"timeout": timeout.total_seconds(), "check_same_thread": False},
    )
    event.listen(engine, "connect", partial(_on_connect, pragmas=pragmas))
    event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(connection: sqlite3.Connection, _record: object, *, pragmas: tuple[str, ...]) -> None:
    # The driver's own idea of when a transaction begins is put out of the way; _on_begin says when.
    connection.isolation_level = None
    for pragma in ("foreign_keys = ON", "synchronous = FULL", *pragmas):
        connection.execute(f"PRAGMA {pragma}")


def _on_begin(connection: Connection) -> None:
    if not connection.get_execution_options().get("reads"):
        # Taken at once: a transaction that reads first and asks for the lock later cannot wait for it.
        connection.exec_driver_sql("BEGIN IMMEDIATE")


# Making ready


def make_ready(path: Path, engine: Engine) -> Migration:
    """Make a file ready to be used: there, in WAL, at the newest revision, and writable.

    Raises:
        DatabaseUnusable: it cannot be; the detail names the file and the remedy.
        StoreUnavailable: another process holds it, or the disk does not take what is written.
    """
    _make_file(path)
    with opening(path):
        with engine.execution_options(reads=True).connect() as connection:
            _use_wal(connection)
            before = revision_of(connection)
        with engine.begin() as connection:
            done = Migration(before=before, after=HEAD) if before == HEAD else upgrade(connection)
            # Nothing changes, but a file that cannot be written says so now instead of at the first sign-in.
            connection.exec_driver_sql("UPDATE doorward_meta SET value = value WHERE name = 'identity'")
        return done


def _make_file(path: Path) -> None:
    if not path.parent.is_dir():
        raise DatabaseUnusable(f"{path}: the directory {path.parent} does not exist. Create it, or name another place.")
    if path.is_dir():
        raise DatabaseUnusable(f"{path} is a directory. Name a file.")
    try:
        # Hashes of passwords are in it: nobody else reads it.  What SQLite puts beside it gets the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        _refuse_if_not_ours(path)
    except OSError as error:
        raise DatabaseUnusable(
            f"{path} cannot be made ({error.strerror}). Let this process write to {path.parent}, or name another place."
        ) from error


def _refuse_if_not_ours(path: Path) -> None:
    """Before SQLite is asked: it gives what it puts beside a read-only file the same mode, and leaves it there."""
    for file in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        # Asked, not tried: to close a file of one's own takes away the locks that SQLite holds on it in this process.
        if file.exists() and not os.access(file, os.R_OK | os.W_OK, effective_ids=_BY_EFFECTIVE_ID):
            raise DatabaseUnusable(f"{file} {_REMEDIES[sqlite3.SQLITE_READONLY]}")


def _use_wal(connection: Connection) -> None:
    # SQLite does not wait by itself where two processes change the mode of one new file.
    deadline = time.monotonic() + OPEN_TIMEOUT.total_seconds()
    while True:
        try:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL").close()
        except DBAPIError as error:
            if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


@contextmanager
def opening(path: Path) -> Iterator[None]:
    try:
        yield
    except DatabaseUnusable as error:
        raise DatabaseUnusable(f"{path}: {error.detail}") from error
    except (DBAPIError, sqlite3.Error) as error:
        if _code(error) in _REMEDIES:
            raise DatabaseUnusable(f"{path} {_REMEDIES[_code(error)]}") from error
        raise StoreUnavailable(detail=f"{path}: {_cause(error)}") from error


# Errors


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Errors of the driver as errors that a caller can act on.

    A mistake of ours (a constraint that is broken, a statement that is wrong) stays what it is.
    """
    try:
        yield
    except (IntegrityError, ProgrammingError, sqlite3.IntegrityError, sqlite3.ProgrammingError):
        raise
    except NoConnectionFree as error:
        raise Busy(detail="all connections to the database are in use") from error
    except (DBAPIError, sqlite3.Error) as error:
        if _code(error) == sqlite3.SQLITE_BUSY:
            raise Busy(detail=f"{path}: another process holds the lock for writing ({_cause(error)})") from error
        # Whether a commit took is not known here, and nobody is signed out for that.
        raise StoreUnavailable(detail=f"{path}: {_cause(error)}") from error
    except (UnicodeEncodeError, OverflowError) as error:
        raise ValidationFailed([FieldError(field="request", message="A text or a number cannot be stored.")]) from error


def _cause(error: BaseException) -> BaseException:
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def _code(error: BaseException) -> int:
    """The primary result code: the extended ones say more in their upper bits."""
    code: Any = getattr(_cause(error), "sqlite_errorcode", 0)
    return int(code) & 0xFF
