"""Statements about sessions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, bindparam, func, insert, select, update

from doorward.sessions.model import AccountMoved, Ended, Ending, EndReason, NewSession, Session, Started, Step
from doorward.stores import records
from doorward.stores.sql import accounts, live, revocations, schema, trail
from doorward.stores.sql.live import IDLE_EXPIRES_AT, LAST_SEEN_AT, STANDS
from doorward.stores.sql.prepared import Prepared
from doorward.stores.sql.rows import SESSION, session_of, session_values
from doorward.stores.sql.transaction import Transaction

_session = schema.session
NEWEST_FIRST = (_session.c.created_at.desc(), _session.c.id.desc())
_OF_ACCOUNT = Prepared(
    select(*SESSION).where(_session.c.account == bindparam("of_account"), STANDS).order_by(*NEWEST_FIRST), SESSION
)

_TOUCH = (
    update(_session)
    .where(_session.c.key == bindparam("session_key", type_=BigInteger()), STANDS)
    .values(last_seen_at=LAST_SEEN_AT, idle_expires_at=IDLE_EXPIRES_AT)
)


def start(
    tx: Transaction, *, new: NewSession, limit: int | None, replaces: Sequence[int], ending: Ending
) -> Started | AccountMoved:
    # Held until the commit: disabling the account, changing its password and another start wait for this one.
    account = accounts.locked(tx, new.account)
    if account is None or account.disabled_at is not None or account.version != new.account_version:
        return AccountMoved()
    over = _end_replaced(tx, replaces, records.because(ending, EndReason.SIGNED_OUT))
    if limit is not None:
        crowded_out = _end_oldest(tx, new.account, max(limit, 1) - 1, records.because(ending, EndReason.SESSION_LIMIT))
        over = Ended(revocations=over.revocations + crowded_out.revocations)
    session = new.begun(at=tx.now)
    tx.connection.execute(insert(_session), session_values(session))
    trail.write(tx, records.session_started(session, ending.actor))
    return Started(session=session, revocations=over.revocations)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Starting one session; a value, so that a runner may have a quicker way (``starting.py``)."""

    new: NewSession
    limit: int | None
    replaces: Sequence[int]
    ending: Ending

    @property
    def ends_nothing(self) -> bool:
        """Whether no other session can end with this start."""
        return self.limit is None and not self.replaces

    def __call__(self, tx: Transaction) -> Started | AccountMoved:
        return start(tx, new=self.new, limit=self.limit, replaces=self.replaces, ending=self.ending)


@dataclass(frozen=True, slots=True, kw_only=True)
class LookSessions:
    """Lists the live sessions of an account, the newest first; a value, as those in ``sightings.py``."""

    account_id: str

    def __call__(self, tx: Transaction) -> Sequence[Session]:
        rows = _OF_ACCOUNT.all(tx, {"of_account": self.account_id, "now": tx.now})
        return tuple(session_of(row) for row in rows)


def touch(tx: Transaction, *, key: int, idle: timedelta) -> None:
    tx.connection.execute(_TOUCH, {"session_key": key, "now": tx.now, "used_until": tx.now + idle})


def end_one(tx: Transaction, *, session_id: str, ending: Ending, account_id: str | None) -> Ended | None:
    where = STANDS & (_session.c.id == session_id)
    if account_id is not None:
        where &= _session.c.account == account_id
    live.hold(tx, _session.c.id == session_id)
    over = live.end(tx, where, ending)
    return live.tell_each(tx, over, ending) if over else None


def end_all(tx: Transaction, *, account_id: str, ending: Ending, keep: str | None) -> Ended:
    where = STANDS & (_session.c.account == account_id)
    # Before the sessions, also where the account stays as it is: a change of its roles moves every one of them.
    account = accounts.locked(tx, account_id)
    if keep is not None:
        return live.tell_each(tx, live.end(tx, where & (_session.c.id != keep), ending), ending)
    if account is None:
        return Ended()
    # Sessions first: once the version is raised they do not stand any more.
    over = live.tell(tx, live.end(tx, where, ending), ending).sessions
    entry = records.account_revoked(accounts.raise_version(tx, account), ending, at=tx.now)
    revocations.write(tx, [entry])
    return Ended(sessions=over, revocations=(entry,))


def end_begun_before(tx: Transaction, *, instant: datetime, ending: Ending, after: str | None, limit: int) -> Step:
    begins = -1 if after is None else int(after)
    walked = select(_session.c.key).where(_session.c.key > begins).order_by(_session.c.key).limit(limit).subquery()
    many, last = tx.connection.execute(select(func.count(), func.max(walked.c.key))).one()
    if not many:
        return Step(ended=0, after=None)
    among = _session.c.key.between(begins + 1, last) & (_session.c.created_at <= instant)
    over = update(_session).where(among, live.GOES_ON).values(ended_at=tx.now, ended_reason=ending.reason)
    ended = tx.connection.execute(over, {"now": tx.now}).rowcount
    return Step(ended=ended, after=str(last) if many == limit else None)


def _end_replaced(tx: Transaction, keys: Sequence[int], ending: Ending) -> Ended:
    if not keys:
        return Ended()
    live.hold(tx, _session.c.key.in_(keys))
    return live.tell_each(tx, live.end(tx, STANDS & _session.c.key.in_(keys), ending), ending)


def _end_oldest(tx: Transaction, account_id: str, keep: int, ending: Ending) -> Ended:
    """End all but the newest sessions of an account."""
    live_ones = select(_session.c.key).where(_session.c.account == account_id, STANDS)
    too_many = live_ones.order_by(*NEWEST_FIRST).offset(keep)
    return live.tell_each(tx, live.end(tx, _session.c.key.in_(too_many), ending), ending)
