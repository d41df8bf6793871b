"""Bare ASGI: who makes a request by its access token, and what is answered where nobody may."""

from __future__ import annotations

from doorward.assurance import Demand, Demands
from doorward.errors import DoorwardError, NotAuthenticated
from doorward.http.message import Request, Response, join_headers
from doorward.http.problems import close_code_of, problem_of
from doorward.principal import Principal
from doorward.verifier import Verifier
from doorward.web.looked import (
    App,
    MoreAnswers,
    Receive,
    Scope,
    Send,
    WatchedScope,
    answers_of,
    mark_looked,
    varying_late,
)
from doorward.wire.bearer import parse_authorization


class VerifierMiddleware:
    """Tells an ASGI application who makes a request.

    ``scope["doorward.principal"]`` is the ``Principal``, or None; ``scope["doorward.refusal"]`` is then why: to be
    answered by whoever needs a principal (`answer_of`), ignored by whoever does not.  An answer of an application that
    has asked for either has ``Vary: Cookie, Authorization``.  A WebSocket that the application refuses by raising the
    refusal is closed.

    Args:
        app: the application.
        verifier: what verifies.
        more: further keys of the scope that say who makes the request, as a framework calls them.
    """

    def __init__(self, app: App, verifier: Verifier, *, more: MoreAnswers | None = None) -> None:
        self._app = app
        self._verifier = verifier
        self._more = more

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        principal: Principal | None = None
        refusal: DoorwardError | None = None
        try:
            principal = await _authenticate(self._verifier, scope)
        except DoorwardError as refused:
            refusal = refused
        watched = WatchedScope(scope, answers_of(principal, refusal, self._more))
        try:
            await self._app(watched, receive, varying_late(send, watched.looked))
        except DoorwardError as error:
            if scope["type"] != "websocket":
                raise
            await send({"type": "websocket.close", "code": close_code_of(error), "reason": error.code})


async def authenticate(verifier: Verifier, scope: Scope, *, revocation: Demand = "policy") -> Principal:
    """Tell who makes a request, by its ``Authorization`` header alone (RFC 6750 section 2.1).

    Raises:
        NotAuthenticated: there is no bearer credential.
        InvalidToken: it is not valid, or there are two.
        Unavailable: that cannot be told now.
    """
    mark_looked(scope)
    return await _authenticate(verifier, scope, revocation=revocation)


async def _authenticate(verifier: Verifier, scope: Scope, *, revocation: Demand = "policy") -> Principal:
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
