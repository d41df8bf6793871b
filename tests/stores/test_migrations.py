from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, insert, inspect, text

from doorward.blocking import run_blocking
from doorward.rotation.model import Taken
from doorward.stores import migrate, open_store
from doorward.stores.redis.row import microseconds
from doorward.stores.sql import migrations, schema
from doorward.stores.sql.migrations import HEAD, Migration
from doorward.stores.sql.rows import account_values
from doorward.stores.sql.schema import VERSION_TABLE, metadata
from doorward.testing import FakeClock, a_new_session, an_account
from doorward.testing.clock import NOON
from doorward.testing.store_suite.case import POLICY, SOMEBODY, presentation


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


_OLD_COLUMNS = """INSERT INTO doorward_session
    (key, generation, made_at, authenticated_at, created_at, last_seen_at, idle_expires_at, expires_at, account_version,
     acknowledged, retried, id, account, client, strategy, carrier, secret_hash, methods)
    SELECT :key, 0, :now, :now, :now, :now, :idle, :absolute, 0, false, false, :id, id, 'first-party', 'hybrid',
     :carrier, :hash, '["pwd"]' FROM doorward_account"""
"""As the version without ``remembered`` writes a session."""


@pytest.mark.parametrize("carrier", ["cookie", "token"])
@pytest.mark.parametrize("when", ["before the migration", "while servers are replaced"])
def test_sessions_that_an_older_version_starts_go_on_under_the_limit_of_their_carrier(
    tmp_path: Path, carrier: str, when: str
) -> None:
    address, engine = f"sqlite:///{tmp_path}/x.db", create_engine(f"sqlite:///{tmp_path}/x.db")
    _upgrade(engine, "0001")
    clock = FakeClock(NOON)
    new = a_new_session(carrier=carrier)
    values = {"key": new.key, "id": new.id, "carrier": carrier, "hash": new.secret_hash}
    instants = {"now": NOON, "idle": NOON + new.idle, "absolute": NOON + new.absolute}
    values |= {name: microseconds(at) for name, at in instants.items()}
    with engine.begin() as connection:
        connection.execute(insert(schema.account), account_values(an_account()))
    if when == "while servers are replaced":
        migrate(address)
    with engine.begin() as connection:
        connection.execute(text(_OLD_COLUMNS), values)
    migrate(address)
    policy = replace(POLICY, idle=timedelta(hours=12), idle_remembered=timedelta(days=14))
    store = open_store(address, clock=clock, blocking=True)
    run_blocking(store.open())
    clock.move(timedelta(minutes=1))
    taken = run_blocking(store.rotate(presentation(new.begun(at=NOON)), policy, actor=SOMEBODY))
    run_blocking(store.close())
    assert isinstance(taken, Taken)
    days_or_hours = {"cookie": policy.idle, "token": policy.idle_remembered}[carrier]
    assert taken.session.idle_expires_at == clock() + days_or_hours


def _upgrade(engine: Engine, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def _of(engine: Engine, aspect: str, table: str) -> list[str]:
    found = getattr(inspect(engine), aspect)(table)
    return sorted(str(entry) for entry in found) if isinstance(found, list) else [str(found)]


def _indices(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"))
        return {" ".join(row.sql.split()) for row in rows}
