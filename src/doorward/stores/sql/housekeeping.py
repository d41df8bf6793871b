"""Statements about the store itself and about what its time has come to remove."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, Table, delete, or_, select, tuple_, update

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


def remove_expired(tx: Transaction, *, session_retention: timedelta, audit_retention: timedelta, batch: int) -> Removed:
    session, revocation, key, event = schema.session, schema.revocation, schema.signing_key, schema.audit_event
    forgotten = tx.now - session_retention
    over = or_(session.c.ended_at <= forgotten, session.c.idle_expires_at <= forgotten)
    removed = [
        _remove(tx, session, over, batch),
        _remove(tx, revocation, revocation.c.dies_at <= tx.now, batch),
        _remove(tx, event, event.c.at <= tx.now - audit_retention, batch),
        _remove(tx, key, key.c.retired_at <= forgotten, batch),
    ]
    sessions, revocations, audit_events, keys = removed
    return Removed(
        sessions=sessions, revocations=revocations, audit_events=audit_events, keys=keys, more=batch in removed
    )


def _remove(tx: Transaction, table: Table, condition: ColumnElement[bool], batch: int) -> int:
    # A bounded batch: a DELETE of everything would hold the one writer's lock for as long as it takes.
    primary = tuple(table.primary_key.columns)
    # What another server removes at this moment is its business.
    some = select(*primary).where(condition).limit(batch).with_for_update(skip_locked=True)
    named = primary[0].in_(some) if len(primary) == 1 else tuple_(*primary).in_(some)
    return tx.connection.execute(delete(table).where(named)).rowcount
