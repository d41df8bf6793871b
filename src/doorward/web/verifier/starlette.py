"""A verifier in a Starlette application; ``examples/starlette_service.py`` is one."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from inspect import iscoroutinefunction
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from doorward import verifier as plain
from doorward.errors import DoorwardError
from doorward.verifier import Demand
from doorward.web.starlette_users import set_user
from doorward.web.verifier.asgi import VerifierMiddleware, answer_of, authorize, check_demand

Endpoint = Callable[..., Any]
"""``def endpoint(request)``, synchronous or not."""


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
        self, *, roles: Collection[str] = (), scopes: Collection[str] = (), revocation: Demand = "policy"
    ) -> Callable[[Endpoint], Callable[..., Awaitable[Any]]]:
        """Let an endpoint be called only by principals with all these roles and scopes; 401, 403 or 503 otherwise.

        The principal is then ``request.scope["doorward.principal"]``.

        Args:
            roles: all of which are needed.
            scopes: likewise.
            revocation: ``immediate`` where the endpoint must not act on stale knowledge of who has signed out.
        """
        check_demand(revocation)

        def decorate(endpoint: Endpoint) -> Callable[..., Awaitable[Any]]:
            @functools.wraps(endpoint)
            async def guarded(request: Request, *args: Any, **kwargs: Any) -> Any:
                try:
                    request.scope["doorward.principal"] = await authorize(
                        self, request.scope, roles=roles, scopes=scopes, revocation=revocation
                    )
                except DoorwardError as refusal:
                    return _answer(request, refusal, scopes)
                if iscoroutinefunction(endpoint):
                    return await endpoint(request, *args, **kwargs)
                return await run_in_threadpool(endpoint, request, *args, **kwargs)

            return guarded

        return decorate


class UserMiddleware:
    """Sets ``request.user``.

    A refused token makes the request anonymous, and ``requires`` answers with the refusal.
    """

    def __init__(self, app: ASGIApp, *, verifier: plain.Verifier) -> None:
        self._app = app
        self._verified = VerifierMiddleware(self._with_user, verifier)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._verified(scope, receive, send)

    async def _with_user(self, scope: Scope, receive: Receive, send: Send) -> None:
        if "doorward.principal" in scope:
            set_user(scope)
        await self._app(scope, receive, send)


def _answer(request: Request, refusal: DoorwardError, scopes: Collection[str]) -> Response:
    answer = answer_of(refusal, request.scope, scopes=scopes)
    response = Response(answer.body, status_code=answer.status)
    for name, value in answer.headers:
        response.headers.append(name, value)
    return response
