from __future__ import annotations

import subprocess
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, __version__, create_engine, inspect
from sqlalchemy.pool import NullPool

from doorward.blocking import run_blocking
from doorward.errors import DatabaseUnusable
from doorward.stores import migrate, open_store
from doorward.stores.sql.migrations import HEAD, Migration
from doorward.stores.sql.schema import VERSION_TABLE, metadata
from tests.postgres import PostgresServer

ROTATING = {"generation", "predecessor", "made_at", "first_at", "attempt", "displaced", "acknowledged", "retried"} | {
    "last_seen_at",
    "idle_expires_at",
}


reads_collations = pytest.mark.skipif(
    __version__.startswith("2.0."), reason="needs SQLAlchemy 2.1, which reads collations and constraints back"
)


def engine_of(address: str) -> Engine:
    return create_engine(address.replace("postgresql:", "postgresql+psycopg:"), poolclass=NullPool)


@pytest.fixture
def migrated(postgres: PostgresServer) -> Engine:
    return engine_of(postgres.address())


@pytest.mark.parametrize("blocking", [False, True])
@pytest.mark.anyio
async def test_a_database_without_tables_is_refused_and_left_alone(postgres: PostgresServer, *, blocking: bool) -> None:
    address = postgres.new_database()
    with pytest.raises(DatabaseUnusable, match="doorward migrate"):
        await open_store(address, blocking=blocking).open()
    assert inspect(engine_of(address)).get_table_names() == []


def test_migrating_says_the_revision_before_and_after(postgres: PostgresServer) -> None:
    address = postgres.new_database()
    assert migrate(address) == Migration(before=None, after=HEAD)
    assert migrate(address) == Migration(before=HEAD, after=HEAD)
    store = open_store(address, blocking=True)
    run_blocking(store.open())
    run_blocking(store.close())


def test_a_database_of_a_newer_version_is_refused_and_left_alone(postgres: PostgresServer) -> None:
    address = postgres.new_database()
    migrate(address)
    postgres.run("UPDATE doorward_version SET version_num = '9999'", address.rpartition("/")[2])
    with pytest.raises(DatabaseUnusable, match=r"'9999'.*Update Doorward"):
        migrate(address)
    with pytest.raises(DatabaseUnusable, match=r"'9999'.*Update Doorward"):
        run_blocking(open_store(address, blocking=True).open())


def test_processes_that_migrate_at_once_wait_for_each_other(postgres: PostgresServer) -> None:
    address = postgres.new_database()
    program = "import sys; from doorward.stores import migrate; print(migrate(sys.argv[1]).before)"
    command = [sys.executable, "-c", program, address]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert sorted(said) == [HEAD, HEAD, "None"]


def test_the_migrated_schema_is_the_declared_one(migrated: Engine) -> None:
    with migrated.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True}
        )
        [(kind, index)] = compare_metadata(context, metadata)
    # SQLite's alone; alembic does not ask for whom an index is declared.
    assert (kind, index.name) == ("add_index", "ix_doorward_session_idle_expires_at")


@reads_collations
def test_the_migrated_schema_has_the_declared_constraints_indices_and_collations(
    migrated: Engine, postgres: PostgresServer
) -> None:
    declared = engine_of(postgres.new_database())
    metadata.create_all(declared)
    for table in metadata.tables:
        for aspect in (
            "get_columns",
            "get_check_constraints",
            "get_foreign_keys",
            "get_unique_constraints",
            "get_pk_constraint",
            "get_indexes",
            "get_table_options",
        ):
            assert _of(migrated, aspect, table) == _of(declared, aspect, table)


def test_what_rotates_is_in_no_index_so_that_a_row_is_written_in_place(migrated: Engine) -> None:
    indices = inspect(migrated).get_indexes("doorward_session")
    assert indices
    assert not {column for index in indices for column in index["column_names"]} & ROTATING


@reads_collations
def test_ids_are_in_the_order_of_their_bytes_whatever_the_locale(migrated: Engine) -> None:
    for table, column in (("doorward_account", "id"), ("doorward_session", "id"), ("doorward_signing_key", "kid")):
        kinds = {each["name"]: each["type"] for each in inspect(migrated).get_columns(table)}
        assert getattr(kinds[column], "collation", None) == "C"


def _of(engine: Engine, aspect: str, table: str) -> list[str]:
    found = getattr(inspect(engine), aspect)(table)
    if isinstance(found, list):
        return sorted(str(sorted((key, repr(value)) for key, value in entry.items())) for entry in found)
    return [str(found)]
