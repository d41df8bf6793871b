"""Statements about revocations."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import case, func, select

from doorward.revocation.model import Revocation
from doorward.stores.sql import schema
from doorward.stores.sql.rows import REVOCATION, later, revocation_of, revocation_values
from doorward.stores.sql.transaction import Transaction
from doorward.wire.announcement import CHANNEL, write_announcement

_revocation = schema.revocation


def read(tx: Transaction) -> tuple[Revocation, ...]:
    """All that have not died, as of the transaction's time, which is read first."""
    live = select(*REVOCATION).where(_revocation.c.dies_at > tx.now)
    return tuple(revocation_of(row) for row in tx.connection.execute(live))


def write(tx: Transaction, revocations: Sequence[Revocation]) -> None:
    """Join entries into the table by the pointwise maximum: repeated and reordered ones change nothing."""
    if not revocations:
        return
    statement = tx.insert(_revocation)
    joined = statement.on_conflict_do_update(
        index_elements=[_revocation.c.kind, _revocation.c.id],
        set_={
            "value": later(_revocation.c.value, statement.excluded.value),
            "dies_at": later(_revocation.c.dies_at, statement.excluded.dies_at),
            "reason": case(
                (statement.excluded.value > _revocation.c.value, statement.excluded.reason),
                else_=func.coalesce(_revocation.c.reason, statement.excluded.reason),
            ),
        },
    )
    # In one order everywhere: two servers that write the same entries back wait for each other, and do not cross.
    in_order = sorted(revocations, key=lambda entry: (entry.kind.value, entry.id))
    tx.connection.execute(joined, [revocation_values(entry) for entry in in_order])
    tx.revoked += in_order
    if tx.is_shared:
        # PostgreSQL tells it when this transaction has committed, and not otherwise.
        tx.connection.execute(select(func.pg_notify(CHANNEL, write_announcement(revocations)))).close()
