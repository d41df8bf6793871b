"""A verifier in a FastAPI application; ``examples/fastapi_service.py`` is one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.security import HTTPBearer

from doorward import verifier as plain
from doorward.assurance import Demand, Demands
from doorward.errors import DoorwardError
from doorward.principal import Principal
from doorward.web.starlette_users import response_of
from doorward.web.verifier.asgi import answer_of, authenticate, authorize

# For the application's OpenAPI document alone: reading the token is ours.
_Documented = Annotated[
    object, Depends(HTTPBearer(auto_error=False, scheme_name="doorward", description="An access token"))
]


class Verifier(plain.Verifier):
    """``doorward.Verifier`` with what a FastAPI application wants of it."""

    def install(self, app: FastAPI) -> None:
        """Answer refusals as RFC 6750 says; start with the application, and close with it."""
        app.add_exception_handler(DoorwardError, _answer)
        surrounding = app.router.lifespan_context

        @asynccontextmanager
        async def lifespan(inner: Any) -> AsyncIterator[Mapping[str, Any] | None]:
            async with self, surrounding(inner) as state:
                yield state

        app.router.lifespan_context = lifespan  # type: ignore[assignment]  # Starlette has one type for each state

    async def principal(self, request: Request, _documented: _Documented = None) -> Principal:
        """A dependency: who makes the request; 401 where nobody does."""
        return await authenticate(self, request.scope)

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
            return await authorize(self, request.scope, demands)

        return permitted


async def _answer(request: Request, error: Exception) -> Response:
    if not isinstance(error, DoorwardError):
        raise error
    answer = answer_of(error, request.scope)
    return response_of(answer)
