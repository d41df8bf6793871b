"""What other parties ask about tokens: revoke it (RFC 7009), is it good (RFC 7662)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from doorward.audit.model import Actor, Origin
from doorward.deployment import Deployment
from doorward.errors import InvalidToken, NotFound, Refusal
from doorward.options import FIRST_PARTY
from doorward.rotation.flow import session_of
from doorward.secret import Secret
from doorward.sessions.flow import acknowledge, end_session, standing, verify_token
from doorward.sessions.model import EndReason
from doorward.sessions.rules import is_held
from doorward.wire.refresh_token import RefreshToken, parse_refresh_token


async def revoke_token(deployment: Deployment, text: Secret, *, client: str = FIRST_PARTY, origin: Origin) -> None:
    """End the session that a token is a lease on.  A token that is nobody's is no error (RFC 7009 section 2.2)."""
    named = await _session_named_by(deployment, text, client=client)
    if named is None:
        return
    session_id, account_id = named
    actor = Actor(name=account_id, origin=origin)
    try:
        await end_session(deployment, session_id, account_id=account_id, reason=EndReason.SIGNED_OUT, actor=actor)
    except NotFound:
        return  # it has ended before: what was asked for is so


async def _session_named_by(deployment: Deployment, text: Secret, *, client: str) -> tuple[str, str] | None:
    """The session that a token is a lease on, and whose it is."""
    held = await session_of(deployment, text, client=client)
    if held is not None:
        return held.id, held.account
    try:
        claims = verify_token(deployment, text).claims
    except InvalidToken:
        return None
    return claims.sid, claims.sub


async def introspect(deployment: Deployment, text: Secret) -> Mapping[str, Any]:
    """What there is to say of a token (RFC 7662 section 2.2); of one that is not active, nothing else."""
    token = parse_refresh_token(text.reveal(), client=FIRST_PARTY, keyring=deployment.keyring)
    if token is not None:
        return await _introspect_refresh_token(deployment, token)
    try:
        verified = verify_token(deployment, text)
    except InvalidToken:
        return {"active": False}
    claims = verified.claims
    # Our own clock needs no allowance, and who asks us may be told what the store knows.
    if verified.revoked or claims.exp <= deployment.clock().timestamp():
        return {"active": False}
    try:
        standing(await deployment.store.session_by_id(claims.sid))
    except Refusal:
        return {"active": False}
    if claims.gen is not None:
        await acknowledge(deployment, claims.sid, claims.gen)
    return {
        "active": True,
        "token_type": "Bearer",
        "iss": claims.iss,
        "sub": claims.sub,
        "aud": claims.aud,
        "exp": claims.exp,
        "iat": claims.iat,
        "jti": claims.jti,
        "client_id": claims.client_id,
        "sid": claims.sid,
        "auth_time": claims.auth_time,
        "amr": list(claims.amr),
        "roles": list(claims.roles),
        "scope": claims.scope,
    }


async def _introspect_refresh_token(deployment: Deployment, token: RefreshToken) -> Mapping[str, Any]:
    try:
        session, account = standing(await deployment.store.session(token.key))
    except Refusal:
        return {"active": False}
    if not is_held(session, token.secret_hash) or token.generation != session.generation:
        return {"active": False}
    await acknowledge(deployment, session.id, token.generation)
    return {
        "active": True,
        "iss": deployment.options.issuer,
        "sub": account.id,
        "exp": int(session.leaves_at.timestamp()),
        "client_id": session.client,
        "sid": session.id,
        "scope": " ".join(deployment.options.scopes_of(account.roles)),
    }
