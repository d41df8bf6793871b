"""Doorward in a FastAPI application; ``examples/fastapi_app.py`` is one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Response, WebSocketException
from fastapi.security import HTTPBearer

from doorward.assurance import Demand, Demands
from doorward.errors import DoorwardError, InvalidToken, NotAuthenticated, SessionEnded
from doorward.http.api import HostedPages
from doorward.http.caller import authenticate_request
from doorward.http.problems import problem_of
from doorward.principal import Principal
from doorward.web import guard
from doorward.web.asgi import DoorwardApp, close_code_of, request_of

# For the application's OpenAPI document alone: reading credentials is Doorward's.
_Documented = Annotated[
    object,
    Depends(HTTPBearer(auto_error=False, scheme_name="doorward", description="An access token, or the session cookie")),
]


class Doorward(guard.Doorward):
    """``doorward.Doorward`` with what a FastAPI application wants of it."""

    def mount(self, app: FastAPI, prefix: str, *, pages: HostedPages | None = None) -> None:
        """Add the routes of the HTTP contract below a prefix and their error answers; open and close with the app.

        Args:
            app: the application.
            prefix: such as ``/auth``.
            pages: ``doorward.pages.Pages`` for people, or None for the API alone.
        """
        app.mount(prefix, DoorwardApp(self, pages=pages))
        app.add_exception_handler(DoorwardError, _answer)
        surrounding = app.router.lifespan_context

        @asynccontextmanager
        async def lifespan(inner: Any) -> AsyncIterator[Mapping[str, Any] | None]:
            async with self, surrounding(inner) as state:
                yield state

        app.router.lifespan_context = lifespan  # type: ignore[assignment]  # Starlette has one type for each state

    async def principal(self, request: Request, _documented: _Documented = None) -> Principal:
        """A dependency: who makes the request; 401 where nobody does."""
        if not self.is_open:
            await self.open()
        return await authenticate_request(self, request_of(request.scope))

    async def optional_principal(self, request: Request, _documented: _Documented = None) -> Principal | None:
        """A dependency: who makes the request, or None where nobody does, or nobody any more."""
        try:
            return await self.principal(request)
        except (NotAuthenticated, InvalidToken, SessionEnded):
            return None

    def refusal_of_websocket(self, error: DoorwardError) -> Exception:
        """What Starlette closes a WebSocket by."""
        return WebSocketException(close_code_of(error), error.code)

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

        async def permitted(request: Request, _documented: _Documented = None) -> Principal:
            return await self.assure(await self.principal(request), demands)

        return permitted


async def _answer(request: Request, error: Exception) -> Response:
    if not isinstance(error, DoorwardError):
        raise error
    answer = problem_of(error, request_of(request.scope))
    response = Response(answer.body, status_code=answer.status)
    for name, value in answer.headers:
        response.headers.append(name, value)
    return response
