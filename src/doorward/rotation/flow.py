"""Presenting a refresh token (docs/concepts/rotation.md)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address, ip_network
from typing import NoReturn

from doorward.accounts.model import Owner
from doorward.audit.model import Action, Actor, AuditEvent, Origin
from doorward.deployment import Deployment, Incident
from doorward.errors import InvalidGrant, StoreUnavailable, TooEarly, Unavailable
from doorward.options import FIRST_PARTY
from doorward.ports import Page
from doorward.rotation.model import (
    Ahead,
    Decision,
    Healed,
    Late,
    Presentation,
    Recovered,
    Refused,
    Retried,
    Reused,
    Revived,
    Rotated,
    Taken,
    Wait,
)
from doorward.rotation.rules import decide_refresh
from doorward.secret import Secret
from doorward.sessions.flow import end_revived
from doorward.sessions.model import EndReason, Refreshed, Session
from doorward.sessions.rules import is_held, is_revoked
from doorward.sessions.signing_in import issue_credentials
from doorward.wire.refresh_token import RefreshToken, parse_refresh_token

_log = logging.getLogger(__name__)

_ROUNDS = 16
"""How often a presentation is judged again because the row moved between reading and writing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """One presentation of one token, through all its rounds.

    Args:
        begun_at: when it was begun to be handled, in ticks of the pulse.
        waited: for how many seconds before that it may have waited for this process, at most.
    """

    deployment: Deployment
    token: RefreshToken = field(repr=False)
    presented: Presentation
    actor: Actor
    now: datetime
    begun_at: float
    waited: float

    @property
    def delayed(self) -> timedelta:
        """How long this process may have kept it waiting so far, at most."""
        return timedelta(seconds=self.waited + self.deployment.pulse.ticks() - self.begun_at)


async def refresh(
    deployment: Deployment,
    text: Secret,
    *,
    client: str = FIRST_PARTY,
    idempotency_key: str | None = None,
    origin: Origin,
) -> Refreshed:
    """Answer a refresh token with fresh credentials.

    Args:
        deployment: where.
        text: the refresh token.
        client: who presents it.
        idempotency_key: marks one attempt of the client, whatever becomes of its replies.
        origin: where the request comes from.

    Raises:
        InvalidGrant: it is not honoured; nothing changes unless it was reused, then its session has ended.
        TooEarly: a lost reply cannot be told from a late one yet.
        StoreUnavailable: not known; nobody is signed out for that.
        Unavailable: this process was stopped for a while, and what it would take for reuse may be its own delay.
        RateLimited: too many presentations for this session.
    """
    token = parse_refresh_token(text.reveal(), client=client, keyring=deployment.keyring)
    if token is None:
        # Touch nothing: a forged token signs nobody out.
        raise InvalidGrant("malformed, forged or of another client")
    deployment.limits.before_refresh(str(token.key))
    presented = Presentation(
        key=token.key,
        generation=token.generation,
        secret_hash=token.secret_hash,
        attempt=sha256(idempotency_key.encode(errors="surrogatepass")).digest()
        if idempotency_key is not None
        else None,
    )
    begun_at = deployment.pulse.ticks()
    waited = deployment.pulse.stall_before(begun_at)
    for _ in range(_ROUNDS):
        attempt = _Attempt(
            deployment=deployment,
            token=token,
            presented=presented,
            actor=Actor(name=None, origin=origin),
            # Read before the statement: no token outlives what was known when it was asked for.
            now=deployment.clock(),
            begun_at=begun_at,
            waited=waited,
        )
        answer = await _present(attempt)
        if answer is not None:
            return answer
    raise StoreUnavailable(detail="the session moved again and again while its refresh token was judged")


async def _present(attempt: _Attempt) -> Refreshed | None:
    """One round: the atomic statement, else judge the row and apply.  None: the row moved, judge again."""
    deployment = attempt.deployment
    found = await deployment.store.rotate(attempt.presented, deployment.refresh_policy, actor=attempt.actor)
    if isinstance(found, Taken):
        if not is_revoked(found.session, deployment.live):
            return _answer(attempt, found.session, found.account)
        # The statement cannot see what the store has lost: it took, and nothing is issued for it.
        await end_revived(deployment, found.session)
        return None
    decision = decide_refresh(
        found.session,
        found.account,
        attempt.presented,
        now=found.at,
        policy=deployment.refresh_policy,
        store_identity=deployment.store.identity,
        revoked=found.session is not None and is_revoked(found.session, deployment.live),
        delayed=attempt.delayed,
    )
    if found.session is None or found.account is None:
        raise InvalidGrant("there is no such session")
    return await _apply(attempt, decision, found.session, found.account)


async def _apply(attempt: _Attempt, decision: Decision, seen: Session, account: Owner) -> Refreshed | None:
    match decision:
        case Rotated():
            # It has come of age between the statement and the look.
            return None
        case Retried(to=to, why=why, until=until):
            detail = {"why": why, **await _other_party(attempt, seen)}
            event = _event(attempt, to or seen, Action.REFRESH_RETRIED, detail)
            return await _write(attempt, seen, to, account, event=event, until=until)
        case Recovered(to=to):
            event = _event(attempt, to, Action.REFRESH_RECOVERED, await _other_party(attempt, seen))
            return await _write(attempt, seen, to, account, event=event)
        case Healed(to=to):
            attempt.deployment.count(Incident.REFRESH_HEALED)
            _log.error("the store has lost writes: session %s healed to generation %s", seen.id, to.generation)
            event = _event(attempt, to, Action.REFRESH_HEALED, {})
            return await _write(attempt, seen, to, account, event=event)
        case Revived():
            await end_revived(attempt.deployment, seen)
            return None
        case Reused():
            await _end_reused(attempt, seen)
            return None
        case Wait() | Late() | Ahead() | Refused():
            return await _refuse(attempt, decision, seen)


async def _refuse(attempt: _Attempt, decision: Wait | Late | Ahead | Refused, seen: Session) -> NoReturn:
    """Note a refusal that changes nothing, and raise it."""
    store = attempt.deployment.store
    match decision:
        case Wait(retry_after=retry_after):
            await store.record(_event(attempt, seen, Action.REFRESH_WAITED, {}))
            raise TooEarly(retry_after)
        case Late(delayed=delayed):
            attempt.deployment.count(Incident.REFRESH_LATE)
            await store.record(_event(attempt, seen, Action.REFRESH_WAITED, {"why": "late"}))
            raise Unavailable(detail=f"this server was {delayed.total_seconds():.1f} s late itself, and judges nothing")
        case Ahead():
            attempt.deployment.count(Incident.REFRESH_AHEAD)
            _log.error("the store has lost writes: session %s was presented a newer generation than it knows", seen.id)
            await store.record(_event(attempt, seen, Action.REFRESH_AHEAD, {}))
            raise InvalidGrant("newer than the store")
        case Refused(reason=reason):
            if reason is not None:
                await store.record(_event(attempt, seen, Action.REFRESH_REFUSED, {"cause": reason.value}))
            raise InvalidGrant(f"session over: {reason}", reason=reason)


async def _write(
    attempt: _Attempt,
    seen: Session,
    to: Session | None,
    account: Owner,
    *,
    event: AuditEvent,
    until: datetime | None = None,
) -> Refreshed | None:
    if to is None:
        await attempt.deployment.store.record(event)
    elif not await attempt.deployment.store.replace_session(seen, to, event, until=until):
        return None
    return _answer(attempt, to or seen, account)


async def _end_reused(attempt: _Attempt, seen: Session) -> None:
    """End the session, then refuse: raised inside the transaction the refusal would undo what it is about."""
    ended = await attempt.deployment.store.end_reused(
        seen,
        attempt.deployment.ending(EndReason.REUSE, attempt.actor),
        _event(attempt, seen, Action.REFRESH_REUSED, await _other_party(attempt, seen)),
    )
    if ended is None:
        return
    attempt.deployment.live.merge(ended.revocations)
    attempt.deployment.count(Incident.REFRESH_REUSED)
    _log.warning("refresh token reused: session %s of account %s has ended", seen.id, seen.account)
    raise InvalidGrant("reused", reason=EndReason.REUSE)


def _answer(attempt: _Attempt, session: Session, account: Owner) -> Refreshed:
    credentials = issue_credentials(attempt.deployment, session, account, secret=attempt.token.secret, now=attempt.now)
    return Refreshed(
        account=account,
        session=session,
        credentials=credentials,
        unchanged=session.generation == attempt.token.generation,
    )


def _event(
    attempt: _Attempt, session: Session, action: Action, detail: Mapping[str, str | int | bool | None]
) -> AuditEvent:
    return AuditEvent(
        action=action,
        actor=attempt.actor,
        account=session.account,
        session=session.id,
        detail={"presented": attempt.token.generation, "current": session.generation, **detail},
    )


async def _other_party(attempt: _Attempt, seen: Session) -> dict[str, str | int | bool | None]:
    """Who made the current generation, and whether that looks like somebody else than whoever presents now."""
    made = [
        event
        # Asked for by name: any number of retries in between must not push the maker out of sight.
        for action in (Action.REFRESH_ROTATED, Action.REFRESH_RECOVERED, Action.REFRESH_HEALED)
        for event in await attempt.deployment.store.trail(Page(limit=1), session=seen.id, action=action)
    ]
    other = max(made, key=lambda event: event.id or 0).actor.origin if made else seen.origin
    return {
        "other_ip": other.ip,
        "other_user_agent": other.user_agent,
        "elsewhere": is_elsewhere(attempt.actor.origin, other),
    }


def is_elsewhere(here: Origin, there: Origin) -> bool:
    """Decide whether two requests look like they come from different places: another network or another agent.

    Networks are compared by their first 24 bits (IPv4) or 48 bits (IPv6): phones change their last bits all day.
    """
    return here.user_agent != there.user_agent or _network(here.ip) != _network(there.ip)


def _network(ip: str | None) -> str | None:
    try:
        address = ip_address(ip or "")
    except ValueError:
        return ip
    return str(ip_network((address, 24 if address.version == 4 else 48), strict=False))


async def session_of(deployment: Deployment, text: Secret, *, client: str = FIRST_PARTY) -> Session | None:
    """The session whose refresh token this is, of whatever generation, or None.  Changes nothing."""
    token = parse_refresh_token(text.reveal(), client=client, keyring=deployment.keyring)
    if token is None:
        return None
    session = (await deployment.store.session(token.key)).session
    return session if session is not None and is_held(session, token.secret_hash) else None
