"""What the adapters for Litestar have in common: principals for handlers, answers to refusals, and the document."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from typing import Any

from litestar import Request, Response
from litestar.config.app import AppConfig
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.enums import ScopeType
from litestar.exceptions import WebSocketException
from litestar.handlers import HTTPRouteHandler
from litestar.handlers.base import BaseRouteHandler
from litestar.openapi.spec import Components, SecurityRequirement, SecurityScheme
from litestar.plugins import InitPlugin, ReceiveRoutePlugin
from litestar.routes import BaseRoute, HTTPRoute
from litestar.types import Message, Scope

from doorward.errors import DoorwardError, InvalidToken, NotAuthenticated, SessionEnded
from doorward.http.message import Request as OurRequest
from doorward.http.message import join_headers
from doorward.http.problems import close_code_of, problem_of
from doorward.principal import Principal
from doorward.web.looked import is_looked_at, mark_looked, vary_headers

Connection = ASGIConnection[Any, Any, Any, Any]

SCHEME = "doorward"
"""What the application's OpenAPI document calls the way to authenticate."""

_REQUIRED: SecurityRequirement = {SCHEME: []}
_OPTIONAL: SecurityRequirement = {}


class Required:
    """What Litestar calls a guard.

    Args:
        permit: gives the principal, or raises why it may not.
    """

    def __init__(self, permit: Callable[[Connection], Awaitable[Principal]]) -> None:
        self._permit = permit

    async def __call__(self, connection: Connection, _handler: BaseRouteHandler) -> None:
        note(connection, await closing(connection, self._permit))


async def closing(connection: Connection, permit: Callable[[Connection], Awaitable[Principal]]) -> Principal:
    """The principal.  Where there is none, a WebSocket is closed by what Litestar closes one by."""
    try:
        return await permit(connection)
    except DoorwardError as refusal:
        if connection.scope["type"] != ScopeType.WEBSOCKET:
            raise
        raise WebSocketException(detail=refusal.code, code=close_code_of(refusal)) from refusal


def note(connection: Connection, principal: Principal) -> None:
    """Remember who makes a request, and let ``request.user`` be that."""
    mark_looked(connection.scope)  # type: ignore[arg-type]  # a mapping
    connection.scope["doorward.principal"] = connection.scope["user"] = principal  # type: ignore[typeddict-unknown-key]


def user_of(principal: Principal | None) -> Mapping[str, Any]:
    """What a middleware has found to make a request, for ``request.user``: the ``Principal`` or None."""
    return {"user": principal}


async def vary(message: Message, scope: Scope) -> None:
    """What Litestar calls before it sends: an answer that depends on who asks says so."""
    if message["type"] == "http.response.start" and is_looked_at(scope):
        message["headers"] = vary_headers(list(message["headers"]))


class PrincipalsPlugin(InitPlugin, ReceiveRoutePlugin):
    """Gives handlers that have a parameter ``principal`` who makes the request, and answers 401 where nobody does.

    Those with ``optional_principal`` are given None then.  The OpenAPI document says which routes want whom.

    Args:
        principal_of: gives the principal of a request, or raises why there is none.
        credentials: what the document says that a request brings.
    """

    def __init__(self, principal_of: Callable[[Connection], Awaitable[Principal]], *, credentials: str) -> None:
        self._principal_of = principal_of
        self._credentials = credentials

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add to the application what it needs."""
        app_config.before_send.append(vary)
        app_config.exception_handlers = {DoorwardError: _answer, **app_config.exception_handlers}
        app_config.dependencies = {
            "principal": Provide(self._principal),
            "optional_principal": Provide(self._optional_principal),
            **app_config.dependencies,
        }
        # Handlers are declared with it, and their module may import it for types alone.
        app_config.signature_namespace = {"Principal": Principal, **app_config.signature_namespace}
        if app_config.openapi_config is not None:
            scheme = SecurityScheme(type="http", scheme="bearer", description=self._credentials)
            ours, config = Components(security_schemes={SCHEME: scheme}), copy(app_config.openapi_config)
            theirs = config.components if isinstance(config.components, list) else [config.components]
            config.components = [ours, *theirs]
            app_config.openapi_config = config
        return app_config

    def receive_route(self, route: BaseRoute) -> None:
        """Say in the document what a route wants, by what it is declared with."""
        for handler in route.route_handlers if isinstance(route, HTTPRoute) else ():
            said = list(handler.security or ())
            handler.security = said + [each for each in self._wanted(handler) if each not in said]

    def _wanted(self, handler: HTTPRouteHandler) -> tuple[SecurityRequirement, ...]:
        given = self._given(handler)
        if "principal" in given or any(isinstance(each, Required) for each in handler.resolve_guards()):
            return (_REQUIRED,)
        return (_OPTIONAL, _REQUIRED) if "optional_principal" in given else ()

    def _given(self, handler: HTTPRouteHandler) -> set[str]:
        """The dependencies of ours that a handler is given, or what it is given is."""
        dependencies = handler.resolve_dependencies()
        looked_at: set[str] = set()
        names = [*handler.parsed_fn_signature.parameters]
        while names:
            name = names.pop()
            if name in dependencies and name not in looked_at:
                looked_at.add(name)
                names.extend(dependencies[name].parsed_fn_signature.parameters)
        ours = (self._principal, self._optional_principal)
        return {name for name in looked_at if dependencies[name].dependency in ours}

    async def _principal(self, scope: Scope) -> Principal:
        return await closing(ASGIConnection(scope), self._principal_of)

    async def _optional_principal(self, scope: Scope) -> Principal | None:
        try:
            return await self._principal_of(ASGIConnection(scope))
        except (NotAuthenticated, InvalidToken, SessionEnded):
            return None


def _answer(request: Request[Any, Any, Any], error: DoorwardError) -> Response[bytes]:
    answer = problem_of(error, OurRequest(method="GET", path="/", headers=join_headers(request.scope["headers"])))
    headers = dict(answer.headers)
    return Response(answer.body, status_code=answer.status, media_type=headers.pop("content-type"), headers=headers)
