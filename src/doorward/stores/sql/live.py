"""Conditions and assignments that several statements share, with ``:now`` for the transaction's time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, case, exists, or_, select, update

from doorward.sessions.model import Ended, Ending, Session
from doorward.stores import records
from doorward.stores.sql import revocations, schema, trail
from doorward.stores.sql.rows import SESSION, earlier, later, session_of
from doorward.stores.sql.transaction import Transaction
from doorward.stores.sql.types import Instant

_session, _account = schema.session, schema.account

NOW = bindparam("now", type_=Instant())
USED_UNTIL = bindparam("used_until", type_=Instant())


def goes_on(now: ColumnElement[Any]) -> ColumnElement[bool]:
    """The session has neither been ended nor expired at an instant; says nothing of its account."""
    return and_(_session.c.ended_at.is_(None), _session.c.idle_expires_at > now, _session.c.expires_at > now)


def stands(now: ColumnElement[Any]) -> ColumnElement[bool]:
    """The session is live at an instant: ``decide_standing`` in SQL."""
    enabled = exists().where(
        _account.c.id == _session.c.account,
        _account.c.version == _session.c.account_version,
        _account.c.disabled_at.is_(None),
    )
    return and_(goes_on(now), enabled)


def last_seen_at(now: ColumnElement[Any]) -> ColumnElement[Any]:
    return later(_session.c.last_seen_at, now)


def idle_limit(idle: ColumnElement[Any], idle_remembered: ColumnElement[Any]) -> ColumnElement[Any]:
    """``decide_idle_limit`` in SQL; of instants as of durations."""
    return case((or_(_session.c.remembered, _session.c.carrier == "token"), idle_remembered), else_=idle)


def idle_expires_at(used_until: ColumnElement[Any]) -> ColumnElement[Any]:
    """``decide_idle_expiry`` in SQL, of a session that is used now and may then rest until an instant."""
    return earlier(later(_session.c.idle_expires_at, used_until), _session.c.expires_at)


GOES_ON = goes_on(NOW)
STANDS = stands(NOW)
LAST_SEEN_AT = last_seen_at(NOW)
IDLE_EXPIRES_AT = idle_expires_at(USED_UNTIL)


def hold(tx: Transaction, where: ColumnElement[bool]) -> None:
    """Keep sessions from being changed by others before the next statement judges them.

    On PostgreSQL a statement that waited for a row looks at it anew, but at the account as it was before: a session
    that a change of roles carried over meanwhile would pass for one that does not stand, and would not be ended.
    """
    if tx.is_shared:
        tx.connection.execute(select(_session.c.key).where(where).order_by(_session.c.key).with_for_update()).close()


def end(tx: Transaction, where: ColumnElement[bool], ending: Ending, **parameters: Any) -> Sequence[Session]:
    """End the sessions that meet a condition; one statement.  The condition says that they are live."""
    statement = (
        update(_session)
        .where(where)
        .values(ended_at=NOW, ended_reason=bindparam("why", type_=_session.c.ended_reason.type))
        .returning(*SESSION)
    )
    found: Mapping[str, Any] = {"now": tx.now, "why": ending.reason, **parameters}
    return [session_of(row) for row in tx.connection.execute(statement, found)]


def tell(tx: Transaction, sessions: Sequence[Session], ending: Ending) -> Ended:
    """Record that sessions have ended, where the account is revoked as a whole."""
    over = records.ended_sessions(sessions, ending, at=tx.now)
    trail.write(tx, *(records.session_ended(session, ending.actor) for session in over.sessions))
    return over


def tell_each(tx: Transaction, sessions: Sequence[Session], ending: Ending) -> Ended:
    """Record that sessions have ended, and revoke each by its own entry."""
    over = tell(tx, sessions, ending)
    revocations.write(tx, over.revocations)
    return over
