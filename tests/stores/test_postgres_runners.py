"""Retries, time-outs and what goes wrong with connections."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError

from doorward.blocking import run_blocking
from doorward.errors import Busy, DatabaseUnusable, StoreUnavailable, Unavailable, ValidationFailed
from doorward.secret import Secret
from doorward.stores.sql import postgres, postgres_connecting, postgres_runners
from doorward.stores.sql.migrations import HEAD
from doorward.stores.sql.store import SqlStore
from doorward.stores.sql.transaction import Transaction
from doorward.testing import an_account
from doorward.testing.store_suite.case import SOMEBODY, sign_up, start
from tests.postgres import PostgresServer
from tests.stores.on_postgres import a_store, runner_of, until_somebody_waits

pytestmark = pytest.mark.anyio
SHORT = timedelta(milliseconds=100)


@pytest.fixture(params=[False, True], ids=["asyncpg", "psycopg"])
async def store(anyio_backend: str, address: str, request: pytest.FixtureRequest) -> AsyncIterator[SqlStore]:
    store = a_store(address, blocking=request.param)
    await store.open()
    yield store
    await store.close()


def engine_of(store: SqlStore) -> object:
    engine = runner_of(store)._engine
    return getattr(engine, "sync_engine", engine)


def note(name: str) -> Callable[[Transaction], None]:
    """A write that leaves a trace."""

    def write(tx: Transaction) -> None:
        tx.connection.execute(text("INSERT INTO doorward_meta VALUES (:name, '')"), {"name": name})

    return write


def cut(tx: Transaction) -> None:
    """The engine ends the connection that this runs on."""
    tx.connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))


def noted(postgres: PostgresServer) -> set[str]:
    return {name for (name,) in postgres.run("SELECT name FROM doorward_meta WHERE value = ''")}


async def test_time_is_the_databases_and_is_read_in_the_transaction(store: SqlStore) -> None:
    def times(tx: Transaction) -> tuple[datetime, datetime, datetime, datetime]:
        begun, read = tx.connection.execute(text("SELECT now(), clock_timestamp()")).one()
        return begun, read, tx.now, tx.now

    begun, read, now, again = await runner_of(store).write(times)
    assert begun <= read <= now == again
    assert now.astimezone(UTC).utcoffset() == timedelta(0)
    assert (await store.now()) >= now


async def test_a_transaction_that_the_engine_gave_up_is_begun_again(store: SqlStore, postgres: PostgresServer) -> None:
    begun = 0

    def write(tx: Transaction) -> None:
        nonlocal begun
        begun += 1
        note(f"attempt {begun}")(tx)
        if begun < 3:
            tx.connection.execute(text("DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$"))

    await runner_of(store).write(write)
    assert noted(postgres) == {"attempt 3"}


async def test_it_is_begun_again_a_bounded_number_of_times(store: SqlStore, postgres: PostgresServer) -> None:
    begun = 0

    def write(tx: Transaction) -> None:
        nonlocal begun
        begun += 1
        note("x")(tx)
        tx.connection.execute(text("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$"))

    with pytest.raises(Busy):
        await runner_of(store).write(write)
    assert begun == postgres_runners.ATTEMPTS
    assert noted(postgres) == set()


async def test_a_connection_that_was_lost_before_the_commit_costs_no_request(
    store: SqlStore, postgres: PostgresServer
) -> None:
    begun = 0

    def write(tx: Transaction) -> None:
        nonlocal begun
        begun += 1
        note(f"attempt {begun}")(tx)
        if begun == 1:
            cut(tx)

    await runner_of(store).write(write)
    assert noted(postgres) == {"attempt 2"}


async def test_connections_that_the_engine_ended_while_they_were_idle_cost_no_request(
    store: SqlStore, postgres: PostgresServer
) -> None:
    await sign_up(store)
    postgres.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'doorward'")
    assert await store.account(an_account().id) == an_account()
    await start(store)


async def test_a_commit_whose_outcome_is_not_known_is_not_tried_again(
    store: SqlStore, postgres: PostgresServer
) -> None:
    begun = 0

    def write(tx: Transaction) -> None:
        nonlocal begun
        begun += 1
        note("once")(tx)

    def lose(_: object) -> None:
        postgres.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'doorward'")

    event.listen(engine_of(store), "commit", lose)
    with pytest.raises(StoreUnavailable, match="not known"):
        await runner_of(store).write(write)
    event.remove(engine_of(store), "commit", lose)
    assert begun == 1
    await runner_of(store).write(note("after"))


async def test_a_lock_that_is_not_given_is_busy(
    address: str, other: psycopg.Connection[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_connecting, "LOCK_TIMEOUT", SHORT)
    for blocking in (False, True):
        store = a_store(address, blocking=blocking)
        await store.open()
        if not blocking:
            await sign_up(store)
        other.execute("SELECT * FROM doorward_account FOR UPDATE")
        with pytest.raises(Busy) as refused:
            await start(store)
        assert refused.value.retry_after >= timedelta(seconds=1)
        # Readers do not wait for writers.
        assert await store.account(an_account().id) == an_account()
        other.rollback()
        await start(store, 1 + blocking)
        await store.close()


@pytest.mark.parametrize("blocking", [False, True])
async def test_a_statement_that_is_slow_is_not_now(
    address: str, monkeypatch: pytest.MonkeyPatch, *, blocking: bool
) -> None:
    monkeypatch.setattr(postgres_connecting, "STATEMENT_TIMEOUT", 5 * SHORT)
    store = a_store(address, blocking=blocking)
    await store.open()
    with pytest.raises(StoreUnavailable):
        await runner_of(store).look_up(lambda tx: tx.connection.execute(text("SELECT pg_sleep(60)")).all())
    await sign_up(store)
    await store.close()


@pytest.mark.parametrize("blocking", [False, True])
async def test_an_engine_that_does_not_answer_is_not_waited_for(
    address: str, monkeypatch: pytest.MonkeyPatch, *, blocking: bool
) -> None:
    monkeypatch.setattr(postgres, "ANSWER_TIMEOUT", 10 * SHORT)
    monkeypatch.setattr(postgres_runners, "OPERATION_TIMEOUT", timedelta(seconds=1))
    store = a_store(address, blocking=blocking)
    await store.open()
    with pytest.raises(StoreUnavailable):
        await runner_of(store).write(lambda tx: tx.connection.execute(text("SELECT pg_sleep(60)")).all())
    await sign_up(store)
    await store.close()


@pytest.mark.parametrize("blocking", [False, True])
async def test_an_engine_that_stands_still_is_left_and_come_back_to(
    address: str, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, *, blocking: bool
) -> None:
    monkeypatch.setattr("doorward.stores.sql.postgres.ANSWER_TIMEOUT", 10 * SHORT)
    if not blocking:
        monkeypatch.setattr(postgres_runners, "OPERATION_TIMEOUT", 10 * SHORT)
    store = a_store(address, blocking=blocking)
    await store.open()
    pids = [pid for (pid,) in postgres.run("SELECT pid FROM pg_stat_activity WHERE application_name = 'doorward'")]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        # A blocking host has time for another try.
        with nullcontext() if blocking else pytest.raises(StoreUnavailable):
            assert list(await store.keys()) == []
        await sign_up(store)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    await store.close()


async def test_where_all_connections_are_in_use_it_is_busy_and_goes_on_afterwards(
    address: str, other: psycopg.Connection[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_connecting, "POOL_TIMEOUT", SHORT)
    store = a_store(f"{address}?pool_size=1")
    await store.open()
    await sign_up(store)
    other.execute("SELECT * FROM doorward_account FOR UPDATE")
    slow = asyncio.ensure_future(start(store))
    await until_somebody_waits(address)
    with pytest.raises(Busy):
        await store.account("x")
    other.rollback()
    await slow
    assert await store.account("x") is None
    await store.close()


async def test_a_connection_that_became_a_standbys_is_left(store: SqlStore) -> None:
    begun = 0

    def write(tx: Transaction) -> None:
        nonlocal begun
        begun += 1
        if begun == 1:
            tx.connection.execute(text("SET TRANSACTION READ ONLY"))
        note("x")(tx)

    await runner_of(store).write(write)
    assert begun == 2


@pytest.mark.parametrize("blocking", [False, True])
async def test_a_database_that_is_not_there_is_told_without_its_password(address: str, *, blocking: bool) -> None:
    place, _, _ = address.rpartition("/")
    with pytest.raises((DatabaseUnusable, StoreUnavailable), match=r"missing|no such database") as refused:
        await a_store(place.replace("doorward@", "doorward:hunter2@") + "/missing", blocking=blocking).open()
    assert "hunter2" not in refused.value.detail


@pytest.mark.parametrize("blocking", [False, True])
async def test_an_engine_that_is_not_there_is_not_now_and_told_without_its_password(*, blocking: bool) -> None:
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1") as refused:
        await a_store("postgresql://me:hunter2@127.0.0.1:1/app", blocking=blocking).open()
    assert "hunter2" not in refused.value.detail


async def test_a_mistake_of_ours_stays_what_it_is_and_repeats_nothing(store: SqlStore) -> None:
    account = an_account(password_hash=Secret("$argon2id$hunter2"))
    await store.create_account(account, actor=SOMEBODY)
    with pytest.raises(IntegrityError) as refused:
        await store.create_account(an_account(email_key="other", password_hash=Secret("hunter2")), actor=SOMEBODY)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("name", ["\ud800", "a\0b"])
async def test_text_that_cannot_be_stored_is_refused(store: SqlStore, name: str) -> None:
    with pytest.raises(ValidationFailed):
        await store.account(name)
    with pytest.raises(ValidationFailed):
        await store.create_account(an_account(name=name), actor=SOMEBODY)


async def test_a_number_that_no_row_can_have_is_refused(store: SqlStore) -> None:
    with pytest.raises(ValidationFailed):
        await store.session(2**70)


async def test_a_store_that_is_not_open_says_so(address: str) -> None:
    store = a_store(address)
    with pytest.raises(StoreUnavailable, match="not open"):
        await store.account("x")
    await store.open()
    await store.close()
    with pytest.raises(Unavailable):
        await store.account("x")


async def test_a_schema_that_is_not_ours_any_more_is_not_ready(store: SqlStore, postgres: PostgresServer) -> None:
    await store.ping()
    postgres.run("UPDATE doorward_version SET version_num = '9999'")
    try:
        with pytest.raises(StoreUnavailable, match="9999"):
            await store.ping()
    finally:
        postgres.run(f"UPDATE doorward_version SET version_num = '{HEAD}'")


def test_a_forked_process_takes_connections_of_its_own(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def connection(tx: Transaction) -> object:
        return tx.connection.connection.dbapi_connection

    store = a_store(address, blocking=True)
    run_blocking(store.open())
    before = run_blocking(store._runner.write(connection))
    assert run_blocking(store._runner.write(connection)) is before
    monkeypatch.setattr("doorward.stores.sql.postgres_runners.os.getpid", lambda: -1)
    assert run_blocking(store._runner.write(connection)) is not before
    assert isinstance(before, psycopg.Connection)
    before.close()
    run_blocking(store.close())
