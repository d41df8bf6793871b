"""A verifier in a Starlette application; ``examples/starlette_service.py`` is one."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from datetime import timedelta
from inspect import iscoroutinefunction
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from doorward import verifier as plain
from doorward.assurance import Demand, Demands
from doorward.errors import DoorwardError
from doorward.web.starlette_users import response_of, set_user
from doorward.web.verifier.asgi import VerifierMiddleware, answer_of, authorize

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
            async def guarded(request: Request, *args: Any, **kwargs: Any) -> Any:
                try:
                    request.scope["doorward.principal"] = await authorize(self, request.scope, demands)
                except DoorwardError as refusal:
                    return _answer(request, refusal)
                return await called(request, *args, **kwargs)

            return guarded

        return decorate


class UserMiddleware(VerifierMiddleware):
    """Sets ``request.user``.

    A refused token makes the request anonymous, and ``requires`` answers with the refusal.
    """

    def __init__(self, app: ASGIApp, *, verifier: plain.Verifier) -> None:
        super().__init__(app, verifier, note=set_user)


def _answer(request: Request, refusal: DoorwardError) -> Response:
    answer = answer_of(refusal, request.scope)
    return response_of(answer)
