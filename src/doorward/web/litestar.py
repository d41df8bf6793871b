"""Doorward in a Litestar application; ``examples/litestar_app.py`` is one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import timedelta

from litestar import Litestar, asgi
from litestar.config.app import AppConfig
from litestar.exceptions import WebSocketException
from litestar.types import ASGIApp, Receive, Scope, Send

from doorward.assurance import Demand, Demands
from doorward.errors import DoorwardError
from doorward.http.problems import close_code_of
from doorward.principal import Principal
from doorward.web import guard
from doorward.web.asgi import AuthenticationMiddleware, DoorwardApp, authenticate_scope
from doorward.web.litestar_principals import Connection, PrincipalsPlugin, Required, note, user_of

__all__ = ["Doorward", "DoorwardPlugin"]


class Doorward(guard.Doorward):
    """``doorward.Doorward`` with what a Litestar application wants of it."""

    def mount(self, prefix: str) -> DoorwardPlugin:
        """A plugin: the routes of the HTTP contract below a prefix, and what handlers of the application want.

        Handlers that have a parameter ``principal`` are given who makes the request, and answer 401 where nobody does;
        those with ``optional_principal`` are given None then.
        """
        return DoorwardPlugin(self, prefix)

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """For ``middleware=[auth.middleware]``: ``request.user`` is the ``Principal`` for every handler, or None.

        A refused credential makes the request anonymous; ``requires`` and ``principal`` answer with the refusal.
        """
        return AuthenticationMiddleware(app, self, more=user_of)  # type: ignore[arg-type, return-value]  # mappings, as they say it

    async def principal_of(self, connection: Connection) -> Principal:
        """Who makes a request, asked once a request; raises what is to be answered where nobody does."""
        known: Principal | None = connection.scope.get("doorward.principal")  # type: ignore[assignment]  # a key of ours
        if known is None:
            if not self.is_open:
                await self.open()
            known = await authenticate_scope(self, connection.scope)  # type: ignore[arg-type]  # a mapping
            note(connection, known)
        return known

    def refusal_of_websocket(self, error: DoorwardError) -> Exception:
        """What Litestar closes a WebSocket by."""
        return WebSocketException(detail=error.code, code=close_code_of(error))

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
            return await self.assure(await self.principal_of(connection), demands)

        return Required(permitted)


class DoorwardPlugin(PrincipalsPlugin):
    """What a Litestar application is given by ``plugins=[auth.mount("/auth")]``.

    Args:
        auth: the deployment.
        prefix: where the routes of the HTTP contract are.
    """

    def __init__(self, auth: Doorward, prefix: str) -> None:
        super().__init__(auth.principal_of, credentials="An access token, or the session cookie")
        self.auth = auth
        self._prefix = prefix
        self._app = DoorwardApp(auth)

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add to the application what it needs."""
        app_config.route_handlers.append(asgi(self._prefix, is_mount=True, copy_scope=True)(self._mounted))
        app_config.lifespan.append(self._lifespan)
        return super().on_app_init(app_config)

    async def _mounted(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Litestar has taken off the prefix, and whatever the server said of its own; and it ends each path in a slash.
        path = scope["path"].rstrip("/") or "/"
        await self._app({**scope, "path": path, "root_path": ""}, receive, send)  # type: ignore[arg-type]

    @asynccontextmanager
    async def _lifespan(self, _app: Litestar) -> AsyncIterator[None]:
        async with self.auth:
            yield
