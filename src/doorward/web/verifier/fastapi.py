"""A verifier in a FastAPI application; ``examples/fastapi_service.py`` is one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Response, WebSocketException
from fastapi.security import HTTPBearer
from starlette.requests import HTTPConnection

from doorward import verifier as plain
from doorward.assurance import Demand, Demands
from doorward.errors import DoorwardError
from doorward.http.problems import close_code_of
from doorward.principal import Principal
from doorward.web.fastapi_routes import install, look
from doorward.web.looked import Scope
from doorward.web.verifier.asgi import answer_of, authenticate, authorize

# For the application's OpenAPI document alone: reading the token is ours.
_Documented = Annotated[
    object, Depends(HTTPBearer(auto_error=False, scheme_name="doorward", description="An access token"))
]


class Verifier(plain.Verifier):
    """``doorward.Verifier`` with what a FastAPI application wants of it."""

    def install(self, app: FastAPI) -> None:
        """Answer refusals as RFC 6750 says; start with the application, and close with it."""
        install(app, answer_of)
        surrounding = app.router.lifespan_context

        @asynccontextmanager
        async def lifespan(inner: Any) -> AsyncIterator[Mapping[str, Any] | None]:
            async with self, surrounding(inner) as state:
                yield state

        app.router.lifespan_context = lifespan  # type: ignore[assignment]  # Starlette has one type for each state

    async def principal(
        self,
        connection: HTTPConnection,
        response: Response = None,  # type: ignore[assignment]  # FastAPI gives it
        _documented: _Documented = None,
    ) -> Principal:
        """A dependency: who makes the request or opens the WebSocket; 401, or a closed WebSocket, where nobody does."""
        look(connection, response, answer_of)
        return await _closing(connection.scope, authenticate(self, connection.scope))

    def requires(
        self,
        *,
        roles: Collection[str] = (),
        scopes: Collection[str] = (),
        fresh: timedelta | None = None,
        revocation: Demand = "policy",
    ) -> Callable[..., Awaitable[Principal]]:
        """A dependency: the principal, if it gives what is demanded; 401, 403 or 503 otherwise.

        Args:
            roles: all of which are needed.
            scopes: likewise.
            fresh: how long ago the subject may have proved itself at most: 401 with what to do (RFC 9470) otherwise.
            revocation: ``immediate`` where the route must not act on stale knowledge of who has signed out.
        """
        demands = Demands(roles=roles, scopes=scopes, fresh=fresh, revocation=revocation)

        async def permitted(
            connection: HTTPConnection,
            response: Response = None,  # type: ignore[assignment]  # FastAPI gives it
            _documented: _Documented = None,
        ) -> Principal:
            look(connection, response, answer_of)
            return await _closing(connection.scope, authorize(self, connection.scope, demands))

        return permitted


async def _closing(scope: Scope, authenticating: Awaitable[Principal]) -> Principal:
    """The principal.  Where there is none, a WebSocket is closed by what Starlette closes one by."""
    try:
        return await authenticating
    except DoorwardError as refusal:
        if scope["type"] == "websocket":
            raise WebSocketException(close_code_of(refusal), refusal.code) from refusal
        raise
