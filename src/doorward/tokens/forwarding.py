"""Short tokens for what is behind a reverse proxy, in place of the credential that the client sent."""

from __future__ import annotations

from datetime import timedelta

from doorward.deployment import Deployment
from doorward.errors import FieldError, ValidationFailed
from doorward.principal import Principal
from doorward.secret import Secret
from doorward.sessions.flow import standing
from doorward.tokens.desk import ForwardedToken

AGAIN_WITHIN = timedelta(seconds=30)
"""How long the same token is handed out again: half its life, so that what is behind the proxy has the other half."""

MOST_REMEMBERED = 20_000


async def token_for_upstream(deployment: Deployment, principal: Principal) -> Secret:
    """A token that says who makes a request, for the audience that the options name.

    From memory where one was made a moment ago: a page brings a dozen requests at once.

    Args:
        deployment: where.
        principal: who has just been authenticated.

    Raises:
        ValidationFailed: the options name no audience, so that nobody gets a token for a cookie.
        SessionEnded, NotAuthenticated: the session has ended meanwhile.
    """
    audience = deployment.options.forward_audience
    if audience is None:
        message = "there are tokens for upstreams where DOORWARD_FORWARD_AUDIENCE names whom they are for"
        raise ValidationFailed([FieldError(field="token", message=message)])
    known = deployment.forwarded.get(principal.session_id)
    if known is not None and _is_good(deployment, known):
        return known.text
    now = deployment.clock()
    session, account = standing(await deployment.store.session_by_id(principal.session_id))
    made = deployment.desk.issue_for_upstream(session, account, audience=audience, now=now)
    deployment.forwarded.pop(session.id, None)
    deployment.forwarded[session.id] = made
    if len(deployment.forwarded) > MOST_REMEMBERED:
        # Those that were made first stand first.
        del deployment.forwarded[next(iter(deployment.forwarded))]
    return made.text


def _is_good(deployment: Deployment, known: ForwardedToken) -> bool:
    claims, now = known.claims, deployment.clock().timestamp()
    if not claims.iat <= now < min(claims.iat + AGAIN_WITHIN.total_seconds(), claims.exp):
        return False
    if known.kid != deployment.desk.signing_key.kid:
        return False
    # The session was asked for, and stands; what it is, the version says: roles may have changed since.
    return deployment.live.revokes(session=claims.sid, account=claims.sub, version=claims.ver, token=claims.jti) is None
