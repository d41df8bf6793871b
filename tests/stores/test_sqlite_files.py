"""What a database file may be when it is opened."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest

from doorward.blocking import run_blocking
from doorward.errors import ConfigurationError, DatabaseUnusable, StoreUnavailable
from doorward.stores import migrate, open_store
from doorward.testing import an_account
from doorward.testing.store_suite.case import SOMEBODY

NOBODY = 65534


def opened(path: Path, *, blocking: bool = True) -> str:
    """Open and close a file.  Returns the store's identity."""
    store = open_store(f"sqlite:///{path}", blocking=blocking)
    run_blocking(store.open())
    try:
        return store.identity
    finally:
        run_blocking(store.close())


@contextmanager
def as_an_ordinary_user() -> Iterator[None]:
    """Root may write whatever it likes."""
    if os.geteuid() != 0:
        yield
        return
    with TemporaryDirectory() as place:
        # What is imported late may lie where an ordinary user reads nothing.
        opened(Path(place) / "x.db")
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that an ordinary user reaches and may write; pytest's own are closed to others."""
    with TemporaryDirectory() as place:
        Path(place).chmod(0o777)
        yield Path(place)


def test_a_file_that_is_not_there_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new %41 100%.db"
    assert opened(path) == opened(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_relative_address_is_relative_to_where_the_process_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("sqlite:///here.db", blocking=True)
    monkeypatch.chdir("/")
    run_blocking(store.open())
    run_blocking(store.close())
    assert (tmp_path / "here.db").exists()


def test_an_empty_file_is_a_new_database(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    opened(path)


def test_two_files_have_two_identities(tmp_path: Path) -> None:
    assert opened(tmp_path / "a.db") != opened(tmp_path / "b.db")


def test_a_database_of_the_application_keeps_its_tables(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE account (x); CREATE TABLE session (x); CREATE TABLE alembic_version (version_num);"
            "INSERT INTO alembic_version VALUES ('theirs');"
        )
    opened(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("theirs",)]
        assert connection.execute("SELECT count(*) FROM account").fetchall() == [(0,)]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: path.write_bytes(b"not a database, " * 512), "is not a SQLite database"),
        (lambda path: path.mkdir(), "is a directory"),
        (lambda path: path.symlink_to(path.parent / "gone" / "x.db"), "Let this process"),
    ],
)
def test_what_is_no_database_is_refused_with_a_remedy(tmp_path: Path, make: object, says: str) -> None:
    path = tmp_path / "odd.db"
    assert callable(make)
    make(path)
    with pytest.raises(DatabaseUnusable) as refused:
        opened(path)
    assert says in refused.value.detail
    assert str(path) in refused.value.detail


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnusable, match=r"does not exist\. Create it"):
        opened(tmp_path / "missing" / "x.db")


def test_a_damaged_file_is_refused_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "damaged.db"
    opened(path)
    os.truncate(path, 4096 + 100)
    with pytest.raises(DatabaseUnusable, match=r"is damaged\. Put back a backup"):
        opened(path)


def test_a_read_only_file_is_refused_with_a_remedy(open_directory: Path) -> None:
    path = open_directory / "read-only.db"
    opened(path)
    path.chmod(0o444)
    with as_an_ordinary_user(), pytest.raises(DatabaseUnusable, match=r"cannot be (written|opened)\. Let this process"):
        opened(path)


def test_a_read_only_file_has_nothing_put_beside_it_and_serves_once_it_may_be_written(open_directory: Path) -> None:
    path = open_directory / "x.db"
    with as_an_ordinary_user():
        opened(path)
        path.chmod(0o400)
        with pytest.raises(DatabaseUnusable, match=r"cannot be written\. Let this process"):
            opened(path)
        assert sorted(each.name for each in open_directory.iterdir()) == ["x.db", "x.db-progress"]
        path.chmod(0o600)
        opened(path)


@pytest.mark.parametrize("beside", ["-wal", "-shm"])
def test_a_read_only_file_beside_the_database_is_named(open_directory: Path, beside: str) -> None:
    path = open_directory / "x.db"
    with as_an_ordinary_user():
        opened(path)
        other = Path(f"{path}{beside}")
        other.touch(0o400)
        with pytest.raises(DatabaseUnusable) as refused:
            opened(path)
        assert str(other) in refused.value.detail
        other.chmod(0o600)
        opened(path)


def overwrite(path: Path, *, table: str) -> None:
    """Fill the page that a table begins with, so that it is there and cannot be read."""
    with closing(sqlite3.connect(path)) as connection:
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        found = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek((found[0] - 1) * size)
        file.write(b"\xff" * size)


@pytest.mark.anyio
@pytest.mark.parametrize("table", ["doorward_session", "sqlite_autoindex_doorward_meta_1"])
async def test_a_file_that_is_damaged_while_it_serves_no_longer_answers(tmp_path: Path, table: str) -> None:
    path = tmp_path / "x.db"
    for blocking in (True, False):
        path.unlink(missing_ok=True)
        store = open_store(f"sqlite:///{path}", blocking=blocking)
        await store.open()
        try:
            # Once before, so that its pages are known.
            await store.ping()
            overwrite(path, table=table)
            with pytest.raises(StoreUnavailable, match="malformed"):
                await store.ping()
        finally:
            await store.close()


@pytest.mark.anyio
async def test_a_database_that_was_emptied_while_it_serves_no_longer_answers(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    store = open_store(f"sqlite:///{path}")
    await store.open()
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("DELETE FROM doorward_meta")
        with pytest.raises(StoreUnavailable, match="has lost its name"):
            await store.ping()
    finally:
        await store.close()


def test_a_directory_that_is_not_ours_is_refused_with_a_remedy(open_directory: Path) -> None:
    open_directory.chmod(0o555)  # nobody's to write, its owner's neither
    with as_an_ordinary_user(), pytest.raises(DatabaseUnusable, match="cannot be made"):
        opened(open_directory / "new.db")


def test_a_file_from_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "newer.db"
    opened(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE doorward_version SET version_num = '9999'")
        connection.commit()
    for attempt in (lambda: opened(path), lambda: migrate(f"sqlite:///{path}")):
        with pytest.raises(DatabaseUnusable, match=r"'9999'.*Update Doorward") as refused:
            attempt()
        assert str(path) in refused.value.detail


def test_a_file_that_another_process_keeps_is_not_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doorward.stores.sql.sqlite.OPEN_TIMEOUT", timedelta(0))
    path = tmp_path / "busy.db"
    opened(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreUnavailable, match="locked"):
            opened(path)


def test_a_new_file_that_another_process_reads_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new.db"
    monkeypatch.setattr("doorward.stores.sql.sqlite.OPEN_TIMEOUT", timedelta(0))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        # A reader is enough: who changes the mode has to be alone, and SQLite does not wait for that.
        other.executescript("CREATE TABLE theirs (x); BEGIN; SELECT * FROM theirs")
        time = SimpleNamespace(monotonic=lambda: 0.0, sleep=lambda _: other.execute("ROLLBACK"))
        monkeypatch.setattr("doorward.stores.sql.sqlite.time", time)
        opened(path)
        assert not other.in_transaction


def test_many_that_open_a_new_file_at_once_all_succeed(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        identities = set(threads.map(opened, [tmp_path / "new.db"] * 8))
    assert len(identities) == 1


def test_processes_that_open_a_new_file_at_once_all_succeed(tmp_path: Path) -> None:
    program = (
        "import sys; from doorward.blocking import run_blocking; from doorward.stores import open_store\n"
        "store = open_store(sys.argv[1], blocking=True); run_blocking(store.open()); print(store.identity)"
    )
    command = [sys.executable, "-c", program, f"sqlite:///{tmp_path}/new.db"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(set(said)) == 1


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("sqlite://", "Use sqlite:///app.db"),
        ("sqlite:///", "Use sqlite:///app.db"),
        ("sqlite:///.", "Use sqlite:///app.db"),
        ("sqlite:///..", "Use sqlite:///app.db"),
        ("sqlite:////", "Use sqlite:///app.db"),
        ("sqlite:///data/", "Use sqlite:///app.db"),
        ("sqlite:///:memory:", "Use memory:"),
        ("sqlite:///file::memory:?cache=shared", "Use memory:"),
        ("sqlite:app.db", "Use sqlite:///app.db"),
        ("postgresql:me:hunter2@db/app", "Use postgresql://"),
        ("postgresql+asyncpg://me:hunter2@db/app", "Use postgresql://"),
        ("mysql://me:hunter2@db/app", "No store is called 'mysql'"),
        ("app.db", "No store is called"),
        ("", "No store is called"),
    ],
)
def test_an_address_that_names_no_store_is_refused_with_a_remedy(address: str, says: str) -> None:
    for attempt in (open_store, migrate):
        with pytest.raises(ConfigurationError) as refused:
            attempt(address)
        assert [problem.id for problem in refused.value.problems] == ["DW050"]
        assert says in refused.value.detail
        assert "hunter2" not in refused.value.detail


def test_a_store_that_is_not_open_says_so(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/x.db")
    with pytest.raises(StoreUnavailable, match="not open"):
        _ = store.identity
    for operation in (store.account("x"), store.create_account(an_account(), actor=SOMEBODY)):
        with pytest.raises(StoreUnavailable, match="not open"):
            run_blocking(operation)
