"""Announcements on a SQLite file: what other processes commit is noticed within one tick.

SQLite notifies nobody, but ``PRAGMA data_version`` tells in microseconds whether another connection has committed
anything since it was last asked.  Only then the events that are new in the trail are read, and with them the
revocations of the sessions and accounts that they name.  SQLite writes one transaction at a time, so no event with a
lower number is committed later.  What has no event, the next complete read finds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select

from doorward.audit.model import Action
from doorward.revocation.model import Kind, Revocation
from doorward.stores.listening import listen_on
from doorward.stores.sql import schema
from doorward.stores.sql.rows import REVOCATION, revocation_of
from doorward.stores.sql.sqlite import LOOK_UP_TIMEOUT, sqlite_engine

Heard = Callable[[Sequence[Revocation] | None], None]
Pause = Callable[[], Awaitable[None]]

TICK = timedelta(milliseconds=20)
"""How often a process asks whether another has committed something."""

MOST_EVENTS = 500
"""Where more have happened since the last tick, everything is read."""

_event, _revocation = schema.audit_event, schema.revocation

_REVOKES_NOTHING = (
    Action.ACCOUNT_CREATED,
    Action.CREDENTIAL_REFUSED,
    Action.PASSWORD_REFUSED,
    Action.PASSWORD_REHASHED,
    Action.REFRESH_REFUSED,
    Action.REFRESH_RETRIED,
    Action.REFRESH_ROTATED,
    Action.REFRESH_WAITED,
    Action.SESSION_REFUSED,
    Action.SESSION_STARTED,
)
"""Frequent, and followed by no revocation: whatever else ends with a session that starts has an event of its own."""

_NAMES_WHAT_IS_REVOKED = (
    Action.ACCOUNT_CHANGED,
    Action.ACCOUNT_DISABLED,
    Action.PASSWORD_CHANGED,
    Action.REFRESH_REUSED,
    Action.SESSION_ENDED,
    Action.SESSION_MOVED,
)
"""Of any other event, such as one about a key, what follows is read with everything else."""


async def _tick() -> None:
    await asyncio.sleep(TICK.total_seconds())


class SqliteAnnouncements:
    """Notices what is committed to one file.

    Args:
        path: of the file.
        pause: waits for the next tick.
    """

    def __init__(self, path: Path, *, pause: Pause = _tick) -> None:
        self._path = path
        self._pause = pause

    async def listen(self, heard: Heard) -> None:
        """See ``ports.Announcements``."""
        await listen_on(lambda: self._listen_once(heard), place=str(self._path), told=str)

    async def _listen_once(self, heard: Heard) -> None:
        if not self._path.exists():
            # SQLite would make an empty one.
            raise FileNotFoundError(f"{self._path} does not exist")
        # A connection of its own: the number is about what others have committed.
        engine = sqlite_engine(self._path, timeout=LOOK_UP_TIMEOUT, pragmas=("query_only = ON",))
        try:
            with engine.execution_options(reads=True, isolation_level="AUTOCOMMIT").connect() as connection:
                version, last = _version_of(connection), _last_event(connection)
                heard(None)  # what was committed before
                while True:
                    await self._pause()
                    now = _version_of(connection)
                    if now != version:
                        version = now
                        last = _hear(connection, last, heard)
        finally:
            engine.dispose()


def _version_of(connection: Connection) -> int:
    # The driver is asked itself: SQLAlchemy takes longer over it than SQLite.
    driver: Any = connection.connection.dbapi_connection
    version: int = driver.execute("PRAGMA data_version").fetchone()[0]
    return version


def _last_event(connection: Connection) -> int:
    newest: int | None = connection.execute(select(func.max(_event.c.id))).scalar_one()
    return newest or 0


def _hear(connection: Connection, last: int, heard: Heard) -> int:
    """Hand over what the events after one have revoked.  Returns the number of the last event."""
    newest = _last_event(connection)
    new = select(_event.c.action, _event.c.session, _event.c.account).where(
        _event.c.id > last, _event.c.id <= newest, _event.c.action.not_in(_REVOKES_NOTHING)
    )
    events = connection.execute(new.limit(MOST_EVENTS + 1)).all()
    if len(events) > MOST_EVENTS or any(event.action not in _NAMES_WHAT_IS_REVOKED for event in events):
        heard(None)
    elif events:
        sessions = {event.session for event in events if event.session is not None}
        accounts = {event.account for event in events if event.account is not None}
        heard([*_named(connection, Kind.SESSION, sessions), *_named(connection, Kind.ACCOUNT, accounts)])
    return newest


def _named(connection: Connection, kind: Kind, ids: set[str]) -> list[Revocation]:
    found = select(*REVOCATION).where(_revocation.c.kind == kind, _revocation.c.id.in_(sorted(ids)))
    return [revocation_of(row) for row in connection.execute(found)]


def sqlite_announcements(place: str) -> SqliteAnnouncements:
    """Announcements on a SQLite file."""
    return SqliteAnnouncements(Path(place).absolute())
