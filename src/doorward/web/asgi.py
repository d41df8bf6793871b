"""Bare ASGI 3: what uvicorn serves, and what any ASGI framework can mount."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

from doorward.doorward import Doorward
from doorward.errors import ConfigurationError, DoorwardError, Problem
from doorward.http.api import Api, HostedPages, Observer
from doorward.http.caller import authenticate_request, recognise_bearer, recognise_cookie
from doorward.http.message import LARGEST_BODY, ByteStream, Request, Response, join_headers
from doorward.http.problems import close_code_of
from doorward.principal import Principal
from doorward.web.looked import (
    App,
    Message,
    MoreAnswers,
    Receive,
    Scope,
    Send,
    WatchedScope,
    answers_of,
    mark_looked,
    varying,
)

__all__ = [
    "HOLDS_THE_LOOP",
    "TAKEN_WITHIN",
    "App",
    "AuthenticationMiddleware",
    "DoorwardApp",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "authenticate_scope",
    "path_below_mount",
    "read_body",
    "recognise_scope",
    "refuse_blocking",
    "request_of",
    "send_response",
    "send_stream",
    "serve_lifespan",
]

_HTTP_OF = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})

_TURNS = 6
"""Turns of the event loop after which the end of a connection is known that has arrived together with its request.

It is read one turn after the request, announced a turn later, and wakes whoever receives in two more.
"""

TAKEN_WITHIN = timedelta(seconds=15)
"""How long a client may take for the next part of a stream before the connection is dropped."""


HOLDS_THE_LOOP = Problem(
    id="DW104",
    message="An asynchronous application was given a Doorward whose operations hold up the event loop.",
    remedy="Make it without blocking=True.",
)


def refuse_blocking(auth: Doorward) -> Doorward:
    """The deployment, if an event loop can call it.  Raises ConfigurationError otherwise, before any request."""
    if auth.is_blocking:
        raise ConfigurationError([HOLDS_THE_LOOP])
    return auth


class DoorwardApp:
    """Doorward as an ASGI application: serve it, or mount it under a prefix.

    It opens ``auth`` when the server starts, or, mounted where no start is told of, with the first request.

    Args:
        auth: the deployment.
        metrics: makes the text of ``/metrics``.
        observer: told of every call: the operation's id, the status, the seconds that it took.
        pages: ``doorward.pages.Pages`` for people, or None for the API alone.
    """

    def __init__(
        self,
        auth: Doorward,
        *,
        metrics: Callable[[], bytes] | None = None,
        observer: Observer | None = None,
        pages: HostedPages | None = None,
    ) -> None:
        self.auth = refuse_blocking(auth)
        self.api = Api(auth, metrics=metrics, observer=observer, pages=pages)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await serve_lifespan(self.auth, receive, send)
        elif scope["type"] == "websocket":
            await _refuse_websocket(receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = self.api.refuse_unread(scope["method"], path_below_mount(scope), scope.get("scheme", "http"))
        if refused is not None:
            await send_response(refused, send)
            return
        body = b"" if scope["method"] in _BODILESS else await read_body(scope, receive)
        if body is None:
            return  # the client has gone
        request = request_of(scope, body, has_left=partial(has_left, receive))
        response = await self.api.answer(request)
        if response.stream is None:
            await send_response(response, send, head=request.method == "HEAD")
        else:
            await send_stream(response, response.stream, receive, send)


def request_of(scope: Scope, body: bytes = b"", *, has_left: Callable[[], Awaitable[bool]] | None = None) -> Request:
    """The request that an ASGI scope tells of, its path below the place where the application is mounted.

    A websocket's handshake counts as a call that changes something: pages may open one to anywhere, with cookies.
    """
    client = scope.get("client")
    return Request(
        method="WEBSOCKET" if scope["type"] == "websocket" else scope["method"],
        path=path_below_mount(scope),
        query=scope.get("query_string", b"").decode("latin-1"),
        headers=join_headers(scope["headers"]),
        body=body,
        client=client[0] if client else None,
        scheme=_HTTP_OF.get(scope.get("scheme", "http"), "http"),
        has_left=has_left,
    )


async def has_left(receive: Receive) -> bool:
    """Whether the client has closed its connection, of a request whose body has been read."""
    receiving = asyncio.ensure_future(receive())
    try:
        for _ in range(_TURNS):
            await asyncio.sleep(0)
            if receiving.done():
                return bool(receiving.result()["type"] == "http.disconnect")
        return False
    finally:
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)


async def authenticate_scope(auth: Doorward, scope: Scope) -> Principal:
    """Tell who makes the request that an ASGI scope tells of; see ``authenticate_request``."""
    mark_looked(scope)
    return recognise_scope(auth, scope) or await authenticate_request(auth, request_of(scope))


def recognise_scope(auth: Doorward, scope: Scope) -> Principal | None:
    """The same from memory alone, or None; see ``recognise_bearer``.  Two of the headers are enough for that."""
    authorization = cookie = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            if authorization is not None:
                return None
            authorization = value
        elif name == b"cookie":
            if cookie is not None:
                return None
            cookie = value
    if authorization is not None:
        sent_along = None if cookie is None else cookie.decode("latin-1")
        return recognise_bearer(auth, authorization.decode("latin-1"), sent_along)
    # What opens a websocket may change something, whatever its method.
    if cookie is None or scope["type"] != "http":
        return None
    return recognise_cookie(auth, cookie.decode("latin-1"), scope["method"], scope.get("scheme", "http"))


def path_below_mount(scope: Scope) -> str:
    """The path without the prefix under which the application is mounted.

    Decided on ``scope["path"]`` and never on an address put together from headers, which the client writes.  By the
    ASGI specification the path holds the prefix (``root_path``).  Where a proxy has removed the outer part of the
    prefix, the path holds the inner part alone: a framework that mounts us says in ``app_root_path`` which is which.
    Where the server has removed all of it, the path stays as it is.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    if (below := _below(root, path)) is None:
        inner = root.removeprefix(scope.get("app_root_path", "").rstrip("/"))
        below = _below(inner, path)
    return (path if below is None else below) or "/"


def _below(root: str, path: str) -> str | None:
    below = path.removeprefix(root)
    return below if path.startswith(root) and below[:1] in {"/", ""} else None


async def read_body(scope: Scope, receive: Receive) -> bytes | None:
    """The body, of which no more is read than tells that it is too large; None where the client has gone."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and (len(value) > 9 or int(value) > LARGEST_BODY):
            return b""  # refused by what it says, without reading any of it
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body", False) or len(body) > LARGEST_BODY:
            return bytes(body[: LARGEST_BODY + 1])


async def send_response(response: Response, send: Send, *, head: bool = False) -> None:
    """Send an answer; to HEAD everything but the body."""
    headers = _raw(response)
    if response.status not in {204, 304}:
        headers.append((b"content-length", str(len(response.body)).encode("latin-1")))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else response.body})


def _raw(response: Response) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]


async def send_stream(response: Response, stream: ByteStream, receive: Receive, send: Send) -> None:
    """Send an answer that comes bit by bit, until it ends, or the client goes or does not take it."""
    sending = asyncio.ensure_future(_send_parts(response, stream, send))
    leaving = asyncio.ensure_future(_until_gone(receive))
    try:
        await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        sending.cancel()
        # To their very end, also when this is cancelled itself: nobody else waits for them.
        await asyncio.gather(sending, leaving, return_exceptions=True)
        await stream.aclose()
    error = None if sending.cancelled() else sending.exception()
    # Who does not take it is left without an end: the server drops the connection.
    if error is not None and not isinstance(error, TimeoutError):
        raise error


async def _send_parts(response: Response, stream: ByteStream, send: Send) -> None:
    await send({"type": "http.response.start", "status": response.status, "headers": _raw(response)})
    async for part in stream:
        async with asyncio.timeout(TAKEN_WITHIN.total_seconds()):
            await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _until_gone(receive: Receive) -> None:
    """Comes back when the client has gone.  Of a request without a body at most one message comes before that."""
    for _ in range(2):
        if (await receive())["type"] == "http.disconnect":
            return
    await asyncio.Event().wait()


async def serve_lifespan(auth: Doorward, receive: Receive, send: Send) -> None:
    """Open with the server and close with it, unless somebody else has opened before: then it is theirs to close."""
    ours = False
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            ours = not auth.is_open
            try:
                await auth.open()
            except DoorwardError as error:
                await send({"type": "lifespan.startup.failed", "message": error.detail or error.public})
                return
            await send({"type": "lifespan.startup.complete"})
        else:
            if ours:
                await auth.close()
            await send({"type": "lifespan.shutdown.complete"})
            return


async def _refuse_websocket(receive: Receive, send: Send) -> None:
    await receive()
    # Before it is accepted: the server answers the handshake with 403.
    await send({"type": "websocket.close", "code": 1008, "reason": ""})


class AuthenticationMiddleware:
    """Tells an ASGI application who makes a request.

    ``scope["doorward.principal"]`` is the ``Principal``, or None; ``scope["doorward.refusal"]`` is then why: to be
    answered by whoever needs a principal (``doorward.http.problems.problem_of``), ignored by whoever does not.  An
    answer of an application that has asked for either has ``Vary: Cookie, Authorization``.  A WebSocket that the
    application refuses by raising the refusal is closed.

    Args:
        app: the application.
        auth: the deployment.
        more: further keys of the scope that say who makes the request, as a framework calls them.
    """

    def __init__(self, app: App, auth: Doorward, *, more: MoreAnswers | None = None) -> None:
        self._app = app
        self._auth = refuse_blocking(auth)
        self._more = more

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        principal, refusal = recognise_scope(self._auth, scope), None
        if principal is None:
            principal, refusal = await self._identify(scope)
        watched = WatchedScope(scope, answers_of(principal, refusal, self._more))
        try:
            await self._app(watched, receive, varying(send, watched.looked))
        except DoorwardError as error:
            if scope["type"] != "websocket":
                raise
            await send({"type": "websocket.close", "code": close_code_of(error), "reason": error.code})

    async def _identify(self, scope: Scope) -> tuple[Principal | None, DoorwardError | None]:
        try:
            if not self._auth.is_open:
                await self._auth.open()
            return await authenticate_request(self._auth, request_of(scope)), None
        except DoorwardError as error:
            return None, error
