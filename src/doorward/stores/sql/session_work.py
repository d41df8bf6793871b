"""What is to be done to sessions that are kept elsewhere, noted in the transaction that decided it.

A change of an account is one transaction, and what follows from it for sessions in Redis is not part of it.  So the
transaction leaves a note (a *work*); whoever finds one does what it says, which may be done twice, and then takes the
note away in the transaction that tells of what was really done.  Only one taker takes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import msgspec
from sqlalchemy import ColumnElement, delete, insert, select, update

from doorward.accounts.model import Account, AccountChange, AccountChanged
from doorward.audit.model import Action, Actor, AuditEvent, Origin
from doorward.revocation.model import Kind, Revocation
from doorward.secret import Secret
from doorward.sessions.model import AccountMoved, Ended, Ending, EndReason, NewSession, Session
from doorward.stores import records
from doorward.stores.sql import accounts, ended_numbers, revocations, schema, trail
from doorward.stores.sql.transaction import Transaction
from doorward.wire import base64url

_work, _revocation, _account = (
    schema.session_work,
    schema.revocation,
    schema.account,
)

LEFT_OVER_AFTER = timedelta(seconds=3)
"""A work that is older was left by somebody who died over it, or who waits for Redis as we do."""

MOST_LEFT_OVER = 100


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An event to be told once the work is done."""

    action: Action
    session: str | None
    account: str | None
    detail: dict[str, str | int | bool | None]


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What a row must still be like; instants in microseconds."""

    secret_hash: str
    generation: int
    made_at: int
    acknowledged: bool
    retried: bool


class Carried(msgspec.Struct, frozen=True, kw_only=True):
    """To which version of the account sessions are carried, from which, and with what."""

    from_version: int
    to_version: int
    roles: tuple[str, ...] | None = None
    secret_hash: str | None = None


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done.

    Args:
        account: whose sessions.
        reason: why those end that end.
        actor: on whose behalf; with ``ip`` and ``user_agent``.
        remember_for: how long revocations live, in microseconds.
        each: whether what ends is revoked each by its own entry; else the account is, as a whole.
        keys: these sessions; None for all of the account.
        spared: a session that goes on.
        below: only what stands under an earlier version of the account.
        carried: how sessions go on: the spared one, or where there is none all that do not live by one token alone.
        seen: end only what is still like this.
        event: told where something has ended.
    """

    account: str
    reason: EndReason
    actor: str | None
    ip: str | None
    user_agent: str | None
    remember_for: int
    each: bool
    keys: tuple[int, ...] | None = None
    spared: int | None = None
    below: int | None = None
    carried: Carried | None = None
    seen: Seen | None = None
    event: Event | None = None

    @property
    def ending(self) -> Ending:
        actor = Actor(name=self.actor, origin=Origin.stored(ip=self.ip, user_agent=self.user_agent))
        return Ending(reason=self.reason, actor=actor, remember_for=timedelta(microseconds=self.remember_for))


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """A work as it stands in the table.

    Args:
        id: what rows that it has ended call it by; never given twice.
        work: what is to be done.
    """

    id: str
    work: Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a work has led to.

    Args:
        ended: the sessions that it has ended.
        moved: the session that stands under a new handle, or None.
    """

    ended: tuple[Session, ...] = ()
    moved: Session | None = None


def work_of(account_id: str, ending: Ending, *, each: bool) -> Work:
    """A work that does nothing yet."""
    return Work(
        account=account_id,
        reason=ending.reason,
        actor=ending.actor.name,
        ip=ending.actor.origin.ip,
        user_agent=ending.actor.origin.user_agent,
        remember_for=ending.remember_for // timedelta(microseconds=1),
        each=each,
    )


_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Work)


# Noting


def note(tx: Transaction, *noted: Noted) -> None:
    for each in noted:
        values = {"id": each.id, "account": each.work.account, "at": tx.now, "work": _encode(each.work).decode()}
        tx.connection.execute(insert(_work), values)


def pending(tx: Transaction, *, account_id: str) -> Sequence[Noted]:
    """The works of an account, in the order in which they have to be done."""
    return _in_order(tx, _work.c.account == account_id)


def left_over(tx: Transaction) -> Sequence[Noted]:
    """Works that nobody seems to be about, some of them."""
    return _in_order(tx, _work.c.at <= tx.now - LEFT_OVER_AFTER)


def _in_order(tx: Transaction, where: ColumnElement[bool]) -> Sequence[Noted]:
    statement = select(_work.c.id, _work.c.work).where(where).order_by(_work.c.at).limit(MOST_LEFT_OVER)
    found = [Noted(id=row.id, work=_decoder.decode(row.work)) for row in tx.connection.execute(statement)]
    # By version: what the first carries over the second has to find there.
    return sorted(found, key=lambda noted: noted.work.below or 0)


# Deciding


def change_account(
    tx: Transaction, *, account_id: str, change: AccountChange, ending: Ending, id_: str
) -> tuple[AccountChanged, Sequence[Noted]] | None:
    """As ``accounts.change``, but for the sessions."""
    before = accounts.locked(tx, account_id)
    if before is None:
        return None
    after = records.changed(before, change, at=tx.now)
    if after == before:
        return AccountChanged(account=after), ()
    accounts.write(tx, after)
    trail.write(tx, *records.account_changes(before, after, ending.actor))
    if after.version == before.version:
        return AccountChanged(account=after), ()
    if records.has_been_disabled(before, after):
        work = work_of(account_id, ending, each=False)
    else:
        work = work_of(account_id, records.because(ending, EndReason.ADMIN), each=False)
        carried = Carried(from_version=before.version, to_version=after.version, roles=after.roles)
        work = msgspec.structs.replace(work, carried=carried)
    note(tx, Noted(id=id_, work=msgspec.structs.replace(work, below=after.version)))
    entry = records.account_revoked(after, ending, at=tx.now)
    revocations.write(tx, [entry])
    return AccountChanged(account=after, revocations=(entry,)), pending(tx, account_id=account_id)


def change_password(
    tx: Transaction,
    *,
    seen: Account,
    password_hash: Secret,
    keep: Session | None,
    new_secret_hash: bytes | None,
    others: Sequence[Session],
    ending: Ending,
    id_: str,
) -> tuple[Ended, Sequence[Noted]] | AccountMoved:
    """As ``accounts.change_password``, but for the sessions.

    Args:
        tx: where.
        seen: as in the port, and what follows as well.
        password_hash: the new one.
        keep: the session that goes on, or None.
        new_secret_hash: of its new handle, or None.
        others: sessions that were live when they were read and will certainly be over.
        ending: why, and on whose behalf.
        id_: of the work.
    """
    if not accounts.set_password(tx, seen, password_hash):
        return AccountMoved()
    trail.write(tx, records.password_changed(seen, ending.actor))
    by_account = records.is_account_entry_enough(keep, new_secret_hash)
    work = msgspec.structs.replace(work_of(seen.id, ending, each=not by_account), below=seen.version + 1)
    if keep is not None:
        carried = Carried(
            from_version=seen.version,
            to_version=seen.version + 1,
            secret_hash=base64url.encode(new_secret_hash) if new_secret_hash is not None else None,
        )
        work = msgspec.structs.replace(work, spared=keep.key, carried=carried)
    note(tx, Noted(id=id_, work=work))
    entries = records.ended_sessions(others, ending, at=tx.now).revocations
    if by_account:
        entries = (records.account_revoked(replace(seen, version=seen.version + 1), ending, at=tx.now),)
    revocations.write(tx, entries)
    return Ended(revocations=entries if by_account else ()), pending(tx, account_id=seen.id)


def end_all(tx: Transaction, *, account_id: str, ending: Ending, id_: str) -> tuple[Ended, Sequence[Noted]] | None:
    """Raise the version of an account and note that all its sessions end; None where there is no such account."""
    account = accounts.locked(tx, account_id)
    if account is None:
        return None
    raised = accounts.raise_version(tx, account)
    note(tx, Noted(id=id_, work=msgspec.structs.replace(work_of(account_id, ending, each=False), below=raised.version)))
    entry = records.account_revoked(raised, ending, at=tx.now)
    revocations.write(tx, [entry])
    return Ended(revocations=(entry,)), pending(tx, account_id=account_id)


def raise_versions(tx: Transaction, *, after: str | None, limit: int) -> Sequence[tuple[str, int]]:
    """Raise the versions of the next accounts, so that no session of theirs stands.  Returns them, in order of ids."""
    some = select(_account.c.id).where(_account.c.id > (after or "")).order_by(_account.c.id).limit(limit)
    # In one order, as everywhere: servers that change accounts at the same time do not cross.
    ids = tx.connection.execute(some.with_for_update()).scalars().all()
    raised = update(_account).where(_account.c.id.in_(ids)).values(version=_account.c.version + 1)
    found = tx.connection.execute(raised.returning(_account.c.id, _account.c.version))
    return sorted((row.id, row.version) for row in found)


def end_these(tx: Transaction, *, noted: Noted, certain: Sequence[Session]) -> Ended:
    """Note that sessions end.  Returns what is certain of that.

    Args:
        tx: where.
        noted: the work.
        certain: sessions that were live when they were read and will certainly be over: they are revoked at once.
    """
    note(tx, noted)
    over = records.ended_sessions(certain, noted.work.ending, at=tx.now)
    revocations.write(tx, over.revocations)
    return over


def start(
    tx: Transaction,
    *,
    new: NewSession,
    session: Session,
    ending: Ending,
    ends: Sequence[tuple[Noted, Sequence[Session]]],
) -> Account | None:
    """Tell of a session that starts, and note which end for it; None where its account has moved.

    Args:
        tx: where.
        new: as it was asked for.
        session: as it has been put.
        ending: on whose behalf.
        ends: works that end others for it, each with those that it ends.
    """
    # Held until the commit: disabling the account, changing its password and another start wait for this one.
    account = accounts.locked(tx, new.account)
    if account is None or account.disabled_at is not None or account.version != new.account_version:
        return None
    for noted, over in ends:
        end_these(tx, noted=noted, certain=over)
    trail.write(tx, records.session_started(session, ending.actor))
    return account


def write_back(
    tx: Transaction, *, lost: Sequence[Revocation], named: Sequence[Noted], ending: Ending, id_: Callable[[], str]
) -> Sequence[Noted]:
    """As ``restored.write_back``, but for the sessions.  Returns what is to be done to them.

    Args:
        tx: where.
        lost: the entries.
        named: works that end sessions which entries name and that are live all the same.
        ending: why, and on whose behalf.
        id_: makes another name of a work.
    """
    revocations.write(tx, lost)
    works = [*named]
    for entry in sorted(lost, key=lambda entry: entry.id):
        account = accounts.locked(tx, entry.id) if entry.kind is Kind.ACCOUNT else None
        if account is not None and account.version < entry.value:
            accounts.raise_version(tx, account, to=entry.value)
            below = work_of(account.id, records.as_it_was(ending, entry), each=True)
            below = msgspec.structs.replace(below, below=entry.value)
            works.append(Noted(id=id_(), work=below))
    note(tx, *works)
    return works


# Taking away


def finish(tx: Transaction, *, noted: Noted, done: Done) -> Ended:
    """Take a work away and tell of what it has led to, unless somebody has."""
    work, ending = noted.work, noted.work.ending
    over = records.ended_sessions(done.ended, ending, at=tx.now)
    taken = tx.connection.execute(delete(_work).where(_work.c.id == noted.id)).rowcount
    if taken:
        _tell(tx, work, done, over)
    return over if work.each else replace(over, revocations=())


def _tell(tx: Transaction, work: Work, done: Done, over: Ended) -> None:
    actor = work.ending.actor
    if work.event is not None and over.sessions:
        told = work.event
        trail.write(
            tx,
            AuditEvent(action=told.action, actor=actor, account=told.account, session=told.session, detail=told.detail),
        )
    if done.moved is not None:
        trail.write(tx, records.session_moved(done.moved, actor))
    trail.write(tx, *(records.session_ended(session, actor) for session in over.sessions))
    if work.each:
        revocations.write(tx, over.revocations)
    numbers = {session.status_index for session in over.sessions if session.status_index is not None}
    if numbers:
        ended_numbers.write(tx, numbers=numbers, remember_for=work.ending.remember_for)
