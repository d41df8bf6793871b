"""What the adapters for FastAPI have in common: refusals in any application, and ``Vary`` on what looks at who asks."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any
from weakref import WeakSet

from fastapi import Response
from starlette.applications import Starlette
from starlette.requests import HTTPConnection

from doorward.errors import DoorwardError
from doorward.http import message
from doorward.http.vary import VARY
from doorward.web.looked import KEY, Scope, VaryMiddleware, mark_looked
from doorward.web.starlette_users import response_of

Refuse = Callable[[DoorwardError, Scope], message.Response]

_HANDLERS = "starlette.exception_handlers"
_completed: WeakSet[Starlette] = WeakSet()
"""Applications that were given the middleware while they were served."""

_log = logging.getLogger(__name__)


def handler_of(refuse: Refuse) -> Callable[[HTTPConnection, Exception], Awaitable[Response]]:
    """What Starlette calls an exception handler, for ``DoorwardError``."""

    async def answer(connection: HTTPConnection, error: Exception) -> Response:
        if not isinstance(error, DoorwardError):
            raise error
        return response_of(refuse(error, connection.scope))

    return answer


def install(app: Starlette, refuse: Refuse) -> None:
    """Answer refusals of an application, and add ``Vary`` to its answers, before it is served."""
    app.add_exception_handler(DoorwardError, handler_of(refuse))
    app.add_middleware(VaryMiddleware)


def look(connection: HTTPConnection, response: Response | None, refuse: Refuse) -> None:
    """Note that the answer to a request depends on who makes it, and let its application answer a refusal.

    Applications and routers that are mounted in others answer exceptions by handlers of their own, which Starlette puts
    into the scope of each request.

    Args:
        connection: the request, or a WebSocket.
        response: what FastAPI takes headers from.
        refuse: makes the answer to a refusal.
    """
    scope = connection.scope
    handlers: Any = scope.get(_HANDLERS)
    if handlers is not None and DoorwardError not in handlers[0]:
        handlers[0][DoorwardError] = handler_of(refuse)
    if KEY not in scope:
        _add_middleware(scope)
        if response is not None:
            response.headers[VARY[0]] = VARY[1]
    mark_looked(scope)


def _add_middleware(scope: Scope) -> None:
    """For an application that is served already: from its next request on."""
    app: Any = scope.get("app")
    # Once: a middleware in between may have dropped the key.
    if isinstance(app, Starlette) and app.middleware_stack is not None and app not in _completed:
        _completed.add(app)
        _log.warning(
            "An application has routes that ask who makes a request, and was not given to mount() or install():"
            " Doorward is opened with its first request, and not closed with it."
        )
        app.middleware_stack = VaryMiddleware(app.middleware_stack)
