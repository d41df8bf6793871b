"""Recognising who was here a moment ago, from memory alone: what nearly every request takes, and all that it takes.

Nobody is refused here, and nobody is let in whom the long way (``sessions.flow``) would refuse.  Each function is one
piece on purpose: a call inside takes a tenth of the time.
"""

from __future__ import annotations

from doorward.deployment import Deployment
from doorward.principal import Principal


def recognise_handle(deployment: Deployment, handle: str) -> Principal | None:
    """Whom a session cookie speaks for that was seen before, while what is known of revocations is fresh; no I/O.

    None says nothing: ``authenticate_handle`` tells.
    """
    memory = deployment.cookies
    found = memory.young.get(handle) or memory.find_among_old(handle)
    if found is None:
        return None
    since, until, since_ticks, until_ticks, session, account, version, principal = found
    live, ticks = deployment.hub.live, deployment.ticks()
    if (
        session in live.sessions
        or version < live.accounts.get(account, 0)
        or not since_ticks <= ticks < until_ticks
        # A clock that was put back or forward since: which of the two is right is for the store to say.
        or not since <= deployment.seconds() < until
        or not deployment.is_fresh_at(ticks)
    ):
        return None
    memory.hits += 1
    return principal


def recognise_token(deployment: Deployment, token: str) -> Principal | None:
    """Whom an access token speaks for that was seen before and is not revoked; no I/O.

    None says nothing: ``authenticate_token`` tells.
    """
    memory = deployment.desk.remembered
    found = memory.young.get(token) or memory.find_among_old(token)
    if found is None:
        return None
    since, until, session, account, version, jti, generation, principal, _ = found
    live, seconds = deployment.hub.live, deployment.seconds()
    if (
        session in live.sessions
        or version < live.accounts.get(account, 0)
        or jti in live.tokens
        or not since <= seconds < until
        # The store has yet to be told that this one has arrived.
        or (generation is not None and not deployment.desk.is_acknowledged(session, generation, seconds=seconds))
    ):
        return None
    memory.hits += 1
    return principal
