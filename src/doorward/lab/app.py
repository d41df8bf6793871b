"""The lab's page, its three deployments, and what the page asks beside them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import asdict
from datetime import timedelta
from importlib.resources import files
from typing import Any

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from doorward.audit.model import Actor
from doorward.errors import NotFound
from doorward.http.another_origin import is_loopback_origin
from doorward.http.csrf import decide_csrf, origin_of
from doorward.http.message import Request, Response, json_answer, whole_seconds
from doorward.http.problems import problem_of
from doorward.http.shapes import audit_event_json
from doorward.lab.deployments import STRATEGIES, LabClock, LabDoorward
from doorward.lab.exchanges import Recorder
from doorward.options import Strategy
from doorward.ports import Page
from doorward.principal import Principal
from doorward.sessions.model import EndReason
from doorward.web.asgi import (
    AuthenticationMiddleware,
    DoorwardApp,
    Message,
    Receive,
    Scope,
    Send,
    read_body,
    request_of,
    send_response,
)

ROOT = "/lab"
LAB = Actor(name="lab")

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = (
    ("content-security-policy", _POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
    ("cache-control", "no-store"),
)


class _Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    strategy: Strategy


class _Ending(_Input, frozen=True):
    session: str


class _Token(_Input, frozen=True):
    token: str


class _Leap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    seconds: int


async def greet(scope: Scope, _: Receive, send: Send) -> None:
    """An application of the reader's: one route, for whoever is signed in."""
    principal: Principal | None = scope["doorward.principal"]
    if principal is None:
        response = problem_of(scope["doorward.refusal"], request_of(scope))
    else:
        response = json_answer({"hello": principal.subject})
    await send_response(response, send)


class Lab:
    """The ASGI app of everything below ``/lab``.

    Args:
        address: where the server is reached.
    """

    def __init__(self, address: str) -> None:
        self.clock = LabClock()
        self.deployments: Mapping[Strategy, LabDoorward] = {
            each: LabDoorward(each, issuer=f"{address}{ROOT}/api/{each}", clock=self.clock) for each in STRATEGIES
        }
        self._apps = {each: DoorwardApp(auth) for each, auth in self.deployments.items()}
        self._applications = {each: AuthenticationMiddleware(greet, auth) for each, auth in self.deployments.items()}
        self._recorder = Recorder()
        folder = files("doorward.lab") / "static"
        self._files = {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}
        self._calls: Mapping[tuple[str, str], Callable[[Request], Awaitable[Response]]] = {
            ("GET", "/exchange"): self._exchange,
            ("GET", "/trail"): self._trail,
            ("GET", "/time"): self._ahead,
            ("POST", "/time"): self._leap,
            ("POST", "/end"): self._end,
            ("POST", "/plain"): self._plain,
        }

    @contextlib.asynccontextmanager
    async def life(self) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            for auth in self.deployments.values():
                await stack.enter_async_context(auth)
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(ROOT)
        if not is_loopback_origin(f"http://{request_of(scope).host}"):
            # A page elsewhere may have given its name this machine's address (DNS rebinding).
            await send_response(problem_of(NotFound()), send)
        elif path.startswith("/api/"):
            await self._api(path, scope, receive, send)
        else:
            body = b"" if scope["method"] in {"GET", "HEAD"} else await read_body(scope, receive)
            if body is not None:
                response = await self._answer(path, request_of(scope, body))
                await send_response(response.with_headers(_HEADERS), send, head=scope["method"] == "HEAD")

    async def _api(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        strategy = next((each for each in STRATEGIES if path.startswith(f"/api/{each}/")), None)
        if strategy is None:
            await send_response(problem_of(NotFound()), send)
            return
        root = f"{ROOT}/api/{strategy}"
        inner = {**scope, "root_path": root, "headers": _headers_in(scope["headers"], strategy)}

        async def out(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": _headers_out(message["headers"], strategy, root)}
            await send(message)

        app = self._applications[strategy] if scope["path"] == f"{root}/hello" else self._apps[strategy]
        await self._recorder.record(app, strategy, inner, receive, out)

    async def _answer(self, path: str, request: Request) -> Response:
        name = path.removeprefix("/static/") if path.startswith("/static/") else "index.html"
        if request.method in {"GET", "HEAD"} and path in {"", "/", f"/static/{name}"} and name in self._files:
            kind = _TYPES[name.rpartition(".")[2]]
            return Response(status=200, headers=(("content-type", kind),), body=self._files[name])
        call = self._calls.get((request.method, path))
        if call is None or _is_foreign(request):
            return problem_of(NotFound())
        try:
            return await call(request)
        except (msgspec.MsgspecError, ValueError, NotFound):
            return problem_of(NotFound())

    async def _exchange(self, request: Request) -> Response:
        found = self._recorder.find(int(request.query.removeprefix("number=")))
        if found is None:
            raise NotFound
        return json_answer(asdict(found))

    async def _trail(self, request: Request) -> Response:
        strategy, _, session = request.query.partition("/")
        trail = await self._auth(strategy).trail(Page(limit=50), session=session)
        return json_answer([audit_event_json(each) for each in trail])

    async def _end(self, request: Request) -> Response:
        wanted = msgspec.json.decode(request.body, type=_Ending)
        auth = self._auth(wanted.strategy)
        await auth.end_session(wanted.session, account_id=None, reason=EndReason.ADMIN, actor=LAB)
        return Response(status=204)

    async def _ahead(self, _: Request) -> Response:
        return json_answer({"ahead": whole_seconds(self.clock.ahead)})

    async def _leap(self, request: Request) -> Response:
        self.clock.move(timedelta(seconds=msgspec.json.decode(request.body, type=_Leap).seconds))
        return Response(status=204)

    async def _plain(self, request: Request) -> Response:
        """What a service says that checks signature and expiry, and nothing else, as most tutorials do."""
        wanted = msgspec.json.decode(request.body, type=_Token)
        keys = KeySet.import_key_set(await self._auth(wanted.strategy).key_set())  # type: ignore[arg-type]  # a key set
        try:
            claims: dict[str, Any] = jwt.decode(wanted.token, keys, ["ES256"]).claims
            left = claims["exp"] - self.clock().timestamp()
        except (JoseError, ValueError, KeyError, TypeError):
            return json_answer({"accepts": False, "seconds_left": 0})
        return json_answer({"accepts": left > 0, "seconds_left": max(round(left), 0)})

    def _auth(self, strategy: str) -> LabDoorward:
        auth = next((auth for name, auth in self.deployments.items() if name == strategy), None)
        if auth is None:
            raise NotFound
        return auth


def _is_foreign(request: Request) -> bool:
    """Whether another page may have sent the call."""
    headers = request.headers
    return (
        decide_csrf(
            method=request.method,
            sec_fetch_site=headers.get("sec-fetch-site"),
            origin=headers.get("origin"),
            own_origins=(origin_of("http", request.host),),
            allowed_origins=(),
            cookie_call=False,
            has_csrf_token=lambda: False,
        )
        is not None
    )


_Raw = list[tuple[bytes, bytes]]


def _headers_in(headers: _Raw, strategy: Strategy) -> _Raw:
    """The lab's cookies under their real names; those of the server that it is a guest of stay outside.

    A thief brings a cookie that was copied, in a header of its own: no page may set ``Cookie``.
    """
    kept = [(name, value) for name, value in headers if name not in {b"cookie", b"x-lab-cookie"}]
    stolen = [value for name, value in headers if name == b"x-lab-cookie"]
    pairs = [pair.strip() for name, value in headers if name == b"cookie" for pair in value.split(b";")]
    prefix = f"lab_{strategy}_".encode()
    own = [b"doorward_" + pair.removeprefix(prefix) for pair in pairs if pair.startswith(prefix)]
    cookies = stolen or own
    return [*kept, (b"cookie", b"; ".join(cookies))] if cookies else kept


def _headers_out(headers: _Raw, strategy: Strategy, root: str) -> _Raw:
    def renamed(value: bytes) -> bytes:
        return value.replace(b"doorward_", f"lab_{strategy}_".encode(), 1).replace(b"Path=/;", f"Path={root};".encode())

    return [(name, renamed(value) if name == b"set-cookie" else value) for name, value in headers]
