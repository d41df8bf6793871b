"""Forward authentication: a reverse proxy asks who makes a request, then passes it on (docs/guides/forward-auth.md).

The proxy asks by a GET with the headers of the request, and passes on what it is told in place of them.  Nothing here
sets a cookie: the answer is the proxy's, and its client never sees it.
"""

from __future__ import annotations

from msgspec import UNSET

from doorward.doorward import Doorward
from doorward.errors import NotPermitted, StoreUnavailable
from doorward.http.message import Header, Response
from doorward.http.operation import Access, Answer, AnyOperation, Call, Operation
from doorward.http.shapes import CheckQuery
from doorward.principal import Principal
from doorward.tokens.forwarding import token_for_upstream


async def check(auth: Doorward, call: Call[Principal, None, CheckQuery]) -> Response:
    principal, asked = call.caller, call.query
    principal.require(
        roles=asked.roles.split(",") if asked.roles is not UNSET else (),
        scopes=asked.scope.split(" ") if asked.scope is not UNSET else (),
    )
    # A cookie is looked up in the store whenever memory is not fresh.
    if asked.fresh and principal.carrier == "token" and not auth.deployment.is_fresh:
        raise StoreUnavailable(detail="what is known of revocations is too old for a check that has to be fresh")
    headers: tuple[Header, ...] = (
        ("x-auth-subject", principal.subject),
        ("x-auth-session", principal.session_id),
        ("x-auth-roles", ",".join(sorted(principal.roles))),
    )
    if asked.token:
        token = await token_for_upstream(auth.deployment, principal)
        headers = (*headers, ("authorization", f"Bearer {token.reveal()}"))
    return Response(status=200, headers=headers)


OPERATIONS: tuple[AnyOperation, ...] = (
    Operation(
        id="check",
        method="GET",
        path="/v1/check",
        tag="Forward authentication",
        summary="Tell a reverse proxy who makes a request",
        access=Access.PROXIED,
        handler=check,
        query=CheckQuery,
        answers={
            200: Answer(
                description="Who it is.",
                headers={
                    "X-Auth-Subject": "The account's id.",
                    "X-Auth-Session": "The session's id.",
                    "X-Auth-Roles": "The account's roles, comma between; empty where there are none.",
                    "Authorization": "With token=true: Bearer, and a short access token for the upstream.",
                },
            )
        },
        refuses=(NotPermitted,),
    ),
)
