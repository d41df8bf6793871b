"""Of several servers on one PostgreSQL one keeps house at a time, and finds idle sessions without an index on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import psycopg
import pytest

from doorward.ports import Removed
from doorward.stores.sql import housekeeping
from doorward.stores.sql.store import SqlStore
from doorward.testing.store_suite.case import WHENEVER, sign_up, start
from tests.postgres import PostgresServer
from tests.stores.on_postgres import a_store, until_somebody_waits

pytestmark = pytest.mark.anyio

KEPT = timedelta(days=2)
ROWS = 20_000

# What one row has, under other keys.
MANY = """
INSERT INTO doorward_session
SELECT (jsonb_populate_record(s, jsonb_build_object('key', n, 'id', 's' || n))).* FROM doorward_session s,
generate_series(2, %s) n WHERE s.key = 1
"""
LONG_IDLE = """
UPDATE doorward_session SET idle_expires_at = idle_expires_at - interval '10 days' WHERE key = ANY (%s)
"""


@pytest.fixture
async def stores(anyio_backend: str, address: str) -> AsyncIterator[list[SqlStore]]:
    """Two servers on one database with an account, and a session of it whose key is 1."""
    stores = [a_store(address), a_store(address)]
    for store in stores:
        await store.open()
    await sign_up(stores[0])
    await start(stores[0])
    yield stores
    for store in stores:
        await store.close()


async def keep_house(store: SqlStore, *, batch: int = 500) -> Removed:
    return await store.remove_expired(
        session_retention=KEPT, audit_retention=timedelta(days=365), until=WHENEVER, batch=batch
    )


async def until_it_is_round(store: SqlStore, *, batch: int = 500) -> list[Removed]:
    """Batches until there is no more."""
    done = [await keep_house(store, batch=batch)]
    while done[-1].more:
        done.append(await keep_house(store, batch=batch))
    return done


def with_sessions(address: str, *, rows: int, idle: list[int]) -> None:
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(MANY, [rows])
        connection.execute(LONG_IDLE, [idle])
        connection.execute("ANALYZE doorward_session")


async def test_while_one_is_at_it_another_leaves_it_to_that_one_and_does_not_wait(
    stores: list[SqlStore], other: psycopg.Connection[object], address: str
) -> None:
    with_sessions(address, rows=3, idle=[2, 3])
    assert await keep_house(stores[0]) == Removed(sessions=2)
    with_sessions(address, rows=3, idle=[2, 3])
    other.execute("SELECT value FROM doorward_meta WHERE name = 'housekeeping' FOR UPDATE")
    assert [await keep_house(store) for store in stores] == [Removed(elsewhere=True)] * 2
    # The turn is over with its transaction, however that ends.
    other.rollback()
    assert await keep_house(stores[1]) == Removed(sessions=2)


async def test_of_two_at_once_one_removes_and_the_other_does_nothing(
    stores: list[SqlStore], other: psycopg.Connection[object], address: str
) -> None:
    with_sessions(address, rows=3, idle=[2, 3])
    await keep_house(stores[0])
    with_sessions(address, rows=3, idle=[2, 3])
    # The first is stopped in the middle of its batch, with its turn in its hands.
    other.execute("LOCK TABLE doorward_revocation IN SHARE MODE")
    one = asyncio.ensure_future(keep_house(stores[0]))
    await until_somebody_waits(address)
    assert await keep_house(stores[1]) == Removed(elsewhere=True)
    other.rollback()
    assert await one == Removed(sessions=2)


async def test_two_that_begin_together_for_the_first_time_do_not_both_do_it(
    stores: list[SqlStore], address: str
) -> None:
    with_sessions(address, rows=41, idle=list(range(2, 42)))
    removed = 0
    while removed < 40:
        both = await asyncio.gather(*(keep_house(store, batch=3) for store in stores))
        assert any(not each.elsewhere for each in both)
        removed += sum(each.sessions for each in both)
    assert removed == 40
    assert await stores[0].session(1)


async def test_all_that_are_idle_are_found_in_ranges_whose_end_the_next_batch_remembers(
    stores: list[SqlStore], postgres: PostgresServer, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "WALKED_AT_ONCE", 10)
    idle = [2, 9, 10, 11, 25, 30, 31, 34]
    with_sessions(address, rows=34, idle=idle)
    assert await keep_house(stores[0]) == Removed(sessions=3, more=True)
    # Whoever is next goes on there: another server, or this one started again.
    done = await until_it_is_round(stores[1])
    assert [each.sessions for each in done] == [1, 2, 2]
    left = {key for (key,) in postgres.run("SELECT key FROM doorward_session")}
    assert left == set(range(1, 35)) - set(idle)
    # And begins anew once it has been round.
    with_sessions(address, rows=2, idle=[2])
    assert sum(each.sessions for each in await until_it_is_round(stores[0])) == 1


async def test_a_range_with_more_than_a_batch_of_them_is_done_to_its_end(
    stores: list[SqlStore], address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "WALKED_AT_ONCE", 10)
    with_sessions(address, rows=20, idle=list(range(2, 21)))
    done = await until_it_is_round(stores[0], batch=4)
    assert all(each.sessions <= 4 for each in done)
    assert sum(each.sessions for each in done) == 19


async def test_no_batch_reads_the_whole_table_and_none_needs_an_index_on_what_rotates(
    stores: list[SqlStore], postgres: PostgresServer, address: str
) -> None:
    with_sessions(address, rows=ROWS, idle=list(range(2, ROWS, 1_000)))
    for store in stores:
        await store.close()  # what a connection has read it tells when it ends
    before = scans(postgres)
    await stores[0].open()
    done = await until_it_is_round(stores[0])
    await stores[0].close()
    assert sum(each.sessions for each in done) == len(range(2, ROWS, 1_000))
    assert len(done) > ROWS // housekeeping.WALKED_AT_ONCE
    assert scans(postgres) == before
    indexed = postgres.run("SELECT indexdef FROM pg_indexes WHERE tablename = 'doorward_session'")
    assert not any("idle_expires_at" in definition for (definition,) in indexed)


def scans(postgres: PostgresServer) -> int:
    """How often the table of sessions has been read from one end to the other."""
    [(many,)] = postgres.run("SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'doorward_session'")
    return int(many)
