"""Doorward in a FastAPI application; ``examples/fastapi_app.py`` is one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import cached_property
from typing import Any, Generic, TypeVar

from fastapi import FastAPI, Response, WebSocketException
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from doorward.assurance import Demand, Demands
from doorward.errors import DoorwardError, InvalidToken, NotAuthenticated, SessionEnded
from doorward.http import message
from doorward.http.api import HostedPages
from doorward.http.problems import close_code_of, problem_of
from doorward.principal import Principal
from doorward.web import guard
from doorward.web.asgi import DoorwardApp, authenticate_scope, recognise_scope, request_of
from doorward.web.fastapi_routes import install, look
from doorward.web.looked import Scope
from doorward.web.starlette_users import Below

T_co = TypeVar("T_co", covariant=True)


class Dependency(SecurityBase, Generic[T_co]):
    """A dependency that FastAPI's OpenAPI document tells of.

    It is the security scheme itself: one that it depended on would cost every request more than authenticating does.

    Args:
        auth: the deployment.
        authenticate: what it gives.
        demands_more: whether that is more than who makes the request, which memory alone nearly always tells.
    """

    # For the document alone: reading credentials is Doorward's.
    model = HTTPBearerModel(description="An access token, or the session cookie")
    scheme_name = "doorward"

    def __init__(
        self, auth: Doorward, authenticate: Callable[[Scope], Awaitable[T_co]], *, demands_more: bool = False
    ) -> None:
        self._auth = auth
        self._authenticate = authenticate
        self._demands_more = demands_more

    async def __call__(self, connection: HTTPConnection, response: Response = None) -> T_co:  # type: ignore[assignment]  # FastAPI gives it
        look(connection, response, _refuse)
        scope = connection.scope
        known: Any = None if self._demands_more else recognise_scope(self._auth, scope)
        try:
            found: T_co = known or await self._authenticate(scope)
        except DoorwardError as refusal:
            if scope["type"] == "websocket":
                raise self._auth.refusal_of_websocket(refusal) from refusal
            raise
        return found


class Doorward(guard.Doorward):
    """``doorward.Doorward`` with what a FastAPI application wants of it."""

    @cached_property
    def principal(self) -> Dependency[Principal]:
        """A dependency: who makes the request or opens the WebSocket; 401, or a closed WebSocket, where nobody does."""
        return Dependency(self, self._principal)

    @cached_property
    def optional_principal(self) -> Dependency[Principal | None]:
        """A dependency: who makes the request, or None where nobody does, or nobody any more."""
        return Dependency(self, self._optional_principal)

    def mount(self, app: FastAPI, prefix: str, *, pages: HostedPages | None = None) -> None:
        """Add the routes of the HTTP contract below a prefix and their error answers; open and close with the app.

        Args:
            app: the application.
            prefix: such as ``/auth``.
            pages: ``doorward.pages.Pages`` for people, or None for the API alone.
        """
        app.router.routes.append(Below(prefix, app=DoorwardApp(self, pages=pages)))
        install(app, _refuse)
        surrounding = app.router.lifespan_context

        @asynccontextmanager
        async def lifespan(inner: Any) -> AsyncIterator[Mapping[str, Any] | None]:
            async with self, surrounding(inner) as state:
                yield state

        app.router.lifespan_context = lifespan  # type: ignore[assignment]  # Starlette has one type for each state

    async def _principal(self, scope: Scope) -> Principal:
        if not self.is_open:
            await self.open()
        return await authenticate_scope(self, scope)

    async def _optional_principal(self, scope: Scope) -> Principal | None:
        try:
            return await self._principal(scope)
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
    ) -> Dependency[Principal]:
        """A dependency: the principal, if it gives what is demanded; 401, 403 or 503 otherwise.

        Args:
            roles: all of which are needed.
            scopes: likewise.
            fresh: how long ago the subject may have proved itself at most: 401 with what to do (RFC 9470) otherwise.
            revocation: ``immediate`` where the route must not act on stale knowledge of who has signed out.
        """
        demands = Demands(roles=roles, scopes=scopes, fresh=fresh, revocation=revocation)

        async def permitted(scope: Scope) -> Principal:
            return await self.assure(await self._principal(scope), demands)

        return Dependency(self, permitted, demands_more=True)


def _refuse(error: DoorwardError, scope: Scope) -> message.Response:
    return problem_of(error, request_of(scope))
