"""Doorward in a Starlette application; ``examples/starlette_app.py`` is one."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from datetime import timedelta
from inspect import iscoroutinefunction
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import WebSocketException
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import ASGIApp

from doorward.assurance import Demand, Demands
from doorward.errors import DoorwardError, NotAuthenticated
from doorward.http.api import HostedPages
from doorward.http.problems import close_code_of, problem_of
from doorward.principal import Principal
from doorward.web import guard
from doorward.web.asgi import AuthenticationMiddleware, DoorwardApp, request_of
from doorward.web.starlette_users import Below, SignedInUser, connection_of, response_of, user_of

__all__ = ["Doorward", "SignedInUser", "UserMiddleware", "principal_of"]

Endpoint = Callable[..., Any]
"""``def endpoint(request)``, ``async def endpoint(websocket)``, or a method of an ``HTTPEndpoint``."""

NO_MIDDLEWARE = (
    "Nobody has looked at who makes this request: give the application that has this route our middleware,"
    " Starlette(middleware=[auth.middleware], ...)."
)


class Doorward(guard.Doorward):
    """``doorward.Doorward`` with what a Starlette application wants of it."""

    def mount(self, prefix: str, *, pages: HostedPages | None = None) -> Mount:
        """The routes of the HTTP contract, below a prefix, and those of the pages for people, if any."""
        return Below(prefix, app=DoorwardApp(self, pages=pages))

    @property
    def middleware(self) -> Middleware:
        """Sets ``request.user`` to whoever makes the request."""
        return Middleware(UserMiddleware, auth=self)

    @asynccontextmanager
    async def lifespan(self, _app: object) -> AsyncIterator[None]:
        """Opens Doorward with the application, and closes it."""
        async with self:
            yield

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
    ) -> Callable[[Endpoint], Callable[..., Awaitable[Any]]]:
        """Let an endpoint be called only by principals that give what is demanded; 401, 403 or 503 otherwise.

        Args:
            roles: all of which are needed.
            scopes: likewise.
            fresh: how long ago the subject may have proved itself at most: 401 with what to do (RFC 9470) otherwise.
            revocation: ``immediate`` where the endpoint must not act on stale knowledge of who has signed out.
        """
        demands = Demands(roles=roles, scopes=scopes, fresh=fresh, revocation=revocation)

        def decorate(endpoint: Endpoint) -> Callable[..., Awaitable[Any]]:
            called = endpoint if iscoroutinefunction(endpoint) else functools.partial(run_in_threadpool, endpoint)

            @functools.wraps(endpoint)
            async def guarded(*args: Any, **kwargs: Any) -> Any:
                connection = connection_of(args, kwargs)
                try:
                    known = principal_of(connection)
                    principal = await self.assure(known, demands)
                    if principal is not known:
                        connection.scope.update({"doorward.principal": principal, **user_of(principal)})
                except DoorwardError as refusal:
                    return self._refused(connection, refusal)
                return await called(*args, **kwargs)

            return guarded

        return decorate

    def _refused(self, connection: HTTPConnection, refusal: DoorwardError) -> Response:
        """The answer to a request.  Raises what closes a WebSocket."""
        if connection.scope["type"] == "websocket":
            raise self.refusal_of_websocket(refusal) from refusal
        return response_of(problem_of(refusal, request_of(connection.scope)))


def principal_of(connection: HTTPConnection) -> Principal:
    """Who makes the request.

    Raises:
        DoorwardError: whatever authenticating it raised; NotAuthenticated where it carries no credential.
        RuntimeError: the application has no middleware that looked.
    """
    if "doorward.principal" not in connection.scope:
        raise RuntimeError(NO_MIDDLEWARE)
    principal: Principal | None = connection.scope["doorward.principal"]
    if principal is None:
        refusal: DoorwardError | None = connection.scope["doorward.refusal"]
        raise refusal or NotAuthenticated
    return principal


class UserMiddleware(AuthenticationMiddleware):
    """Sets ``request.user``: a ``SignedInUser``, or Starlette's ``UnauthenticatedUser``.

    A refused credential makes the request anonymous, and ``requires`` answers with the refusal: a page that needs
    nobody is shown to somebody whose session has ended, too.
    """

    def __init__(self, app: ASGIApp, *, auth: Doorward) -> None:
        super().__init__(app, auth, more=user_of)
