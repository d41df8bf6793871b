"""Bare ASGI: who makes a request by its access token, and what is answered where nobody may."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from doorward.assurance import Demand, Demands
from doorward.errors import DoorwardError, NotAuthenticated
from doorward.http.message import Request, Response, join_headers
from doorward.http.problems import problem_of
from doorward.principal import Principal
from doorward.verifier import Verifier
from doorward.wire.bearer import parse_authorization

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class VerifierMiddleware:
    """Tells an ASGI application who makes a request.

    ``scope["doorward.principal"]`` is the ``Principal``, or None; ``scope["doorward.refusal"]`` is then why: to be
    answered by whoever needs a principal (`answer_of`), ignored by whoever does not.

    Args:
        app: the application.
        verifier: what verifies.
        note: what a framework wants to be told beside that, of the scope.
    """

    def __init__(self, app: App, verifier: Verifier, *, note: Callable[[Scope], None] | None = None) -> None:
        self._app = app
        self._verifier = verifier
        self._note = note

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in {"http", "websocket"}:
            scope["doorward.principal"], scope["doorward.refusal"] = None, None
            try:
                scope["doorward.principal"] = await authenticate(self._verifier, scope)
            except DoorwardError as refusal:
                scope["doorward.refusal"] = refusal
            if self._note is not None:
                self._note(scope)
        await self._app(scope, receive, send)


async def authenticate(verifier: Verifier, scope: Scope, *, revocation: Demand = "policy") -> Principal:
    """Tell who makes a request, by its ``Authorization`` header alone (RFC 6750 section 2.1).

    Raises:
        NotAuthenticated: there is no bearer credential.
        InvalidToken: it is not valid, or there are two.
        Unavailable: that cannot be told now.
    """
    credential = parse_authorization(join_headers(scope["headers"]).get("authorization"))
    if credential is None:
        raise NotAuthenticated
    return await verifier.verify_async(credential.reveal(), revocation=revocation)


async def authorize(verifier: Verifier, scope: Scope, demands: Demands) -> Principal:
    """The principal of a request, if it gives what is demanded.

    Raises:
        NotPermitted: a role or a scope is missing.
        InsufficientAuthentication: the subject proved itself too long ago.
        DoorwardError: as `authenticate`.
    """
    principal: Principal | None = scope.get("doorward.principal") if demands.revocation == "policy" else None
    if principal is None:
        principal = await authenticate(verifier, scope, revocation=demands.revocation)
    verifier.assure(principal, demands)
    return principal


def answer_of(error: DoorwardError, scope: Scope) -> Response:
    """What is answered: 401, 403 or 503, with the challenge that RFC 6750 section 3 and RFC 9470 ask for."""
    return problem_of(error, Request(method="GET", path="/", headers=join_headers(scope["headers"])))
