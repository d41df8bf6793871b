"""The look-ups that an asynchronous PostgreSQL host reads in batches: one statement for all of a kind in one tick.

Each is a value (``sightings.Look`` and so on) that reads one thing where it is called with a transaction.  Here is how
several of them are read at once: the statement is made from the same tables, and run on the driver itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, CTE, BigInteger, Column, ColumnElement, Text, any_, bindparam, column, func, select, true

from doorward.accounts.model import Account
from doorward.errors import FieldError, ValidationFailed
from doorward.sessions.model import FullSighting, Session
from doorward.stores.sql import schema
from doorward.stores.sql.accounts import LookAccount, LookEmail
from doorward.stores.sql.hot_path import DIALECT, LOOK_UP, NOW_COLUMN, sightings_of
from doorward.stores.sql.live import stands
from doorward.stores.sql.prepared import Compiled, compile_for
from doorward.stores.sql.rows import ACCOUNT, SESSION, account_of, session_of
from doorward.stores.sql.sessions import NEWEST_FIRST, LookSessions
from doorward.stores.sql.sightings import Look, LookById
from doorward.stores.sql.standing import LookStanding, Standing, names
from doorward.stores.sql.types import Instant

_session, _account, _revocation = schema.session, schema.account, schema.revocation
_WIDTH = len(SESSION)
_MOST_KEY = 2**63 - 1

Rows = Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """How look-ups of one kind are read at once.

    Args:
        statement: for all of them.
        parameters: of the statement, from the look-ups and the time, where the time is not the database's.
        answers: to each look-up, from the rows, the look-ups and that time.
    """

    statement: Compiled
    parameters: Callable[[Sequence[Any], datetime | None], Mapping[str, Any]]
    answers: Callable[[Rows, Sequence[Any], datetime | None], Sequence[Any]]


def check(asked: object) -> None:
    """Refuse a look-up that would make the statement of a whole batch fail.  Raises ValidationFailed."""
    if isinstance(asked, Look) and not 0 <= asked.key <= _MOST_KEY:
        raise ValidationFailed([FieldError(field="request", message="A number cannot be stored.")])


def _among(compared: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    kind: Any = BigInteger() if name == "keys" else Text()
    return compared == any_(bindparam(name, type_=ARRAY(kind)))


def _clock() -> CTE:
    """The time of a statement: that of the database, unless a parameter says another."""
    told = func.coalesce(bindparam("now", type_=Instant()), func.clock_timestamp(), type_=Instant())
    return select(told.label("now")).cte("clock")


def _compiled(statement: Any, columns: Sequence[Column[Any]]) -> Compiled:
    return compile_for(DIALECT, statement, columns)


# Sessions by their public ids


def _sessions_by_id() -> Compiled:
    clock = _clock()
    both = (
        select(*SESSION, *ACCOUNT).join_from(_session, _account).where(_among(_session.c.id, "ids")).subquery("found")
    )
    # The time is returned even where there is no row.
    statement = select(clock.c.now, *both.c).select_from(clock.outerjoin(both, true()))
    return _compiled(statement, (NOW_COLUMN, *SESSION, *ACCOUNT))


def _full_sightings(rows: Rows, asked: Sequence[LookById], now: datetime | None) -> Sequence[FullSighting]:
    del now
    read = [_BY_ID.statement.row(row) for row in rows]
    at = read[0][0]
    found = {}
    for row in read:
        if row[1] is not None:
            session, account = session_of(row[1 : _WIDTH + 1]), account_of(row[_WIDTH + 1 :])
            found[session.id] = FullSighting(session=session, account=account, at=at)
    nothing = FullSighting(session=None, account=None, at=at)
    return [found.get(each.session_id, nothing) for each in asked]


_BY_ID = Batch(
    statement=_sessions_by_id(),
    parameters=lambda asked, now: {"now": now, "ids": list({each.session_id for each in asked})},
    answers=_full_sightings,
)


# Sessions of accounts


def _sessions_of_accounts() -> Compiled:
    clock = _clock()
    statement = (
        select(*SESSION)
        .select_from(_session.join(clock, true()))
        .where(_among(_session.c.account, "ids"), stands(clock.c.now))
        .order_by(*NEWEST_FIRST)
    )
    return _compiled(statement, SESSION)


def _lists_of_sessions(rows: Rows, asked: Sequence[LookSessions], now: datetime | None) -> Sequence[Sequence[Session]]:
    del now
    found: dict[str, list[Session]] = {each.account_id: [] for each in asked}
    for row in rows:
        session = session_of(_OF_ACCOUNTS.statement.row(row))
        found[session.account].append(session)
    return [tuple(found[each.account_id]) for each in asked]


_OF_ACCOUNTS = Batch(
    statement=_sessions_of_accounts(),
    parameters=lambda asked, now: {"now": now, "ids": list({each.account_id for each in asked})},
    answers=_lists_of_sessions,
)


# Accounts


def _accounts_by(compared: Column[Any]) -> Compiled:
    return _compiled(select(*ACCOUNT).where(_among(compared, "ids")), ACCOUNT)


def _accounts_of(statement: Compiled, rows: Rows) -> Sequence[Account]:
    return [account_of(statement.row(row)) for row in rows]


def _by_account_id(rows: Rows, asked: Sequence[LookAccount], now: datetime | None) -> Sequence[Account | None]:
    del now
    found = {account.id: account for account in _accounts_of(_ACCOUNTS.statement, rows)}
    return [found.get(each.account_id) for each in asked]


def _by_email_key(rows: Rows, asked: Sequence[LookEmail], now: datetime | None) -> Sequence[Account | None]:
    del now
    found = {account.email_key: account for account in _accounts_of(_EMAILS.statement, rows)}
    return [found.get(each.email_key) for each in asked]


_ACCOUNTS = Batch(
    statement=_accounts_by(_account.c.id),
    parameters=lambda asked, _: {"ids": list({each.account_id for each in asked})},
    answers=_by_account_id,
)
_EMAILS = Batch(
    statement=_accounts_by(_account.c.email_key),
    parameters=lambda asked, _: {"ids": list({each.email_key for each in asked})},
    answers=_by_email_key,
)


# What is known of sessions that are kept elsewhere


def _standings() -> Compiled:
    clock = _clock()
    given = (
        func.unnest(bindparam("accounts", type_=ARRAY(Text())), bindparam("sessions", type_=ARRAY(Text())))
        .table_valued(column("account", Text()), column("session", Text()))
        .render_derived("given")
    )
    named = select(_revocation.c.id).where(names(given.c.session, now=clock.c.now)).exists()
    statement = select(given.c.session, named, *ACCOUNT).select_from(
        given.join(clock, true()).outerjoin(_account, _account.c.id == given.c.account)
    )
    return _compiled(statement, (_session.c.id, Column("named", Text()), *ACCOUNT))


def _known_of(rows: Rows, asked: Sequence[LookStanding], now: datetime | None) -> Sequence[Standing]:
    del now
    found = {}
    for session_id, revoked, *account in map(_STANDINGS.statement.row, rows):
        found[session_id] = Standing(account=None if account[0] is None else account_of(account), revoked=revoked)
    return [found[each.session_id] for each in asked]


_STANDINGS = Batch(
    statement=_standings(),
    parameters=lambda asked, now: {
        "now": now,
        "accounts": [each.account_id for each in asked],
        "sessions": [each.session_id for each in asked],
    },
    answers=_known_of,
)


BATCHES: Mapping[type, Batch] = {
    Look: Batch(
        statement=LOOK_UP,
        parameters=lambda asked, _: {"keys": list({each.key for each in asked})},
        answers=lambda rows, asked, now: sightings_of(rows, [each.key for each in asked], now=now),
    ),
    LookById: _BY_ID,
    LookSessions: _OF_ACCOUNTS,
    LookAccount: _ACCOUNTS,
    LookEmail: _EMAILS,
    LookStanding: _STANDINGS,
}
"""By the type of the look-up."""
