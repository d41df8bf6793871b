"""Statements about the audit trail."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, insert, select

from doorward.audit.model import Action, AuditEvent
from doorward.stores.sql import schema
from doorward.stores.sql.prepared import Prepared
from doorward.stores.sql.rows import EVENT, event_of, event_values
from doorward.stores.sql.transaction import Transaction

_event = schema.audit_event
_WRITE = Prepared(insert(_event), inserts=[column.name for column in EVENT if column.name != "id"])


def write(tx: Transaction, *events: AuditEvent) -> None:
    """Write events in the transaction of the change that they tell of."""
    for event in events:
        _WRITE.execute(tx, {**event_values(event), "at": tx.now})


def newest(tx: Transaction) -> int:
    """The number of the newest event; 0 where there is none."""
    number: int = tx.connection.execute(select(func.coalesce(func.max(_event.c.id), 0))).scalar_one()
    return number


def read(
    tx: Transaction, *, before: int | None, limit: int, account: str | None, session: str | None, action: Action | None
) -> Sequence[AuditEvent]:
    """Events, the newest first.

    Args:
        tx: where.
        before: only events with a lower id.
        limit: at most so many.
        account: only of this account.
        session: only of the session with this public id.
        action: only these.
    """
    wanted = {_event.c.account: account, _event.c.session: session, _event.c.action: action}
    statement = select(*EVENT).where(*(column == value for column, value in wanted.items() if value is not None))
    if before is not None:
        statement = statement.where(_event.c.id < before)
    statement = statement.order_by(_event.c.id.desc()).limit(limit)
    return tuple(event_of(row) for row in tx.connection.execute(statement))
