"""Numbers of status lists whose sessions, kept elsewhere, have ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, select

from doorward.stores.sql import schema
from doorward.stores.sql.transaction import Transaction

_number = schema.ended_number


def read(tx: Transaction, *, first: int, count: int) -> Sequence[int]:
    """Those whose session has ended; of others no token is left that could be accepted."""
    among = _number.c.number.between(first, first + count - 1)
    return tuple(tx.connection.execute(select(_number.c.number).where(among)).scalars())


def write(tx: Transaction, *, numbers: Iterable[int], remember_for: timedelta) -> None:
    """Note that the sessions with these numbers have ended."""
    values = [{"number": number, "dies_at": tx.now + remember_for} for number in sorted(numbers)]
    tx.connection.execute(tx.insert(_number).on_conflict_do_nothing(), values)


def forget(tx: Transaction, *, until: datetime, batch: int) -> int:
    """Remove some of those whose last token is dead; none because of an instant after ``until``."""
    some = select(_number.c.number).where(_number.c.dies_at <= min(tx.now, until)).limit(batch)
    return tx.connection.execute(delete(_number).where(_number.c.number.in_(some))).rowcount
