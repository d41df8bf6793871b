"""Judging a request once more: by what its route demands, or by the store."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from doorward.assurance import Demands, decide_assurance
from doorward.deployment import Deployment
from doorward.errors import NotAuthenticated
from doorward.principal import Principal
from doorward.sessions.flow import end_revived, standing
from doorward.sessions.rules import is_revoked


async def assure(deployment: Deployment, principal: Principal, demands: Demands) -> Principal:
    """The principal of a request, if it gives what a route demands.

    Where revocations are demanded as they are now, they are taken from memory while that is fresh, at most
    ``max_staleness`` old; else the store is asked, and the principal is what the account is there.

    Args:
        deployment: where.
        principal: who makes the request, as its credential says.
        demands: of the route.

    Raises:
        NotPermitted: a role or a scope is missing.
        InsufficientAuthentication: the subject proved itself too long ago.
        SessionEnded: the session is over, and only the store knew.
        StoreUnavailable: it had to be asked, and does not answer.
    """
    if demands.revocation == "immediate":
        # One that was revoked since the credential was checked is looked up too: the store says why.
        fresh = deployment.is_fresh and principal.session_id not in deployment.live.sessions
        if not fresh:
            principal, _ = await look_again(deployment, principal)
    refused = decide_assurance(principal, demands, now=deployment.clock())
    if refused is not None:
        raise refused
    return principal


async def look_again(deployment: Deployment, principal: Principal) -> tuple[Principal, timedelta]:
    """Tell by the store whether a session stands, what its account is now, and how long it stands unless it is used.

    Raises:
        SessionEnded: the session is over; says why.
        NotAuthenticated: it is not known.
        StoreUnavailable: the store does not answer.
    """
    seen = await deployment.store.session_by_id(principal.session_id)
    session, account = standing(seen)
    if is_revoked(session, deployment.live):
        await end_revived(deployment, session)
        seen = await deployment.store.session_by_id(principal.session_id)
        session, account = standing(seen)
    if account.id != principal.subject:
        raise NotAuthenticated(detail="the session is not of the account that the credential names")
    scopes = frozenset(deployment.options.scopes_of(account.roles))
    now = msgspec.structs.replace(principal, roles=frozenset(account.roles), scopes=scopes)
    return now, session.leaves_at - seen.at
