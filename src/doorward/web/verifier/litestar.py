"""A verifier in a Litestar application: ``Litestar([...], plugins=[verifier.plugin])``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import timedelta

from litestar import Litestar
from litestar.config.app import AppConfig
from litestar.types import ASGIApp

from doorward import verifier as plain
from doorward.assurance import Demand, Demands
from doorward.principal import Principal
from doorward.web.litestar_principals import Connection, PrincipalsPlugin, Required, note, user_of
from doorward.web.verifier.asgi import VerifierMiddleware, authorize

__all__ = ["Verifier", "VerifierPlugin"]


class Verifier(plain.Verifier):
    """``doorward.Verifier`` with what a Litestar application wants of it."""

    @property
    def plugin(self) -> VerifierPlugin:
        """Starts with the application, and closes with it; answers refusals as RFC 6750 says.

        Handlers that have a parameter ``principal`` are given who makes the request, and answer 401 where nobody does;
        those with ``optional_principal`` are given None then.
        """
        return VerifierPlugin(self)

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """For ``middleware=[verifier.middleware]``: ``request.user`` is the ``Principal`` for every handler, or None.

        A refused token makes the request anonymous; ``requires`` and ``principal`` answer with the refusal.
        """
        return VerifierMiddleware(app, self, more=user_of)  # type: ignore[arg-type, return-value]  # mappings, as they say it

    async def principal_of(self, connection: Connection) -> Principal:
        """Who makes a request; raises what is to be answered where nobody does."""
        principal = await authorize(self, connection.scope, Demands())  # type: ignore[arg-type]  # a mapping
        note(connection, principal)
        return principal

    def requires(
        self,
        *,
        roles: Collection[str] = (),
        scopes: Collection[str] = (),
        fresh: timedelta | None = None,
        revocation: Demand = "policy",
    ) -> Required:
        """A guard: lets through who gives what is demanded; 401, 403 or 503 otherwise.

        Args:
            roles: all of which are needed.
            scopes: likewise.
            fresh: how long ago the subject may have proved itself at most: 401 with what to do (RFC 9470) otherwise.
            revocation: ``immediate`` where the route must not act on stale knowledge of who has signed out.
        """
        demands = Demands(roles=roles, scopes=scopes, fresh=fresh, revocation=revocation)

        async def permitted(connection: Connection) -> Principal:
            return await authorize(self, connection.scope, demands)  # type: ignore[arg-type]  # a mapping

        return Required(permitted)


class VerifierPlugin(PrincipalsPlugin):
    """What a Litestar application is given by ``plugins=[verifier.plugin]``.

    Args:
        verifier: what verifies.
    """

    def __init__(self, verifier: Verifier) -> None:
        super().__init__(verifier.principal_of, credentials="An access token")
        self._verifier = verifier

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add to the application what it needs."""
        app_config.lifespan.append(self._lifespan)
        return super().on_app_init(app_config)

    @asynccontextmanager
    async def _lifespan(self, _app: Litestar) -> AsyncIterator[None]:
        async with self._verifier:
            yield
