"""Whether a session that is kept elsewhere stands, as far as the database knows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, and_, bindparam, select

from doorward.accounts.model import Account
from doorward.audit.model import AuditEvent
from doorward.revocation.model import Kind
from doorward.sessions.model import Session
from doorward.stores.sql import accounts, schema, trail
from doorward.stores.sql.live import NOW
from doorward.stores.sql.prepared import Prepared
from doorward.stores.sql.session_work import Noted, note, pending
from doorward.stores.sql.transaction import Transaction

_revocation = schema.revocation


def names(session_id: ColumnElement[Any], *, now: ColumnElement[Any]) -> ColumnElement[bool]:
    """A revocation that is live at an instant names this session."""
    return and_(_revocation.c.kind == Kind.SESSION, _revocation.c.id == session_id, _revocation.c.dies_at > now)


_REVOKED = Prepared(select(_revocation.c.id).where(names(bindparam("session_id"), now=NOW)), (_revocation.c.id,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the database knows of a session that is kept elsewhere.

    Args:
        account: whose it is, or None if it is gone.
        revoked: whether a live revocation names the session: then it has ended, whatever its row says.
    """

    account: Account | None
    revoked: bool

    def bears(self, session: Session) -> bool:
        """Whether the session stands, as far as the database knows."""
        account = self.account
        return (
            account is not None
            and account.disabled_at is None
            and account.version == session.account_version
            and not self.revoked
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LookStanding:
    """Reads what is known of a session; a value, as those in ``sightings.py``."""

    account_id: str
    session_id: str

    def __call__(self, tx: Transaction) -> Standing:
        account = accounts.by_id(tx, account_id=self.account_id)
        return Standing(account=account, revoked=_is_revoked(tx, self.session_id))


def _held(tx: Transaction, session: Session) -> Standing:
    """What is known of a session; what changes the account waits until the transaction is over."""
    return Standing(account=accounts.shared(tx, session.account), revoked=_is_revoked(tx, session.id))


def _is_revoked(tx: Transaction, session_id: str) -> bool:
    return _REVOKED.one(tx, {"session_id": session_id, "now": tx.now}) is not None


def tell_if_standing(tx: Transaction, *, session: Session, event: AuditEvent) -> Standing:
    """Tell of what a session has done, where it stands."""
    found = _held(tx, session)
    if found.bears(session):
        trail.write(tx, event)
    return found


def note_stray(tx: Transaction, *, noted: Noted, session: Session) -> Noted | None:
    """Note the end of a session that does not stand, for which nobody has anything left to do.

    Redis has lost what was done to it, or the database has.  Returns the work, or None where it stands after all or
    where something is left to be done first.
    """
    found = _held(tx, session)
    if found.bears(session) or pending(tx, account_id=session.account):
        return None
    version = found.account.version if found.account is not None else None
    if version is not None and session.account_version < version:
        # All that raised the version has been done, so that a row below it has missed something, whoever moves it now.
        noted = replace(noted, work=msgspec.structs.replace(noted.work, below=version))
    note(tx, noted)
    return noted
