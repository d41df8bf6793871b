"""What a statement function is handed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

from doorward.revocation.model import Revocation


class Transaction:
    """One transaction and its time.

    Args:
        connection: inside a transaction where something is written.
        clock: tells the store's time; asked once, when the time is first needed, which is after the transaction has
            begun and, where a statement function locks something first, after it has the lock.
    """

    __slots__ = ("_clock", "_now", "connection", "revoked")

    def __init__(self, *, connection: Connection, clock: Callable[[], datetime]) -> None:
        self.connection = connection
        self._clock = clock
        self._now: datetime | None = None
        self.revoked: list[Revocation] = []
        """What is revoked in it, for whoever tells of that once it has committed."""

    @property
    def now(self) -> datetime:
        """The store's time, the same throughout the transaction."""
        if self._now is None:
            self._now = self._clock()
        return self._now

    @property
    def is_shared(self) -> bool:
        """Whether others write at the same time; SQLite lets one write and the others wait."""
        return self.connection.dialect.name == "postgresql"

    def insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """An INSERT that knows ON CONFLICT, which both engines spell alike and SQLAlchemy keeps apart."""
        if self.connection.dialect.name == "postgresql":
            return postgresql.insert(table)
        return sqlite.insert(table)
