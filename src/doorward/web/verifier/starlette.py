"""A verifier in a Starlette application; ``examples/starlette_service.py`` is one."""

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
from starlette.types import ASGIApp

from doorward import verifier as plain
from doorward.assurance import Demand, Demands
from doorward.errors import DoorwardError
from doorward.http.problems import close_code_of
from doorward.web.starlette_users import connection_of, response_of, user_of
from doorward.web.verifier.asgi import VerifierMiddleware, answer_of, authorize

Endpoint = Callable[..., Any]
"""``def endpoint(request)``, ``async def endpoint(websocket)``, or a method of an ``HTTPEndpoint``."""


class Verifier(plain.Verifier):
    """``doorward.Verifier`` with what a Starlette application wants of it."""

    @property
    def middleware(self) -> Middleware:
        """Sets ``request.user`` to whoever makes the request: ``request.user.principal`` where somebody does."""
        return Middleware(UserMiddleware, verifier=self)

    @asynccontextmanager
    async def lifespan(self, _app: object) -> AsyncIterator[None]:
        """Starts with the application, and closes with it."""
        async with self:
            yield

    def requires(
        self,
        *,
        roles: Collection[str] = (),
        scopes: Collection[str] = (),
        fresh: timedelta | None = None,
        revocation: Demand = "policy",
    ) -> Callable[[Endpoint], Callable[..., Awaitable[Any]]]:
        """Let an endpoint be called only by principals that give what is demanded; 401, 403 or 503 otherwise.

        The principal is then ``request.scope["doorward.principal"]``.

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
                    connection.scope["doorward.principal"] = await authorize(self, connection.scope, demands)
                except DoorwardError as refusal:
                    if connection.scope["type"] == "websocket":
                        raise WebSocketException(close_code_of(refusal), refusal.code) from refusal
                    return response_of(answer_of(refusal, connection.scope))
                return await called(*args, **kwargs)

            return guarded

        return decorate


class UserMiddleware(VerifierMiddleware):
    """Sets ``request.user``.

    A refused token makes the request anonymous, and ``requires`` answers with the refusal.
    """

    def __init__(self, app: ASGIApp, *, verifier: plain.Verifier) -> None:
        super().__init__(app, verifier, more=user_of)
