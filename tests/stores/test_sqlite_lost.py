"""A SQLite file that another process locks, that a full disk stops, or that is not there any more."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from doorward.blocking import run_blocking
from doorward.errors import Busy, StoreUnavailable
from doorward.ports import Page
from doorward.stores import open_store, readiness
from doorward.stores.sql import runners, sqlite
from doorward.stores.sql.store import SqlStore
from doorward.testing.store_suite.case import sign_up
from tests.sessions.deployments import template

__all__ = ["template"]

SOON = timedelta(milliseconds=30)
LATE = timedelta(seconds=30)
"""What a machine that is busy reaches neither."""


@pytest.fixture
def path(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(template, tmp_path / "doorward.db"))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "PING_TIMEOUT", LATE)
    # How long a lock is waited for: only where there is one.
    monkeypatch.setattr(sqlite, "PING_TIMEOUT", SOON)
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", SOON)
    monkeypatch.setattr(runners, "PROBED_FOR", timedelta(0))


def a_store(path: Path, *, blocking: bool = False) -> SqlStore:
    store = open_store(f"sqlite:///{path}", blocking=blocking)
    assert isinstance(store, SqlStore)
    return store


def delete(path: Path) -> None:
    for each in path.parent.glob(f"{path.name}*"):
        each.unlink()


def replace(path: Path) -> None:
    copy = path.with_name("copy")
    shutil.copy(path, copy)
    copy.rename(path)


def delete_the_log(path: Path) -> None:
    path.with_name(f"{path.name}-wal").unlink()


def move(path: Path, to: Path) -> None:
    path.rename(to)


LOST = pytest.mark.parametrize("lose", [delete, replace])


@pytest.mark.parametrize("lose", [delete, replace, delete_the_log])
@pytest.mark.anyio
async def test_a_file_that_is_lost_is_noticed_with_the_next_read_and_answered_503_from_then_on(
    path: Path, caplog: pytest.LogCaptureFixture, lose: Callable[[Path], None]
) -> None:
    store = a_store(path)
    await store.open()
    try:
        lose(path)
        # Every server does this once a second.
        with pytest.raises(StoreUnavailable, match="restart"):
            await store.revocations()
        for operation in (store.account("a"), store.accounts(Page()), sign_up(store), store.ping()):
            with pytest.raises(StoreUnavailable):
                await operation
        (told,) = [record for record in caplog.records if record.levelno == logging.CRITICAL]
        assert str(path) in told.getMessage()
        assert "restart" in told.getMessage()
    finally:
        await store.close()


@LOST
def test_a_host_without_a_loop_notices_with_the_next_operation(path: Path, lose: Callable[[Path], None]) -> None:
    store = a_store(path, blocking=True)
    run_blocking(store.open())
    lose(path)
    for operation in (store.account("a"), sign_up(store), store.ping()):
        with pytest.raises(StoreUnavailable):
            run_blocking(operation)
    run_blocking(store.close())


@pytest.mark.anyio
async def test_a_file_that_is_put_back_is_used_again(path: Path) -> None:
    store = a_store(path)
    await store.open()
    away = path.with_name("away")
    move(path, away)
    with pytest.raises(StoreUnavailable):
        await store.revocations()
    move(away, path)
    await store.revocations()
    await sign_up(store)
    await store.close()


@pytest.mark.anyio
@pytest.mark.parametrize("blocking", [False, True])
async def test_a_server_that_another_process_keeps_from_writing_is_not_ready(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, blocking: bool
) -> None:
    store = a_store(path, blocking=blocking)
    await store.open()
    await store.ping()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with monkeypatch.context() as impatient:
            impatient.setattr(readiness, "PING_TIMEOUT", SOON)
            with pytest.raises(Busy):
                await store.ping()
        # Reading goes on, whoever holds the lock for writing.
        assert await store.account("a") is None
        other.execute("ROLLBACK")
    await store.ping()
    await store.close()


@pytest.mark.anyio
@pytest.mark.parametrize("blocking", [False, True])
async def test_a_server_whose_disk_is_full_is_not_ready(path: Path, *, blocking: bool) -> None:
    store = a_store(path, blocking=blocking)
    await store.open()
    engine = store._runner._probing if blocking else store._runner._engine  # type: ignore[attr-defined]
    from sqlalchemy import event

    def no_room(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("UPDATE"):
            raise sqlite3.OperationalError("database or disk is full")

    event.listen(engine, "before_cursor_execute", no_room)
    with pytest.raises(StoreUnavailable):
        await store.ping()
    event.remove(engine, "before_cursor_execute", no_room)
    await store.ping()
    await store.close()


@pytest.mark.anyio
async def test_readiness_writes_no_more_than_once_a_second(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runners, "PROBED_FOR", timedelta(hours=1))
    store = a_store(path)
    await store.open()
    await store.ping()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await store.ping()
        other.execute("ROLLBACK")
    await store.close()
