"""Statements about a store that was put back: which one it is, and what servers give back to it.

A store is called by a name and the place where it was given: on PostgreSQL the cluster, and the timeline of its
write-ahead log.  So a promotion, a recovery to a point in time and a restore into another cluster show by themselves.
Files that are copied back, and any backup of SQLite, bring their name along: those show to servers that run by what is
missing, and of SQLite to one that starts by the note beside the file.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError

from doorward.accounts.model import Account
from doorward.audit.model import Action, Actor, AuditEvent
from doorward.errors import StoreUnavailable
from doorward.revocation.model import Kind, Revocation
from doorward.sessions.model import Ended, Ending, Session
from doorward.stores import records
from doorward.stores.sql import accounts, copy_mark, live, revocations, schema, trail
from doorward.stores.sql.live import STANDS
from doorward.stores.sql.note_beside import Note, has_gone_back
from doorward.stores.sql.postgres_errors import sqlstate_of
from doorward.stores.sql.transaction import Transaction
from doorward.wire.identifiers import new_identifier

_meta, _session = schema.meta, schema.session

_NOTED = select(_meta.c.value).where(_meta.c.name == "identity")

# The control file tells the timeline only once a checkpoint after the promotion is done; the log's file at once.
_PLACE = text(
    "SELECT to_hex(system_identifier), CASE WHEN pg_is_in_recovery() THEN NULL"
    " ELSE left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END FROM pg_control_system()"
)
_NOT_TOLD = frozenset({"42501", "42883", "0A000"})
"""No privilege, no such function, not supported: what somebody else operates may keep its place to itself."""


def read_place(tx: Transaction) -> str | None:
    """Where the store is; None where it does not say.  Not inside a transaction, which a refusal would end.

    Raises StoreUnavailable on a standby: what was revoked a moment ago may not have arrived there.
    """
    if not tx.is_shared:
        return None
    try:
        cluster, timeline = tx.connection.execute(_PLACE).one()
    except DBAPIError as error:
        if sqlstate_of(error) in _NOT_TOLD:
            return None
        raise
    if timeline is None:
        raise StoreUnavailable(detail="the database is a standby, which only follows another")
    return f"{cluster}.{timeline}"


def read_identity(tx: Transaction, *, place: str | None) -> str:
    """What the store is called; where it was named in another place, that as well."""
    noted = _noted(tx)
    return noted if _is_at_home(noted, place) else f"{noted} at {place}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A store that is ready to be used.

    Args:
        identity: what it is called.
        newest: the number of its newest audit event.
        was_put_back: whether it can tell that a backup or a standby has taken its place while nobody watched.
    """

    identity: str
    newest: int
    was_put_back: bool


def settle(tx: Transaction, *, place: str | None, noted: Note | None) -> Settled:
    """Give the store a name where it has none, has come from another place, or is older than what was noted of it.

    Raises DatabaseUnusable where it is an unfinished copy.
    """
    copy_mark.take_over(tx)
    before: str | None = tx.connection.execute(_NOTED).scalar_one_or_none()
    newest = trail.newest(tx)
    gone_back = before is not None and has_gone_back(noted, Note(identity=before, newest=newest))
    identity = _settle_name(tx, known=before if gone_back else None, place=place)
    was_put_back = before is not None and identity != before
    return Settled(identity=identity, newest=newest, was_put_back=was_put_back)


def _settle_name(tx: Transaction, *, known: str | None, place: str | None) -> str:
    first = tx.insert(_meta).values(name="identity", value=_new_name(place)).on_conflict_do_nothing()
    tx.connection.execute(first).close()
    event = AuditEvent(action=Action.STORE_PUT_BACK, actor=Actor(name="housekeeping"))
    return renew(tx, known=known, place=place, event=event)


def renew(tx: Transaction, *, known: str | None, place: str | None, event: AuditEvent) -> str:
    """Give the store another name where it is still called ``known``, or comes from another place.

    Returns the name that it has.
    """
    tx.connection.execute(_NOTED.with_for_update()).close()
    noted = _noted(tx)
    if noted != known and _is_at_home(noted, place):
        return noted
    name = _new_name(place)
    tx.connection.execute(update(_meta).where(_meta.c.name == "identity").values(value=name))
    trail.write(tx, event)
    return name


def write_back(tx: Transaction, *, lost: Sequence[Revocation], ending: Ending) -> Ended:
    revocations.write(tx, lost)
    over: list[Session] = []
    # In one order, and accounts before sessions, as everywhere: servers that write back at once do not cross.
    of_accounts = sorted((entry for entry in lost if entry.kind is Kind.ACCOUNT), key=lambda entry: entry.id)
    held = [(entry, accounts.locked(tx, entry.id)) for entry in of_accounts]
    named = [entry for entry in lost if entry.kind is Kind.SESSION]
    if named:
        live.hold(tx, _session.c.id.in_([entry.id for entry in named]))
    for reason in sorted({entry.reason or "" for entry in named}):
        alike = [entry for entry in named if (entry.reason or "") == reason]
        over += live.end(
            tx, STANDS & _session.c.id.in_([entry.id for entry in alike]), records.as_it_was(ending, alike[0])
        )
    for entry, account in held:
        # After the sessions that have an entry of their own, which says better why they ended.
        over += _end_below(tx, entry, account, ending)
    return live.tell_each(tx, over, ending)


def _end_below(tx: Transaction, entry: Revocation, account: Account | None, ending: Ending) -> Sequence[Session]:
    """End what stands under a version of an account that is accepted no more."""
    if account is None or account.version >= entry.value:
        return ()
    # Sessions first: once the version is raised they do not stand any more.
    over = live.end(tx, STANDS & (_session.c.account == account.id), records.as_it_was(ending, entry))
    accounts.raise_version(tx, account, to=entry.value)
    return over


def _noted(tx: Transaction) -> str:
    noted: str | None = tx.connection.execute(_NOTED).scalar_one_or_none()
    if noted is None:
        raise StoreUnavailable(detail="the database has lost its name")
    return noted


def _is_at_home(noted: str, place: str | None) -> bool:
    return place is None or noted.partition("@")[2] == place


def _new_name(place: str | None) -> str:
    name = new_identifier(secrets.token_bytes)
    return name if place is None else f"{name}@{place}"
