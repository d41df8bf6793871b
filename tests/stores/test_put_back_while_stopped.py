"""A database put back to an earlier moment while no server ran: what can be told when one starts."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import psycopg
import pytest

from doorward.audit.model import Action, Actor, AuditEvent
from doorward.ports import Page, Store
from doorward.stores import open_store
from doorward.stores.sql.note_beside import Note, has_gone_back
from tests.postgres import PostgresServer

pytestmark = pytest.mark.anyio

EVENT = AuditEvent(action=Action.ACCOUNT_CREATED, actor=Actor(name="tester"))


async def opened_and_closed(address: str, *, events: int = 0) -> str:
    """What the store is called once it has been used."""
    store: Store = open_store(address)
    await store.open()
    for _ in range(events):
        await store.record(EVENT)
    name = store.identity
    await store.close()
    return name


def pages_named(caplog: pytest.LogCaptureFixture) -> int:
    found = sum("after-restoring-a-backup.md" in record.getMessage() for record in caplog.records)
    caplog.clear()
    return found


@pytest.fixture(autouse=True)
def told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, logger="doorward")


async def test_a_file_that_was_put_back_while_no_server_ran_is_told_at_start_and_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "doorward.db"
    address = f"sqlite:///{file}"
    before = await opened_and_closed(address, events=2)
    shutil.copy(file, tmp_path / "backup.db")
    assert await opened_and_closed(address, events=1) == before
    assert pages_named(caplog) == 0
    shutil.copy(tmp_path / "backup.db", file)
    after = await opened_and_closed(address)
    assert pages_named(caplog) == 1
    assert after != before
    assert await opened_and_closed(address) == after
    assert pages_named(caplog) == 0
    store = open_store(address)
    await store.open()
    assert len(await store.trail(Page(), action=Action.STORE_PUT_BACK)) == 1
    await store.close()


async def test_a_file_that_comes_without_its_note_or_with_a_spoilt_one_is_opened_as_ever(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "doorward.db"
    address = f"sqlite:///{file}"
    before = await opened_and_closed(address, events=1)
    note = tmp_path / "doorward.db-progress"
    assert note.stat().st_mode & 0o777 == 0o600
    for spoil in (
        note.unlink,
        lambda: note.write_bytes(b"\0"),
        lambda: note.write_text('{"identity":"another","newest":9}'),
    ):
        spoil()
        assert await opened_and_closed(address) == before
    assert pages_named(caplog) == 0


@pytest.mark.parametrize(
    ("noted", "gone_back"),
    [
        (None, False),
        (Note(identity="a", newest=4), False),
        (Note(identity="a", newest=5), False),
        (Note(identity="a", newest=6), True),
        (Note(identity="b", newest=6), False),
    ],
)
async def test_a_database_has_gone_back_where_more_was_noted_of_it(noted: Note | None, gone_back: bool) -> None:  # noqa: FBT001
    assert has_gone_back(noted, Note(identity="a", newest=5)) is gone_back


async def test_a_cluster_that_is_not_the_one_of_before_is_told_at_start_and_once(
    postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    address = postgres.emptied()
    await opened_and_closed(address)
    assert pages_named(caplog) == 0
    # As a restore into another cluster has it, or a promoted standby.
    with psycopg.connect(address) as connection:
        connection.execute("UPDATE doorward_meta SET value = 'name@1.00000001' WHERE name = 'identity'")
    await opened_and_closed(address)
    assert pages_named(caplog) == 1
    await opened_and_closed(address)
    assert pages_named(caplog) == 0
