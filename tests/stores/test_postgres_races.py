"""Locks that cross, rows that are waited for, and processes that present one token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import psycopg
import pytest
from sqlalchemy import text

from doorward.sessions.model import Ended, Sighting
from doorward.stores.sql.transaction import Transaction
from doorward.testing import an_ending
from doorward.testing.store_suite.case import POLICY, SOMEBODY, presentation, sign_up, start
from tests.postgres import PostgresServer
from tests.stores.at_once import race_processes
from tests.stores.on_postgres import a_store, runner_of, until_somebody_waits

pytestmark = pytest.mark.anyio


async def test_an_end_finds_a_session_that_a_change_of_roles_is_carrying_over(
    address: str, other: psycopg.Connection[object]
) -> None:
    store = a_store(address)
    await store.open()
    await sign_up(store)
    session = await start(store)
    other.execute("UPDATE doorward_account SET version = version + 1")
    other.execute("UPDATE doorward_session SET account_version = account_version + 1")
    ending = asyncio.ensure_future(store.end_session(session.id, an_ending()))
    await until_somebody_waits(address)
    other.commit()
    assert isinstance(await ending, Ended)
    assert isinstance(await store.rotate(presentation(session), POLICY, actor=SOMEBODY), Sighting)
    await store.close()


async def test_a_rotation_that_waited_for_a_disabling_does_not_take(
    address: str, other: psycopg.Connection[object]
) -> None:
    store = a_store(address)
    await store.open()
    await sign_up(store)
    session = await start(store)
    other.execute("UPDATE doorward_account SET disabled_at = now(), version = version + 1")
    other.execute("UPDATE doorward_session SET ended_at = now(), ended_reason = 'account_disabled'")
    rotating = asyncio.ensure_future(store.rotate(presentation(session), POLICY, actor=SOMEBODY))
    await until_somebody_waits(address)
    other.commit()
    found = await rotating
    assert isinstance(found, Sighting)
    assert found.session is not None
    assert found.session.ended_at is not None
    await store.close()


async def test_two_whose_locks_cross_both_get_through(address: str, postgres: PostgresServer) -> None:
    store = a_store(address)
    await store.open()
    postgres.run("INSERT INTO doorward_meta VALUES ('a', ''), ('b', '')")

    def crossing(first: str, second: str) -> Callable[[Transaction], None]:
        def write(tx: Transaction) -> None:
            for name in (first, second):
                tx.connection.execute(text("UPDATE doorward_meta SET value = value WHERE name = :name"), {"name": name})
                tx.connection.execute(text("SELECT pg_sleep(0.05)"))

        return write

    write = runner_of(store).write
    await asyncio.gather(*(write(crossing(*names)) for names in ("ab", "ba")))
    await store.close()


async def test_processes_that_present_one_generation_make_one_successor(address: str) -> None:
    store = a_store(address)
    await store.open()
    await race_processes(store, address)
    await store.close()
