"""What a statement function is handed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One transaction and its time.

    Args:
        connection: inside a transaction where something is written.
        now: the store's time, read once, after the transaction has begun.
    """

    connection: Connection
    now: datetime

    def insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """An INSERT that knows ON CONFLICT, which both engines spell alike and SQLAlchemy keeps apart."""
        if self.connection.dialect.name == "postgresql":
            return postgresql.insert(table)
        return sqlite.insert(table)
