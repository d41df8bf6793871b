"""Telling who makes a request, and signing out."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import overload

from doorward.accounts.model import Account, Owner
from doorward.audit.model import Actor
from doorward.deployment import Deployment, Incident
from doorward.errors import (
    InvalidToken,
    NotAuthenticated,
    NotFound,
    SessionEnded,
    StoreUnavailable,
    Unavailable,
)
from doorward.principal import Principal
from doorward.revocation.model import Kind
from doorward.secret import Secret
from doorward.seldom import Seldom
from doorward.sessions.cache import remembered_session
from doorward.sessions.model import (
    EndReason,
    FullSighting,
    Session,
    Sighting,
    reason_of,
)
from doorward.sessions.recognition import recognise_handle, recognise_token
from doorward.sessions.rules import decide_standing, is_held, is_revoked, is_sighting_due
from doorward.tokens.desk import Verified
from doorward.wire.handle import parse_handle

_log = logging.getLogger(__name__)
_seldom = Seldom(_log)

_ASK_AGAIN_AFTER = timedelta(seconds=5)


async def authenticate(deployment: Deployment, *, handle: Secret | None, bearer: Secret | None) -> Principal:
    """Tell who makes a request.

    Args:
        deployment: where.
        handle: the value of the session cookie, or None.
        bearer: the access token, or None.

    Raises:
        NotAuthenticated: there is no credential, or a cookie that was never ours.
        InvalidToken: the access token is not valid.
        SessionEnded: the session is over; says why.
    """
    if bearer is not None:
        return await authenticate_token(deployment, bearer)
    if handle is not None:
        return await authenticate_handle(deployment, handle)
    raise NotAuthenticated


async def authenticate_handle(deployment: Deployment, text: Secret) -> Principal:
    """Tell who sent a session cookie; from memory while what is known of revocations is fresh, else by a look-up."""
    known = recognise_handle(deployment, text.reveal())
    if known is not None:
        return known
    cookies, seconds, ticks = deployment.cookies, deployment.seconds(), deployment.ticks()
    cookies.misses += 1
    handle = parse_handle(text.reveal())
    if handle is None:
        raise NotAuthenticated(detail="the session cookie was never ours")
    seen = await deployment.store.session(handle.key)
    if seen.session is None or not is_held(seen.session, handle.secret_hash):
        raise NotAuthenticated(detail="the session cookie is not of a session that we know")
    session, account = standing(seen)
    if is_revoked(session, deployment.live):
        await end_revived(deployment, session)
        session, account = standing(await deployment.store.session(handle.key))
    if session.strategy != "session":
        raise NotAuthenticated(detail="the cookie is of a session that is not carried by a handle")
    idle = deployment.idle_limit(session)
    if is_sighting_due(session, now=seen.at, idle=idle):
        await _touch(deployment, session, idle=idle)
        session = replace(session, last_seen_at=seen.at)
    principal = _principal(deployment, session, account)
    if deployment.watches():
        found = remembered_session(
            principal, session, account, seconds=seconds, ticks=ticks, seen_at=seen.at, idle=idle
        )
        cookies.keep(text.reveal(), found, among=cookies.young)
    return principal


async def end_revived(deployment: Deployment, session: Session) -> None:
    """End a session that stands although a live revocation names it: a backup has taken the store's place.

    Otherwise it would be good again once the revocation has died.
    """
    # Looked at anew: a change of roles may have moved it on between the look and the arrival of the revocation.
    seen = await deployment.store.session(session.key)
    if seen.session is None or not is_revoked(seen.session, deployment.live):
        return
    live = deployment.live
    entry = live.get(Kind.SESSION, session.id) or live.get(Kind.ACCOUNT, session.account)
    ending = deployment.ending(reason_of(entry) or EndReason.ADMIN, Actor(name="housekeeping"))
    ended = await deployment.store.end_session(session.id, ending)
    if ended is not None:
        deployment.live.merge(ended.revocations)
        deployment.count(Incident.SESSION_REVIVED)
        _log.error("the store has lost writes: session %s had ended, and is ended again", session.id)


async def _touch(deployment: Deployment, session: Session, *, idle: timedelta) -> None:
    async def write() -> None:
        await deployment.store.touch(session.key, idle=idle)

    def failed(error: Unavailable) -> None:
        # The session has been read and stands: a disk that is full signs nobody out.
        _seldom.warning("the use of session %s is not noted: %s", session.id, error.detail)

    await deployment.background.run(write, failed=failed)


@overload
def standing(seen: FullSighting) -> tuple[Session, Account]: ...


@overload
def standing(seen: Sighting) -> tuple[Session, Owner]: ...


def standing(seen: Sighting) -> tuple[Session, Owner]:
    """The session that was found, and whose it is.

    Raises:
        NotAuthenticated: none was found.
        SessionEnded: it is over; says why.
    """
    if seen.session is None or seen.account is None:
        raise NotAuthenticated(detail="there is no such session")
    over = decide_standing(seen.session, seen.account, now=seen.at)
    if over is not None:
        raise SessionEnded(over)
    return seen.session, seen.account


def _principal(deployment: Deployment, session: Session, account: Owner) -> Principal:
    return Principal(
        subject=account.id,
        session_id=session.id,
        client_id=session.client,
        roles=frozenset(account.roles),
        scopes=frozenset(deployment.options.scopes_of(account.roles)),
        methods=session.methods,
        authenticated_at=session.authenticated_at,
        expires_at=session.leaves_at,
        carrier="cookie",
    )


async def authenticate_token(deployment: Deployment, text: Secret) -> Principal:
    """Tell who sent an access token; in memory, but for the first sight of a generation."""
    known = recognise_token(deployment, text.reveal())
    if known is not None:
        return known
    try:
        verified = verify_token(deployment, text)
    except InvalidToken:
        if deployment.desk.is_last_of_revoked_key(text, live=deployment.live):
            raise SessionEnded(EndReason.KEY_REVOKED) from None
        raise
    claims, principal, revoked = verified
    if revoked:
        raise await _why_revoked(deployment, verified)
    if claims.gen is not None:
        await acknowledge(deployment, claims.sid, claims.gen)
    return principal


async def acknowledge(deployment: Deployment, session_id: str, generation: int) -> None:
    """Note that a generation has been seen: the reply that carried it arrived, so its predecessor is spent for good.

    Once a generation and process, in the background.  A store that does not answer is asked again later and keeps
    nobody out meanwhile.
    """
    desk, seconds = deployment.desk, deployment.seconds()
    if desk.is_acknowledged(session_id, generation, seconds=seconds):
        return
    # Before the write: whoever comes meanwhile does not start another.
    desk.note_acknowledged(session_id, generation, until=seconds + _ASK_AGAIN_AFTER.total_seconds())

    async def write() -> None:
        await deployment.store.acknowledge(session_id, generation)
        desk.note_acknowledged(session_id, generation)

    def failed(error: Unavailable) -> None:
        _seldom.warning(
            "generation %s of session %s is not noted as seen yet: %s", generation, session_id, error.detail
        )

    await deployment.background.run(write, failed=failed)


def verify_token(deployment: Deployment, text: Secret) -> Verified:
    """Check an access token and look it up among the live revocations; no I/O.

    Raises:
        InvalidToken: it is not ours, not now or not for us.
    """
    return deployment.desk.verify(text, live=deployment.live, seconds=deployment.seconds())


async def _why_revoked(deployment: Deployment, verified: Verified) -> InvalidToken | SessionEnded:
    try:
        seen = await deployment.store.session_by_id(verified.claims.sid)
    except StoreUnavailable:
        return InvalidToken(detail="revoked; the store that knows why does not answer")
    try:
        standing(seen)
    except SessionEnded as ended:
        return ended
    except NotAuthenticated:
        return InvalidToken(detail="revoked; its session is not kept any more")
    # A change of roles revokes what says the old ones; the session goes on.
    return InvalidToken(detail="revoked")


async def current_session(deployment: Deployment, principal: Principal) -> tuple[Account, Session]:
    """The account and the session of a request, as they are now.

    Raises:
        NotAuthenticated: the session is not known.
        SessionEnded: the session is over; says why.
    """
    session, account = standing(await deployment.store.session_by_id(principal.session_id))
    return account, session


async def end_session(
    deployment: Deployment, session_id: str, *, account_id: str | None, reason: EndReason, actor: Actor
) -> None:
    """End one session.  Raises NotFound where there is none, or none of that account."""
    ended = await deployment.store.end_session(session_id, deployment.ending(reason, actor), account_id=account_id)
    if ended is None:
        raise NotFound
    deployment.live.merge(ended.revocations)


async def end_sessions(
    deployment: Deployment, account_id: str, *, keep: str | None = None, reason: EndReason, actor: Actor
) -> int:
    """End all sessions of an account, but for the one whose id is ``keep``.  Returns how many."""
    ended = await deployment.store.end_sessions(account_id, deployment.ending(reason, actor), keep=keep)
    deployment.live.merge(ended.revocations)
    return len(ended.sessions)
