"""Finding out whether a pooler lends connections to PostgreSQL by the transaction.

On such a one the settings of a connection, which bound how long a request waits, reach some of our statements and
statements of others; LISTEN hears nothing; statements that were prepared are not there.  It is asked, not guessed: a
setting that one of two connections makes shows on the other where both are served by the same backend.
"""

from __future__ import annotations

from sqlalchemy import Connection

from doorward.errors import DatabaseUnusable
from doorward.stores.sql.postgres_address import PostgresAddress

_NAME = "doorward.connection"


def mark(connection: Connection, text: str) -> None:
    """Set a mark for as long as the connection is there."""
    connection.exec_driver_sql(f"SELECT set_config('{_NAME}', '{text}', false)").close()


def has_mark(connection: Connection, text: str) -> bool:
    """Whether the mark shows here."""
    found = connection.exec_driver_sql(f"SELECT current_setting('{_NAME}', true)").scalar()
    if found != text:
        return False
    # It is somebody else's connection as well: what has been set on it is taken back.
    connection.exec_driver_sql("RESET ALL").close()
    return True


def lent_by_the_transaction(address: PostgresAddress) -> DatabaseUnusable:
    return DatabaseUnusable(
        f"{address}: a pooler lends its connections by the transaction. Doorward needs one for as long as it keeps it,"
        " for LISTEN and for the bounds of a statement. Name the database itself, or let the pooler lend by the session"
        " (pgbouncer: pool_mode = session; Supabase: port 5432; Neon: the host without -pooler)."
    )
