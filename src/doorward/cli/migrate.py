"""``doorward migrate``."""

from __future__ import annotations

from pathlib import Path

from doorward.cli.flags import AsJson, Config, Database
from doorward.cli.opening import of_host


def migrate(*, database: Database = None, config: Config = None, as_json: AsJson = False) -> None:
    """Bring the database to this version of Doorward; make it if it is missing.

    With SQLite the server does so itself at start.  A PostgreSQL database is changed by this command alone.
    """
    from doorward.cli.output import print_json
    from doorward.stores import migrate as bring_up_to_date

    database = _database(database, config)
    if database == "memory:":
        print("memory: has nothing to migrate.")
        return
    migration = bring_up_to_date(database)
    if as_json:
        print_json({"before": migration.before, "after": migration.after})
    elif migration.before == migration.after:
        print(f"Already at revision {migration.after}.")
    else:
        print(f"Migrated from {migration.before or 'nothing'} to revision {migration.after}.")


def _database(database: str | None, config: Path | None) -> str:
    auth = of_host(config=config, database=database)
    if auth is not None:
        return auth.database
    from doorward.server.settings import load_settings

    return load_settings({"database": database}, config=config).settings.database
