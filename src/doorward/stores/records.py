"""What a change leaves behind besides itself: events and revocations, the same in every store.

Pure; a store writes what these return in the transaction of the change.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from doorward.accounts.model import Account, AccountChange
from doorward.audit.model import Action, Actor, AuditEvent
from doorward.revocation.model import Kind, Revocation
from doorward.sessions.model import Ended, Ending, EndReason, NewSession, Session, reason_of
from doorward.verifiers.model import StoredVerifier


def ended_sessions(sessions: Iterable[Session], ending: Ending, *, at: datetime) -> Ended:
    """Sessions that have ended, each revoked by its own entry."""
    # One order, so that two stores tell the same story: a database returns what it updated in any.
    in_order = tuple(sorted(sessions, key=lambda session: (session.created_at, session.id)))
    return Ended(
        sessions=in_order,
        revocations=tuple(
            Revocation(
                kind=Kind.SESSION,
                id=session.id,
                dies_at=at + ending.remember_for,
                reason=session.ended_reason or ending.reason,
            )
            for session in in_order
        ),
    )


def dated(seen: Session, to: Session, *, at: datetime) -> Session:
    """The row that takes the place of another, its new instants those of the statement that writes it.

    Between the look and the statement time has passed: dated by the look, a generation's grace would be shorter than
    the reply that carries it may take.
    """
    return replace(
        to,
        made_at=to.made_at if to.made_at == seen.made_at else at,
        first_at=to.first_at if to.first_at == seen.first_at else at,
    )


def account_revoked(account: Account, ending: Ending, *, at: datetime) -> Revocation:
    """The entry by which everything issued under an earlier version of the account stops being accepted."""
    dies_at = at + ending.remember_for
    return Revocation(kind=Kind.ACCOUNT, id=account.id, value=account.version, dies_at=dies_at, reason=ending.reason)


def is_account_entry_enough(keep: Session | None, new_secret_hash: bytes | None) -> bool:
    """Decide whether a changed password is told by the account's entry alone, instead of one a session.

    A kept session that moves to another handle carries no tokens, which that entry would refuse; and it has to be told:
    whoever remembers the old handle must forget it.
    """
    return keep is None or new_secret_hash is not None


def as_it_was(ending: Ending, entry: Revocation) -> Ending:
    """How what an entry names ends once more: for the reason for which it really ended, where that is known."""
    return because(ending, reason_of(entry) or ending.reason)


def because(ending: Ending, reason: EndReason) -> Ending:
    return replace(ending, reason=reason)


def changed(account: Account, change: AccountChange, *, at: datetime) -> Account:
    """The account once it has been changed.

    Its version rises where what was issued says something that is no longer so: other roles, or that it may sign in.
    """
    roles = account.roles if change.roles is None else tuple(sorted(set(change.roles)))
    is_disabled = account.disabled_at is not None if change.disabled is None else change.disabled
    is_stale = roles != account.roles or (is_disabled and account.disabled_at is None)
    return replace(
        account,
        name=account.name if change.name is None else change.name,
        roles=roles,
        version=account.version + is_stale,
        disabled_at=(account.disabled_at or at) if is_disabled else None,
    )


def has_been_disabled(before: Account, after: Account) -> bool:
    return before.disabled_at is None and after.disabled_at is not None


# Events


def account_created(account: Account, actor: Actor) -> AuditEvent:
    return AuditEvent(action=Action.ACCOUNT_CREATED, actor=actor, account=account.id)


def account_changes(before: Account, after: Account, actor: Actor) -> tuple[AuditEvent, ...]:
    """One event for each kind of change that really took place."""
    events = []
    fields = [name for name in ("name", "roles") if getattr(before, name) != getattr(after, name)]
    if fields:
        detail: dict[str, str | int | bool | None] = {"changed": ", ".join(fields)}
        if "roles" in fields:
            detail["roles"] = " ".join(after.roles)
        events.append(AuditEvent(action=Action.ACCOUNT_CHANGED, actor=actor, account=after.id, detail=detail))
    if has_been_disabled(before, after):
        events.append(AuditEvent(action=Action.ACCOUNT_DISABLED, actor=actor, account=after.id))
    if before.disabled_at is not None and after.disabled_at is None:
        events.append(AuditEvent(action=Action.ACCOUNT_ENABLED, actor=actor, account=after.id))
    return tuple(events)


def password_changed(account: Account, actor: Actor) -> AuditEvent:
    return AuditEvent(action=Action.PASSWORD_CHANGED, actor=actor, account=account.id)


def password_rehashed(account: Account, actor: Actor) -> AuditEvent:
    return AuditEvent(action=Action.PASSWORD_REHASHED, actor=actor, account=account.id)


def session_started(session: Session | NewSession, actor: Actor) -> AuditEvent:
    detail: dict[str, str | int | bool | None] = {
        "strategy": session.strategy,
        "carrier": session.carrier,
        "client": session.client,
        "methods": " ".join(session.methods),
    }
    return _of_session(Action.SESSION_STARTED, session, actor, detail)


def session_moved(session: Session, actor: Actor) -> AuditEvent:
    return _of_session(Action.SESSION_MOVED, session, actor, {})


def session_ended(session: Session, actor: Actor) -> AuditEvent:
    reason = None if session.ended_reason is None else session.ended_reason.value
    return _of_session(Action.SESSION_ENDED, session, actor, {"reason": reason})


def refresh_rotated(session: Session, actor: Actor) -> AuditEvent:
    return _of_session(Action.REFRESH_ROTATED, session, actor, rotated_detail(session.generation))


def rotated_detail(generation: int) -> dict[str, str | int | bool | None]:
    """The detail of ``refresh.rotated``.

    Args:
        generation: which the rotation made.
    """
    return {"generation": generation}


def verifier_added(verifier: StoredVerifier, actor: Actor) -> AuditEvent:
    return AuditEvent(action=Action.VERIFIER_ADDED, actor=actor, detail=_named(verifier))


def verifier_revoked(verifier: StoredVerifier, actor: Actor) -> AuditEvent:
    return AuditEvent(action=Action.VERIFIER_REVOKED, actor=actor, detail=_named(verifier))


def _named(verifier: StoredVerifier) -> dict[str, str | int | bool | None]:
    return {"verifier": verifier.name, "id": verifier.id}


def _of_session(
    action: Action, session: Session | NewSession, actor: Actor, detail: dict[str, str | int | bool | None]
) -> AuditEvent:
    return AuditEvent(action=action, actor=actor, account=session.account, session=session.id, detail=detail)
