"""The application on bare ASGI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Any

from doorward import Demands, Principal
from doorward.errors import DoorwardError, NotAuthenticated
from doorward.http.message import Response, json_body
from doorward.http.problems import problem_of
from doorward.web.asgi import (
    AuthenticationMiddleware,
    DoorwardApp,
    Receive,
    Scope,
    Send,
    request_of,
    send_response,
    send_stream,
)
from doorward.web.guard import BareWebSocket, Doorward
from tests.frameworks.applications.demands import WANTED
from tests.frameworks.events import the_events

Handler = Callable[[Scope], Awaitable[Any]]
DEMANDS = {route: Demands(**wanted) for route, wanted in WANTED.items()}
SOCKETS: dict[str, Collection[str]] = {"/live": (), "/live/editors": {"editor"}}


def build(**options: Any) -> Any:  # noqa: C901 -- a function a route
    auth = Doorward(**options)
    contract = DoorwardApp(auth)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await live(BareWebSocket(scope, receive, send))
        elif scope["path"] == "/events":
            await events(scope, receive, send)
        else:
            await send_response(await answer(scope), send)

    async def answer(scope: Scope) -> Response:
        if scope["path"] == "/greeting":
            return told({"known": scope["doorward.principal"] is not None})
        demands = DEMANDS.get((scope["method"], scope["path"]))
        if demands is None:
            return Response(status=404)
        try:
            principal = await auth.assure(principal_of(scope), demands)
        except DoorwardError as error:
            return problem_of(error, request_of(scope))
        return told({"account": principal.subject, "session": principal.session_id})

    async def events(scope: Scope, receive: Receive, send: Send) -> None:
        class Request:
            def __init__(self) -> None:
                self.scope = scope

        try:
            stream = await auth.guarded_stream(Request(), the_events())
        except DoorwardError as error:
            await send_response(problem_of(error, request_of(scope)), send)
        else:
            start = Response(status=200, headers=(("content-type", "text/event-stream"),))
            await send_stream(start, stream, receive, send)

    async def live(websocket: BareWebSocket) -> None:
        await websocket.receive()
        async with auth.guard(websocket, roles=SOCKETS[websocket.scope["path"]]) as principal:
            await websocket.send({"type": "websocket.accept"})
            await websocket.send({"type": "websocket.send", "text": principal.subject})
            while (message := await websocket.receive())["type"] == "websocket.receive":
                await websocket.send({"type": "websocket.send", "text": message["text"]})

    authenticated = AuthenticationMiddleware(application, auth)

    async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope["path"].startswith("/auth/"):
            await contract({**scope, "root_path": "/auth"}, receive, send)
        else:
            await authenticated(scope, receive, send)

    return mounted


def principal_of(scope: Scope) -> Principal:
    principal: Principal | None = scope["doorward.principal"]
    if principal is None:
        raise scope["doorward.refusal"] or NotAuthenticated
    return principal


def told(value: Any) -> Response:
    return Response(status=200, headers=(("content-type", "application/json"),), body=json_body(value))
