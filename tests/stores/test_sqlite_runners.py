"""Threads, commits and what goes wrong with them."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError

from doorward.blocking import run_blocking
from doorward.errors import Busy, StoreUnavailable, Unavailable, ValidationFailed
from doorward.ports import Page
from doorward.secret import Secret
from doorward.sessions.model import Sighting
from doorward.stores import open_store
from doorward.stores.sql import worker
from doorward.stores.sql.runners import SqliteRunner
from doorward.stores.sql.store import SqlStore
from doorward.stores.sql.transaction import Transaction
from doorward.testing import an_account, an_ending
from doorward.testing.store_suite.case import POLICY, SOMEBODY, presentation, row, sign_up, start
from tests.stores.at_once import race_processes

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "doorward.db"


@pytest.fixture
async def store(anyio_backend: str, path: Path) -> AsyncIterator[SqlStore]:
    store = open_store(f"sqlite:///{path}")
    assert isinstance(store, SqlStore)
    await store.open()
    yield store
    await store.close()


def runner_of(store: SqlStore) -> SqliteRunner:
    assert isinstance(store._runner, SqliteRunner)
    return store._runner


def note(name: str) -> Callable[[Transaction], None]:
    """A write that leaves a trace."""

    def write(tx: Transaction) -> None:
        tx.connection.execute(text("INSERT INTO doorward_meta VALUES (:name, '')"), {"name": name})

    return write


async def noted(store: SqlStore) -> set[str]:
    def read(tx: Transaction) -> set[str]:
        return set(tx.connection.execute(text("SELECT name FROM doorward_meta WHERE value = ''")).scalars())

    return await runner_of(store).look_up(read)


@asynccontextmanager
async def writer_at_rest(store: SqlStore) -> AsyncIterator[None]:
    """Whatever is asked for meanwhile is done together afterwards."""
    loop, begun, go_on = asyncio.get_running_loop(), asyncio.Event(), Event()

    def wait(_: Transaction) -> None:
        loop.call_soon_threadsafe(begun.set)
        go_on.wait()

    waiting = asyncio.ensure_future(runner_of(store).write(wait))
    await begun.wait()
    try:
        yield
    finally:
        # Not before what was asked for meanwhile stands in the queue.
        await asyncio.sleep(0)
        go_on.set()
        await waiting


async def outcomes(store: SqlStore, *statements: Callable[[Transaction], None]) -> list[BaseException | None]:
    """What becomes of writes that are committed together."""
    async with writer_at_rest(store):
        asked = [asyncio.ensure_future(runner_of(store).write(statement)) for statement in statements]
    return list(await asyncio.gather(*asked, return_exceptions=True))


async def test_writes_that_wait_share_one_commit(store: SqlStore) -> None:
    commits: list[object] = []
    event.listen(runner_of(store)._engine, "commit", commits.append)
    assert await outcomes(store, *[note(name) for name in "abcdef"]) == [None] * 6
    # The one that they waited for, and theirs.
    assert len(commits) == 2


async def test_one_write_that_fails_leaves_the_others_alone(store: SqlStore) -> None:
    def fail(tx: Transaction) -> None:
        note("half")(tx)
        raise LookupError("after half of it")

    first, second, third, fourth = await outcomes(store, note("a"), fail, note("a"), note("b"))
    assert (first, fourth) == (None, None)
    assert isinstance(second, LookupError)
    assert isinstance(third, IntegrityError)
    assert await noted(store) == {"a", "b"}


async def test_where_the_database_gives_up_the_transaction_nobody_is_told_that_it_took(store: SqlStore) -> None:
    await runner_of(store).write(
        lambda tx: tx.connection.execute(
            text(
                "CREATE TRIGGER gives_up BEFORE INSERT ON doorward_meta WHEN NEW.name = 'bad'"
                " BEGIN SELECT RAISE(ROLLBACK, 'gone'); END"
            )
        ).close()
    )
    told = await outcomes(store, note("a"), note("bad"), note("b"))
    assert all(isinstance(outcome, Exception) for outcome in told)
    assert isinstance(told[0], StoreUnavailable)
    assert await noted(store) == set()
    await runner_of(store).write(note("after"))
    assert await noted(store) == {"after"}


async def test_a_full_disk_is_not_now_and_reading_goes_on(store: SqlStore, path: Path) -> None:
    await sign_up(store)
    runner = runner_of(store)

    def fill(tx: Transaction) -> None:
        used = tx.connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        tx.connection.exec_driver_sql(f"PRAGMA max_page_count = {used}")
        tx.connection.exec_driver_sql("INSERT INTO doorward_meta VALUES ('big', zeroblob(1000000))")

    with pytest.raises(StoreUnavailable, match="full") as refused:
        await runner.write(fill)
    assert refused.value.retry_after >= timedelta(seconds=1)
    assert str(path) in refused.value.detail
    assert await store.account(an_account().id) == an_account()


async def test_who_gives_up_waiting_loses_the_answer_and_not_the_write(store: SqlStore) -> None:
    async with writer_at_rest(store):
        asked = asyncio.ensure_future(runner_of(store).write(note("a")))
        await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
    await runner_of(store).write(note("b"))
    assert await noted(store) == {"a", "b"}


async def test_a_full_queue_is_busy_at_once(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "QUEUE_BOUND", 3)
    told = await outcomes(store, *[note(name) for name in "abcdefgh"])
    refused = [outcome for outcome in told if isinstance(outcome, Busy)]
    assert refused
    assert len(await noted(store)) == len(told) - len(refused)
    assert all(refusal.retry_after > timedelta(0) for refusal in refused)


async def test_what_waited_for_too_long_is_not_begun(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "QUEUE_TIMEOUT", timedelta(seconds=-1))
    with pytest.raises(Busy, match="not begun"):
        await runner_of(store).write(note("late"))
    assert await noted(store) == set()


@pytest.mark.parametrize("blocking", [False, True])
async def test_a_writer_that_another_process_keeps_out_is_not_now(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, blocking: bool
) -> None:
    monkeypatch.setattr("doorward.stores.sql.sqlite.BUSY_TIMEOUT", timedelta(milliseconds=20))
    store = open_store(f"sqlite:///{path}", blocking=blocking)
    await store.open()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Busy, match="locked"):
            await sign_up(store)
        # Readers do not wait for writers.
        assert await store.account(an_account().id) is None
        assert list(await store.trail(Page())) == []
        other.execute("ROLLBACK")
    await sign_up(store)
    await store.close()


async def test_a_closed_store_does_what_was_asked_before_and_nothing_after(path: Path) -> None:
    store = open_store(f"sqlite:///{path}")
    await store.open()
    asked = asyncio.ensure_future(sign_up(store))
    await asyncio.sleep(0)
    await store.close()
    await asked
    with pytest.raises(Unavailable):
        await sign_up(store, 2)
    with pytest.raises(Unavailable):
        await store.account("x")
    again = open_store(f"sqlite:///{path}", blocking=True)
    run_blocking(again.open())
    assert run_blocking(again.account(an_account().id)) == an_account()
    run_blocking(again.close())


async def test_every_connection_waits_for_the_disk_and_minds_foreign_keys(store: SqlStore) -> None:
    def pragmas(tx: Transaction) -> list[object]:
        names = ("synchronous", "foreign_keys", "journal_mode")
        return [tx.connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in names]

    runner = runner_of(store)
    for run in (runner.write, runner.read, runner.look_up):
        assert await run(pragmas) == [2, 1, "wal"]


async def test_look_ups_cannot_write(store: SqlStore) -> None:
    with pytest.raises(StoreUnavailable, match="readonly"):
        await runner_of(store).look_up(note("x"))


async def test_no_error_repeats_what_was_to_be_stored(store: SqlStore) -> None:
    account = an_account(password_hash=Secret("$argon2id$hunter2"))
    await store.create_account(account, actor=SOMEBODY)
    with pytest.raises(IntegrityError) as refused:
        await store.create_account(an_account(email_key="other", password_hash=Secret("hunter2")), actor=SOMEBODY)
    assert "hunter2" not in str(refused.value)
    assert "other" not in repr(refused.value)


@pytest.mark.parametrize("operation", ["account", "account_by_email", "session_by_id", "sessions_of"])
async def test_text_that_is_no_unicode_is_refused(store: SqlStore, operation: str) -> None:
    with pytest.raises(ValidationFailed):
        await getattr(store, operation)("\ud800")


async def test_a_number_that_no_row_can_have_is_refused(store: SqlStore) -> None:
    with pytest.raises(ValidationFailed):
        await store.session(2**70)


async def test_text_with_a_nul_is_text(store: SqlStore) -> None:
    await sign_up(store, name="a\0b")
    assert await store.account("x\0y") is None
    assert await store.account(an_account().id) == an_account(name="a\0b")


async def test_processes_that_present_one_generation_make_one_successor(store: SqlStore, path: Path) -> None:
    await race_processes(store, f"sqlite:///{path}")


async def test_a_process_that_has_no_writer_is_told_so(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    # What a fork leaves: the object, and no thread behind it.
    monkeypatch.setattr(runner_of(store)._writer, "_thread", Thread())
    with pytest.raises(StoreUnavailable, match="in this process"):
        await sign_up(store)


def test_a_forked_process_takes_connections_of_its_own(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def connection(tx: Transaction) -> object:
        return tx.connection.connection.dbapi_connection

    store = open_store(f"sqlite:///{path}", blocking=True)
    assert isinstance(store, SqlStore)
    run_blocking(store.open())
    before = run_blocking(store._runner.write(connection))
    assert run_blocking(store._runner.write(connection)) is before
    monkeypatch.setattr(os, "getpid", lambda: -1)
    for run in (store._runner.look_up, store._runner.write):
        assert run_blocking(run(connection)) is not before
    assert isinstance(before, sqlite3.Connection)
    before.close()
    run_blocking(store.close())


async def test_ending_and_rotating_are_told_in_the_transaction_that_they_are_of(store: SqlStore) -> None:
    await sign_up(store)
    session = await start(store)
    before = len(await store.trail(Page()))
    await runner_of(store).write(
        lambda tx: tx.connection.exec_driver_sql(
            "CREATE TRIGGER no_trail BEFORE INSERT ON doorward_audit_event BEGIN SELECT RAISE(ABORT, 'no'); END"
        ).close()
    )
    for operation in (
        store.rotate(presentation(session), POLICY, actor=SOMEBODY),
        store.end_session(session.id, an_ending()),
        store.end_sessions(session.account, an_ending()),
    ):
        with pytest.raises((IntegrityError, sqlite3.IntegrityError)):
            await operation
    assert (await store.session(session.key)).session == session
    assert await store.account(session.account) == an_account()
    assert (await store.revocations()).revocations == ()
    assert len(await store.trail(Page())) == before


@pytest.mark.parametrize("moved", ["version = version + 1", "disabled_at = 1"])
async def test_a_session_that_missed_what_became_of_its_account_is_over_all_the_same(
    store: SqlStore, moved: str
) -> None:
    await sign_up(store)
    session = await start(store)
    await runner_of(store).write(
        lambda tx: tx.connection.exec_driver_sql(f"UPDATE doorward_account SET {moved}").close()
    )
    assert isinstance(await store.rotate(presentation(session), POLICY, actor=SOMEBODY), Sighting)
    await store.touch(session.key, idle=timedelta(days=2))
    assert await store.end_session(session.id, an_ending()) is None
    assert list(await store.sessions_of(session.account)) == []
    assert await row(store, session) == session
