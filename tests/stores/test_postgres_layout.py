"""What docs/guides/stores.md says of a large PostgreSQL: rows that rotate in place, and a trail in partitions."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from doorward.audit.model import Action
from doorward.ports import Page
from doorward.stores import migrate
from doorward.stores.sql.copying import copy_database
from doorward.testing import an_account, an_ending
from doorward.testing.store_suite.case import REST, SOMEBODY, WHENEVER, rotated, sign_up, start
from tests.postgres import PostgresServer
from tests.stores.on_postgres import a_store

pytestmark = pytest.mark.anyio

PAGE = Path(__file__).parents[2] / "docs/guides/stores.md"
ROTATIONS = 40


async def test_every_rotation_and_every_use_is_written_in_place(address: str, postgres: PostgresServer) -> None:
    store = a_store(address)
    await store.open()
    await sign_up(store)
    session = await start(store)
    postgres.run("SELECT pg_stat_reset_single_table_counters('doorward_session'::regclass)")
    for generation in range(ROTATIONS):
        session = await rotated(store, session)
        await store.touch(session.key, idle=timedelta(hours=generation))
        await store.acknowledge(session.id, session.generation)
        long_ago = f"made_at = made_at - interval '{REST.total_seconds()} s'"
        postgres.run(f"UPDATE doorward_session SET {long_ago}")
    # What a connection has written it tells when it ends.
    await store.close()
    counted = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'doorward_session'"
    [(updated, in_place)] = postgres.run(counted)
    assert updated >= 3 * ROTATIONS
    assert in_place == updated


def statements_of(about: str) -> list[str]:
    """The SQL of the page that follows these words, with the dates of a month to come."""
    page = PAGE.read_text(encoding="utf-8")
    month = datetime.now(UTC).replace(day=1) + timedelta(days=40)
    later = month.replace(day=1) + timedelta(days=40)
    blocks = re.findall(r"```sql\n(.*?)```", page[page.index(about) :], re.DOTALL)
    return [
        block.replace("2027-01-01", f"{month:%Y-%m}-01").replace("2027-02-01", f"{later:%Y-%m}-01") for block in blocks
    ]


def run(connection: psycopg.Connection[object], block: str) -> None:
    for statement in filter(str.strip, block.split(";")):
        connection.execute(statement.encode())


async def test_the_settings_of_the_page_are_taken(postgres: PostgresServer) -> None:
    # One of its own: other tests compare the shared one with what the schema declares.
    address = postgres.new_database()
    migrate(address)
    share, settings, *_ = statements_of("### For many sessions")
    with psycopg.connect(address, autocommit=True) as connection:
        run(connection, settings)
        run(connection, share)


async def test_the_trail_is_partitioned_by_the_pages_sql_under_a_store_that_writes_to_it(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    address = postgres.new_database()
    migrate(address)
    store = a_store(address)
    await store.open()
    await sign_up(store)
    sessions = [await start(store, number) for number in range(1, 4)]
    before = await store.trail(Page(limit=50))
    ahead, switch, drop = statements_of("**The audit trail by months.**")
    with psycopg.connect(address, autocommit=True) as connection:
        run(connection, ahead)
        run(connection, switch)
        # The open store, with its prepared statements, goes on: events are written and found, numbers go on.
        await store.end_session(sessions[0].id, an_ending())
        await rotated(store, sessions[1])
        after = await store.trail(Page(limit=50))
        assert after[-len(before) :] == before
        assert [event.action for event in after[: -len(before)]] == [Action.REFRESH_ROTATED, Action.SESSION_ENDED]
        numbers = [event.id or 0 for event in after]
        assert numbers == sorted(set(numbers), reverse=True)
        assert await store.trail(Page(limit=50), account=an_account().id, action=Action.SESSION_ENDED)
        assert migrate(address).before == migrate(address).after
        # A month that is still to come has its own, and housekeeping removes from all of them.
        connection.execute("UPDATE doorward_audit_event SET at = at + interval '35 days' WHERE id = 1")
        kept = timedelta(days=365)
        connection.execute("UPDATE doorward_audit_event SET at = at - interval '400 days' WHERE id IN (2, 3)")
        removed = await store.remove_expired(session_retention=kept, audit_retention=kept, until=WHENEVER)
        assert removed.audit_events == 2
        # It is copied to wherever it is one table.
        target = f"sqlite:///{tmp_path}/copy.db"
        migrate(target)
        assert copy_database(address, target).tables
        run(connection, drop)
        await store.end_session(sessions[2].id, an_ending())
        assert [event.action for event in await store.trail(Page(limit=50))] == [
            Action.SESSION_ENDED,
            Action.ACCOUNT_CREATED,
        ]
    await store.create_account(an_account(9), actor=SOMEBODY)
    await store.close()
