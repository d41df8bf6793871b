"""Statements about the store itself and about what its time has come to remove."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Table, delete, func, or_, select, tuple_, update

from doorward.errors import StoreUnavailable
from doorward.ports import Removed
from doorward.stores.sql import schema
from doorward.stores.sql.migrations import HEAD, noted_revision
from doorward.stores.sql.transaction import Transaction

_meta = schema.meta


def ping(tx: Transaction) -> None:
    """Read what requests read.  A constant would be answered without the file.

    Raises StoreUnavailable also where the revision of the schema is not the one that we work with.
    """
    if tx.connection.dialect.name == "sqlite":
        # From the file and not from the pages that this connection has kept of it.
        tx.connection.exec_driver_sql("PRAGMA shrink_memory").close()
    if tx.connection.execute(select(_meta.c.value).where(_meta.c.name == "identity")).first() is None:
        raise StoreUnavailable(detail="the database has lost its name")
    tx.connection.execute(select(schema.session.c.key).order_by(schema.session.c.key).limit(1)).first()
    revision = noted_revision(tx.connection)
    if revision != HEAD:
        raise StoreUnavailable(detail=f"the schema has revision {revision!r}, and not {HEAD!r}")


def settle(tx: Transaction, *, name: str, value: str, replaces: Sequence[str] = ()) -> str:
    """What the store notes under a name; set to the given value if that is new, or one of those that it replaces."""
    tx.connection.execute(tx.insert(_meta).values(name=name, value=value).on_conflict_do_nothing())
    if replaces:
        outdated = update(_meta).where(_meta.c.name == name, _meta.c.value.in_(replaces))
        tx.connection.execute(outdated.values(value=value))
    noted: str = tx.connection.execute(select(_meta.c.value).where(_meta.c.name == name)).scalar_one()
    return noted


# Removing

WALKED_AT_ONCE = 2_000
"""Rows of sessions that one batch looks at on PostgreSQL, where no index tells which have been idle for long."""

_TURN = "housekeeping"
_BEGINNING = -1
"""Before the first session: keys are not negative."""


def remove_expired(
    tx: Transaction, *, session_retention: timedelta, audit_retention: timedelta, until: datetime, batch: int
) -> Removed:
    after = _take_turn(tx) if tx.is_shared else _BEGINNING
    if after is None:
        return Removed(elsewhere=True)
    session, revocation, key, event = schema.session, schema.revocation, schema.signing_key, schema.audit_event
    now = min(tx.now, until)
    forgotten = now - session_retention
    over = session.c.ended_at <= forgotten
    if not tx.is_shared:
        over = or_(over, session.c.idle_expires_at <= forgotten)
    removed = [
        _remove(tx, session, over, batch),
        _remove(tx, revocation, revocation.c.dies_at <= now, batch),
        _remove(tx, event, event.c.at <= now - audit_retention, batch),
        _remove(tx, key, key.c.retired_at <= forgotten, batch),
    ]
    sessions, revocations, audit_events, keys = removed
    if tx.is_shared:
        idle, after = _remove_idle(tx, after, forgotten=forgotten, limit=batch - sessions)
        sessions += idle
        _note_turn(tx, after)
    return Removed(
        sessions=sessions,
        revocations=revocations,
        audit_events=audit_events,
        keys=keys,
        more=batch in removed or after != _BEGINNING,
    )


def _take_turn(tx: Transaction) -> int | None:
    """The key up to which sessions have been walked, or None where another server is about it.

    The row is held until the batch is committed, or its server or connection dies.  SQLite needs none: there one
    transaction writes at a time.
    """
    turn = _meta.c.name == _TURN
    mine = select(_meta.c.value).where(turn).with_for_update(skip_locked=True)
    noted = tx.connection.execute(mine).scalar_one_or_none()
    if noted is not None:
        return int(noted)
    first = tx.insert(_meta).values(name=_TURN, value=str(_BEGINNING)).on_conflict_do_nothing()
    return _BEGINNING if tx.connection.execute(first).rowcount else None


def _note_turn(tx: Transaction, after: int) -> None:
    tx.connection.execute(update(_meta).where(_meta.c.name == _TURN).values(value=str(after)))


def _remove_idle(tx: Transaction, after: int, *, forgotten: datetime, limit: int) -> tuple[int, int]:
    """Remove idle sessions from the next range of keys.  Returns how many, and up to which key that was.

    When a session went idle no index says, since rotation moves it; going through all of a large table takes longer
    than a statement may.  So the table is walked by its primary key, range by range, and the next batch of whichever
    server goes on where this one was.
    """
    if limit == 0:
        return 0, after
    session = schema.session
    keys = select(session.c.key).where(session.c.key > after).order_by(session.c.key).limit(WALKED_AT_ONCE)
    walked = keys.subquery()
    many, last = tx.connection.execute(select(func.count(), func.max(walked.c.key))).one()
    if not many:
        return 0, _BEGINNING
    among = (session.c.key > after) & (session.c.key <= last) & (session.c.idle_expires_at <= forgotten)
    some = select(session.c.key).where(among).order_by(session.c.key).limit(limit).with_for_update(skip_locked=True)
    removed = tx.connection.execute(delete(session).where(session.c.key.in_(some)).returning(session.c.key)).scalars()
    gone = list(removed)
    if len(gone) == limit:
        return limit, max(gone)
    return len(gone), last if many == WALKED_AT_ONCE else _BEGINNING


def _remove(tx: Transaction, table: Table, condition: ColumnElement[bool], batch: int) -> int:
    # A bounded batch: a DELETE of everything would hold the one writer's lock for as long as it takes.
    primary = tuple(table.primary_key.columns)
    # What another server does with a row at this moment is its business.
    some = select(*primary).where(condition).limit(batch).with_for_update(skip_locked=True)
    named = primary[0].in_(some) if len(primary) == 1 else tuple_(*primary).in_(some)
    return tx.connection.execute(delete(table).where(named)).rowcount
