"""The history of the schema, by alembic; shipped in the package and run when the embedded database is opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Text, column, inspect, select, table

from doorward.errors import DatabaseUnusable
from doorward.stores.sql.schema import VERSION_TABLE

HEAD = "0003"
"""The revision that this version of Doorward works with; a later one is called by a greater number."""

_NOTED = select(column("version_num", Text)).select_from(table(VERSION_TABLE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """What migrating did: the revision before and after, None for an empty database."""

    before: str | None
    after: str | None


def revision_of(connection: Connection) -> str | None:
    """The revision of the schema, or None where there is none yet.  Without alembic, whose import is slow."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return noted_revision(connection)


def noted_revision(connection: Connection) -> str | None:
    """The revision of a schema that is there."""
    return connection.execute(_NOTED).scalar_one_or_none()


def upgrade(connection: Connection) -> Migration:
    """Bring the schema to ``HEAD``, inside the transaction that the connection is in.

    The transaction keeps others from doing the same at the same time, so what is found is looked at in it.

    Raises:
        DatabaseUnusable: the schema is newer than this version of Doorward.
    """
    before = revision_of(connection)
    if before == HEAD:
        return Migration(before=before, after=HEAD)

    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    # configparser would take a per cent sign in the path for a reference.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if before is not None and before not in known:
        raise DatabaseUnusable(
            f"its schema has revision {before!r}, which this version of Doorward does not know: a newer one made it."
            " Update Doorward, or put back a backup from before the update."
        )
    command.upgrade(config, "head")
    return Migration(before=before, after=HEAD)
