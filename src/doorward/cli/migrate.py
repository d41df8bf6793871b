"""``doorward migrate``."""

from __future__ import annotations

from doorward.cli.flags import AsJson, Config, Database


def migrate(*, database: Database = None, config: Config = None, as_json: AsJson = False) -> None:
    """Bring the database to this version of Doorward; make it if it is missing.

    The server does so itself at start: this is for doing it before.
    """
    from doorward.cli.output import print_json
    from doorward.server.settings import load_settings
    from doorward.stores.sql.sqlite import migrate_sqlite

    settings = load_settings({"database": database}, config=config).settings
    settings.doorward(blocking=True)  # raises where the address names no store that there is
    if settings.database_file is None:
        print("memory: has nothing to migrate.")
        return
    migration = migrate_sqlite(str(settings.database_file))
    if as_json:
        print_json({"before": migration.before, "after": migration.after})
    elif migration.before == migration.after:
        print(f"Already at revision {migration.after}.")
    else:
        print(f"Migrated from {migration.before or 'nothing'} to revision {migration.after}.")
