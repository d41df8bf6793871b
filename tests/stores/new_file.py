"""New databases of SQLite for tests: copying a migrated one is quicker than migrating another."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from doorward.stores.sql.sqlite import migrate_sqlite


@cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory(prefix="doorward-template-") as folder:
        template = Path(folder, "template.db")
        migrate_sqlite(str(template))
        return template.read_bytes()


def a_new_file(folder: Path) -> str:
    """The address of a database in a folder, at head and empty."""
    place = folder / "doorward.db"
    place.write_bytes(_migrated())
    place.chmod(0o600)
    return f"sqlite:///{place}"
