from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, inspect, text

from doorward.stores import migrate
from doorward.stores.sql import migrations
from doorward.stores.sql.migrations import HEAD, Migration
from doorward.stores.sql.schema import VERSION_TABLE, metadata


@pytest.fixture
def migrated(tmp_path: Path) -> Engine:
    migrate(f"sqlite:///{tmp_path}/x.db")
    return create_engine(f"sqlite:///{tmp_path}/x.db")


def test_the_head_that_is_looked_for_is_the_newest_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_migrating_says_the_revision_before_and_after(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/x.db"
    assert migrate(address) == Migration(before=None, after=HEAD)
    assert migrate(address) == Migration(before=HEAD, after=HEAD)


def test_the_migrated_schema_is_the_declared_one(migrated: Engine) -> None:
    with migrated.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []


def test_the_migrated_schema_has_the_declared_constraints_and_indices(migrated: Engine) -> None:
    # What alembic's comparison leaves out: checks, and the condition of a partial index.
    declared = create_engine("sqlite://")
    metadata.create_all(declared)
    for table in metadata.tables:
        for aspect in ("get_check_constraints", "get_foreign_keys", "get_unique_constraints", "get_pk_constraint"):
            assert _of(migrated, aspect, table) == _of(declared, aspect, table)
    assert _indices(migrated) == _indices(declared)


def test_a_database_at_head_is_opened_without_alembic(migrated: Engine) -> None:
    program = (
        "import sys; from doorward.blocking import run_blocking; from doorward.stores import open_store\n"
        "run_blocking(open_store(sys.argv[1], blocking=True).open()); sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(migrated.url)], check=False).returncode == 0


def _of(engine: Engine, aspect: str, table: str) -> list[str]:
    found = getattr(inspect(engine), aspect)(table)
    return sorted(str(entry) for entry in found) if isinstance(found, list) else [str(found)]


def _indices(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"))
        return {" ".join(row.sql.split()) for row in rows}
