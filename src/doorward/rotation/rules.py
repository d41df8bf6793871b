"""The rules of rotation, in the order of docs/concepts/rotation.md."""

from __future__ import annotations

import hmac
from dataclasses import replace
from datetime import datetime, timedelta

from doorward.accounts.model import Owner
from doorward.rotation.model import (
    Ahead,
    Decision,
    Healed,
    Late,
    Presentation,
    Recovered,
    RefreshPolicy,
    Refused,
    Retried,
    Reused,
    Revived,
    Rotated,
    Wait,
)
from doorward.sessions.model import Session
from doorward.sessions.rules import decide_idle_expiry, decide_idle_limit, decide_standing, is_held


def decide_refresh(
    session: Session | None,
    account: Owner | None,
    presented: Presentation,
    *,
    now: datetime,
    policy: RefreshPolicy,
    store_identity: str,
    revoked: bool = False,
    delayed: timedelta = timedelta(0),
) -> Decision:
    """Decide what presenting a refresh token leads to, once its MAC and client have been verified.

    Args:
        session: the row that the token names, or None if it is gone.
        account: whose session it is, or None with it.
        presented: the token and the attempt that it came with.
        now: the instant of the presentation by the store's clock, UTC.
        policy: the durations to judge by.
        store_identity: which store this is; it changes when a backup takes its place.
        revoked: whether a live revocation names the session, or a version of its account above the session's.
        delayed: how long this server may have kept the presentation waiting, at most.

    RFC 9700 section 4.14.2; docs/concepts/rotation.md.
    """
    decision = _decide(session, account, presented, now=now, policy=policy, identity=store_identity, revoked=revoked)
    if isinstance(decision, Reused | Recovered) and delayed > policy.longest_delay:
        # A server that was not on time itself must not take its own delay for theft, nor for a lost reply: the client
        # may have been answered elsewhere since, and would find what it holds put aside.
        return Late(delayed=delayed)
    return decision


def _decide(
    session: Session | None,
    account: Owner | None,
    presented: Presentation,
    *,
    now: datetime,
    policy: RefreshPolicy,
    identity: str,
    revoked: bool,
) -> Decision:
    if session is None or account is None or not is_held(session, presented.secret_hash):
        return Refused(reason=None)
    over = decide_standing(session, account, now=now)
    if over is not None:
        return Refused(reason=over)
    if revoked:
        # Whichever generation it is: what ended before a backup took the store's place stays ended.
        return Revived()
    if presented.generation == session.generation:
        return _decide_current(session, presented, now=now, policy=policy)
    if presented.generation > session.generation:
        return _decide_ahead(session, presented, now=now, policy=policy, store_identity=identity)
    if presented.generation == session.predecessor:
        return _decide_predecessor(session, presented, now=now, policy=policy)
    if presented.generation == session.displaced and now - session.made_at <= policy.grace:
        # The reply that a recovery took for lost was only late.
        return Retried(to=None, why="displaced")
    return Reused()


def _decide_current(session: Session, presented: Presentation, *, now: datetime, policy: RefreshPolicy) -> Decision:
    if session.generation == 0 or now - session.made_at >= policy.rest:
        return Rotated(to=next_generation(session, presented, now=now, policy=policy))
    # Too young: were it to rotate, the reply on its way to another tab could overwrite the newer token with this one.
    seen = None if session.acknowledged else replace(session, acknowledged=True)
    return Retried(to=seen, why="young")


def _decide_predecessor(session: Session, presented: Presentation, *, now: datetime, policy: RefreshPolicy) -> Decision:
    age = now - session.made_at
    if age <= policy.grace:
        marked = None if session.retried else replace(session, retried=True)
        return Retried(to=marked, why="grace", until=session.made_at + policy.grace)
    if _same_attempt(session, presented):
        # Only the attempt's owner knows its key.  The clock starts anew, so that the reply has time to arrive.
        restarted = replace(session, made_at=now, retried=False)
        return Retried(to=_used(restarted, now=now, policy=policy), why="attempt")
    lost = not session.acknowledged and session.first_at is not None and now - session.first_at <= policy.window
    if age < policy.rest and (lost or session.retried):
        # An answer that was given late in the grace may be on its way while another tab presents the predecessor:
        # within the rest that cannot be told from theft, though the answer has been seen meanwhile.
        return Wait(retry_after=policy.rest - age)
    if not lost:
        return Reused()
    recovered = replace(
        session,
        generation=session.generation + 1,
        displaced=session.generation,
        made_at=now,
        attempt=presented.attempt,
        retried=False,
    )
    return Recovered(to=_used(recovered, now=now, policy=policy))


def _decide_ahead(
    session: Session,
    presented: Presentation,
    *,
    now: datetime,
    policy: RefreshPolicy,
    store_identity: str,
) -> Decision:
    # We issued it (the MAC says so), so the store has lost writes, not the client its honesty.
    if not policy.heal_lost_writes or session.healed_in == store_identity:
        return Ahead()
    past = replace(session, generation=presented.generation)
    return Healed(to=replace(next_generation(past, presented, now=now, policy=policy), healed_in=store_identity))


def next_generation(session: Session, presented: Presentation, *, now: datetime, policy: RefreshPolicy) -> Session:
    """The row once its current generation has made the next.

    The store's one atomic statement says the same in its own language; a property holds the two together.
    """
    rotated = replace(
        session,
        generation=session.generation + 1,
        predecessor=session.generation,
        made_at=now,
        first_at=now,
        attempt=presented.attempt,
        displaced=None,
        acknowledged=False,
        retried=False,
    )
    return _used(rotated, now=now, policy=policy)


def _used(session: Session, *, now: datetime, policy: RefreshPolicy) -> Session:
    idle = decide_idle_limit(session, idle=policy.idle, idle_remembered=policy.idle_remembered)
    return replace(
        session,
        last_seen_at=max(session.last_seen_at, now),
        idle_expires_at=decide_idle_expiry(session, now=now, idle=idle),
    )


def _same_attempt(session: Session, presented: Presentation) -> bool:
    return (
        session.attempt is not None
        and presented.attempt is not None
        and hmac.compare_digest(session.attempt, presented.attempt)
    )
