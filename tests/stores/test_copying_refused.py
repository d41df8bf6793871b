"""What a copy does not take, and what it is not made over; what is half a copy serves nobody."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from doorward.errors import Busy, ConfigurationError, DatabaseUnusable
from doorward.ports import Page
from doorward.stores import is_postgres
from doorward.stores.sql import copy_sides
from doorward.stores.sql.copying import Pass, copy_database
from doorward.stores.sql.migrations import HEAD
from tests.stores.copies import (
    Make,
    copied,
    counted,
    fill,
    once,
    opened,
    refused_to_open,
    run_sql,
    sign_up,
)

pytestmark = pytest.mark.anyio

# What is not kept


async def test_a_row_that_was_corrupted_in_the_copy_is_found_and_mended(moved: tuple[str, str]) -> None:
    source, target = moved
    await fill(source)
    first = copied(source, target)
    run_sql(target, "UPDATE doorward_session SET generation = 5 WHERE key = (SELECT max(key) FROM doorward_session)")
    run_sql(target, "DELETE FROM doorward_audit_event WHERE id = 3")
    run_sql(target, "INSERT INTO doorward_meta VALUES ('stray', '')")
    done = copied(source, target)
    assert counted(done)["session"] == (4, 1, 0)
    assert counted(done)["audit_event"][1:] == (1, 0)
    assert counted(done)["meta"][1:] == (0, 1)
    assert [each.checksum for each in done.tables] == [each.checksum for each in first.tables]


async def test_a_target_that_does_not_keep_what_is_written_is_told(to_postgres: tuple[str, str]) -> None:
    source, target = to_postgres
    await fill(source)
    if is_postgres(target):
        run_sql(
            target,
            "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$"
            "BEGIN NEW.label := 'spoilt'; RETURN NEW; END $$;"
            "CREATE TRIGGER spoil BEFORE INSERT OR UPDATE ON doorward_session FOR EACH ROW EXECUTE FUNCTION spoil();",
        )
    else:
        spoil = "BEGIN UPDATE doorward_session SET label = 'spoilt' WHERE key = NEW.key; END"
        run_sql(target, f"CREATE TRIGGER spoil AFTER INSERT ON doorward_session {spoil}")
        run_sql(target, f"CREATE TRIGGER spoil_too AFTER UPDATE OF generation ON doorward_session {spoil}")
    try:
        with pytest.raises(DatabaseUnusable, match=r"does not keep.*doorward_session.*Look for triggers"):
            copied(source, target)
        await refused_to_open(target)
    finally:
        if is_postgres(target):
            run_sql(target, "DROP FUNCTION spoil CASCADE")


async def test_a_target_whose_tables_are_others_is_told(to_postgres: tuple[str, str]) -> None:
    source, target = to_postgres
    await fill(source)
    # As where its trail is partitioned already.
    key = "CONSTRAINT pk_doorward_audit_event"
    run_sql(target, f"ALTER TABLE doorward_audit_event DROP {key}")
    try:
        with pytest.raises(DatabaseUnusable, match="does not take what is to be copied: there is no unique"):
            copied(source, target)
    finally:
        run_sql(target, "TRUNCATE doorward_audit_event")
        run_sql(target, f"ALTER TABLE doorward_audit_event ADD {key} PRIMARY KEY (id)")


async def test_text_that_postgres_cannot_keep_is_told_before_anything_is_copied(
    make: Make,
) -> None:
    source, target = make("sqlite to postgres")
    await fill(source)
    run_sql(source, "UPDATE doorward_account SET name = 'a' || char(0) WHERE email_key = 'ada3@example.com'")
    with pytest.raises(DatabaseUnusable, match=r"NUL.*1 rows of doorward_account"):
        copied(source, target)
    assert run_sql(target, "SELECT count(*) FROM doorward_account") == [(0,)]


# What is refused


async def test_a_database_that_is_in_use_is_not_copied_over(to_postgres: tuple[str, str]) -> None:
    source, target = to_postgres
    await fill(source)
    async with opened(target) as auth:
        await sign_up(auth, 1)
    for _ in range(2):
        with pytest.raises(DatabaseUnusable, match="is not empty"):
            copied(source, target)
    async with opened(target) as auth:
        assert len(await auth.find_accounts(Page(limit=50))) == 1


async def test_a_copy_that_a_server_has_opened_is_not_copied_over(to_postgres: tuple[str, str]) -> None:
    source, target = to_postgres
    await fill(source)
    copied(source, target)
    async with opened(target) as auth:
        assert auth.is_open
    with pytest.raises(DatabaseUnusable, match="is not empty"):
        copied(source, target)


async def test_a_copy_of_another_store_is_not_copied_over(
    to_postgres: tuple[str, str], new_file: Callable[[str], str]
) -> None:
    source, target = to_postgres
    other = new_file("other.db")
    await fill(source)
    await fill(other)
    copied(other, target)
    with pytest.raises(DatabaseUnusable, match=r"holds a copy of another database, .*other\.db"):
        copied(source, target)


async def test_half_a_copy_is_not_copied_on(to_postgres: tuple[str, str], new_file: Callable[[str], str]) -> None:
    source, target = to_postgres
    await fill(source)
    with pytest.raises(ZeroDivisionError):
        copied(source, target, report=once(Pass.COPYING, "doorward_session", lambda: 1 / 0))
    other = new_file("other.db")
    with pytest.raises(DatabaseUnusable, match="is itself an unfinished copy"):
        copied(target, other)


def test_a_database_that_nobody_has_used_is_nothing_to_copy(to_postgres: tuple[str, str]) -> None:
    with pytest.raises(DatabaseUnusable, match="nothing to copy"):
        copied(*to_postgres)


@pytest.mark.parametrize("which", [0, 1], ids=["source", "target"])
@pytest.mark.parametrize(
    ("revision", "says"), [("0000", "doorward migrate"), ("9999", "Update Doorward"), (None, "doorward migrate")]
)
async def test_another_revision_is_refused(
    to_postgres: tuple[str, str], which: int, revision: str | None, says: str
) -> None:
    await fill(to_postgres[0])
    spoil = f"UPDATE doorward_version SET version_num = '{revision}'"
    run_sql(to_postgres[which], spoil if revision else "DELETE FROM doorward_version")
    try:
        with pytest.raises(DatabaseUnusable, match=says):
            copied(*to_postgres)
    finally:
        mend = f"UPDATE doorward_version SET version_num = '{HEAD}'"
        run_sql(to_postgres[which], mend if revision else f"INSERT INTO doorward_version VALUES ('{HEAD}')")


async def test_the_source_itself_is_refused_however_it_is_called(make: Make, tmp_path: Path) -> None:
    file, engine = make("sqlite to postgres")
    await fill(file)
    await fill(engine)
    (tmp_path / "link.db").symlink_to(tmp_path / "source.db")
    for one, other in [(file, file), (file, f"sqlite:///{tmp_path}/link.db"), (engine, engine)]:
        with pytest.raises(ConfigurationError):
            copy_database(one, other)
    with pytest.raises(DatabaseUnusable, match="is the source itself"):
        copy_database(engine, engine.replace("127.0.0.1", "localhost"))


@pytest.mark.parametrize("place", ["memory:", "sqlite:///missing.db", "mysql://root:hunter2@localhost/x"])
def test_what_cannot_be_copied_is_refused_with_a_remedy(make: Make, place: str) -> None:
    source, target = make("sqlite to sqlite")
    for addresses in [(place, target), (source, place)]:
        with pytest.raises((ConfigurationError, DatabaseUnusable)) as refused:
            copy_database(*addresses)
        assert "hunter2" not in str(refused.value)


async def test_a_source_whose_writers_do_not_end_is_not_waited_for(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_sides, "HOLD_TIMEOUT", copy_sides.HOLD_TIMEOUT / 50)
    source, target = make("postgres to sqlite")
    await fill(source)
    with closing(psycopg.connect(source)) as writer:
        writer.execute("UPDATE doorward_session SET label = 'held'")
        with pytest.raises(Busy):
            copied(source, target)
    assert counted(copied(source, target))["session"] == (4, 0, 0)
