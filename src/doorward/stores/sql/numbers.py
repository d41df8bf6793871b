"""Statements about the numbers that sessions have in status lists."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import BigInteger, Text, cast, or_, select

from doorward.stores.sql import schema
from doorward.stores.sql.transaction import Transaction

_session, _account, _meta = schema.session, schema.account, schema.meta

_NAME = "session_numbers"


def reserve(tx: Transaction, *, count: int) -> int:
    """The first of so many numbers that nobody else is given."""
    statement = tx.insert(_meta).values(name=_NAME, value=str(count))
    raised = cast(cast(_meta.c.value, BigInteger) + count, Text)
    taken = statement.on_conflict_do_update(index_elements=[_meta.c.name], set_={"value": raised})
    return int(tx.connection.execute(taken.returning(_meta.c.value)).scalar_one()) - count


def ended(tx: Transaction, *, first: int, count: int) -> Sequence[int]:
    """Those whose session is over; of one that has expired no token is left that could be accepted."""
    is_over = or_(
        _session.c.ended_at.is_not(None),
        _account.c.disabled_at.is_not(None),
        _account.c.version != _session.c.account_version,
    )
    among = _session.c.status_index.between(first, first + count - 1)
    found = select(_session.c.status_index).join_from(_session, _account).where(among, is_over)
    return tuple(tx.connection.execute(found).scalars())
