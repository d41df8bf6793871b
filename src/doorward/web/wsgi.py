"""Bare WSGI (PEP 3333): what gunicorn serves, and what any WSGI framework can mount."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from doorward.blocking import run_blocking
from doorward.doorward import Doorward
from doorward.errors import ConfigurationError, DoorwardError, Problem
from doorward.http.api import Api, Observer
from doorward.http.caller import authenticate_request, recognise_bearer, recognise_cookie
from doorward.http.message import LARGEST_BODY, Header, Request, Response
from doorward.http.vary import merge_vary
from doorward.principal import Principal

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})
_UNPREFIXED = {"CONTENT_TYPE": "content-type", "CONTENT_LENGTH": "content-length"}

NEEDS_EVENT_LOOP = Problem(
    id="DW100",
    message="A synchronous application was given a Doorward whose operations wait for an event loop.",
    remedy="Make it with Doorward(..., blocking=True).",
)


def refuse_suspending(auth: Doorward) -> Doorward:
    """The deployment, if synchronous code can call it.  Raises ConfigurationError otherwise, before any request."""
    if not auth.is_blocking:
        raise ConfigurationError([NEEDS_EVENT_LOOP])
    return auth


def open_here(auth: Doorward) -> None:
    """Open in this process where that has not been done, and keep what is known of revocations up to date.

    Before each request.  A server that forks does so before the first of them, so each worker has a thread of its own.

    Raises:
        DoorwardError: the database cannot be used, or does not answer.
    """
    if not auth.is_open:
        run_blocking(auth.open())
    auth.keep_watch()


class DoorwardApp:
    """Doorward as a WSGI application: serve it, or mount it under a prefix.

    It opens ``auth`` with the first request that needs it.  Threads share it, and so do forked workers.

    Args:
        auth: the deployment, made with ``blocking=True``.
        metrics: makes the text of ``/metrics``.
        observer: told of every call: the operation's id, the status, the seconds that it took.

    Raises:
        ConfigurationError: the deployment waits for an event loop.
    """

    def __init__(
        self, auth: Doorward, *, metrics: Callable[[], bytes] | None = None, observer: Observer | None = None
    ) -> None:
        self.auth = refuse_suspending(auth)
        self._api = Api(auth, metrics=metrics, observer=observer)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        response = self.answer(request_of(environ, read_body(environ)))
        return send_response(response, start_response, head=environ["REQUEST_METHOD"] == "HEAD")

    def answer(self, request: Request) -> Response:
        """The answer to a request, for frameworks that have one of their own."""
        # What is not open yet is opened by the operations that need it: health checks are answered without.
        self.auth.keep_watch()
        return run_blocking(self._api.answer(request))


def request_of(environ: WSGIEnvironment, body: bytes = b"") -> Request:
    """The request that a WSGI environment tells of, its path below the place where the application is mounted."""
    return Request(
        method=environ["REQUEST_METHOD"],
        # PEP 3333: bytes that are dressed up as Latin-1.
        path=environ.get("PATH_INFO", "").encode("latin-1", "replace").decode("utf-8", "replace") or "/",
        query=environ.get("QUERY_STRING", ""),
        headers=dict(_headers(environ)),
        body=body,
        client=environ.get("REMOTE_ADDR") or None,
        scheme=environ.get("wsgi.url_scheme", "http"),
    )


def _headers(environ: WSGIEnvironment) -> Iterator[tuple[str, str]]:
    """Headers by their names; the server has joined several of one name."""
    for name, value in environ.items():
        if name.startswith("HTTP_"):
            yield name[5:].replace("_", "-").lower(), value
        elif name in _UNPREFIXED and value:
            yield _UNPREFIXED[name], value


def read_body(environ: WSGIEnvironment) -> bytes:
    """The body, of which no more is read than tells that it is too large."""
    if environ["REQUEST_METHOD"] in _BODILESS:
        return b""
    said = environ.get("CONTENT_LENGTH") or ""
    if said.isascii() and said.isdigit():
        if len(said) > 9 or int(said) > LARGEST_BODY:
            return b""  # refused by what it says, without reading any of it
        return _read(environ, int(said))
    # Without a length the end is where the server says, or it is not to be found at all.
    return _read(environ, LARGEST_BODY + 1) if environ.get("wsgi.input_terminated") else b""


def _read(environ: WSGIEnvironment, most: int) -> bytes:
    body = bytearray()
    while len(body) < most and (part := environ["wsgi.input"].read(most - len(body))):
        body += part
    return bytes(body)


def send_response(response: Response, start_response: StartResponse, *, head: bool = False) -> list[bytes]:
    """Send an answer; to HEAD everything but the body."""
    headers = list(response.headers)
    if response.status not in {204, 304}:
        headers.append(("content-length", str(len(response.body))))
    start_response(f"{response.status} {HTTPStatus(response.status).phrase}", headers)
    return [] if head else [response.body]


class Mounted:
    """Doorward under a prefix of a WSGI application, and the application everywhere else.

    Args:
        app: the application.
        auth: the deployment, made with ``blocking=True``.
        prefix: such as ``/auth``.
    """

    def __init__(self, app: WSGIApplication, auth: Doorward, prefix: str) -> None:
        self._app = app
        self._doorward = DoorwardApp(auth)
        self._prefix = "/" + prefix.strip("/")

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path: str = environ.get("PATH_INFO", "")
        below = path.removeprefix(self._prefix)
        if below == path or below[:1] not in {"/", ""}:
            return self._app(environ, start_response)
        inner = {**environ, "SCRIPT_NAME": environ.get("SCRIPT_NAME", "") + self._prefix, "PATH_INFO": below}
        return self._doorward(inner, start_response)


class AuthenticationMiddleware:
    """Tells a WSGI application who makes a request.

    ``environ["doorward.principal"]`` is the ``Principal``, or None; ``environ["doorward.refusal"]`` is then why: to be
    answered by whoever needs a principal (``doorward.http.problems.problem_of``), ignored by whoever does not.  Whether
    an application has looked at a dictionary cannot be told, so each of its answers has ``Vary: Cookie,
    Authorization``; serve public files outside of it.

    Args:
        app: the application.
        auth: the deployment, made with ``blocking=True``.

    Raises:
        ConfigurationError: the deployment waits for an event loop.
    """

    def __init__(self, app: WSGIApplication, auth: Doorward) -> None:
        self._app = app
        self._auth = refuse_suspending(auth)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        principal, refusal = identify(self._auth, environ)
        environ["doorward.principal"], environ["doorward.refusal"] = principal, refusal
        return self._app(environ, varying(start_response))


def varying(start_response: StartResponse) -> StartResponse:
    """``start_response`` for answers that depend on who asks."""

    def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
        return start_response(status, vary_headers(headers), *more)

    return start


def vary_headers(headers: Sequence[Header]) -> list[Header]:
    """The headers of such an answer, with one ``Vary``."""
    present = [value for name, value in headers if name.lower() == "vary"]
    return [*(header for header in headers if header[0].lower() != "vary"), ("vary", merge_vary(present))]


def identify(auth: Doorward, environ: WSGIEnvironment) -> tuple[Principal | None, DoorwardError | None]:
    """Who makes the request that a WSGI environment tells of, or why nobody does."""
    scheme = environ.get("wsgi.url_scheme", "http")
    return identify_by(auth, environ, request=lambda: request_of(environ), scheme=scheme)


def identify_by(
    auth: Doorward,
    environ: Mapping[str, Any],
    *,
    request: Callable[[], Request],
    scheme: str,
) -> tuple[Principal | None, DoorwardError | None]:
    """Who makes a request, or why nobody does.

    Args:
        auth: the deployment.
        environ: of the request; two of its headers are nearly always enough.
        request: makes the whole of it, where they are not.
        scheme: ``http`` or ``https``, as ``request`` would say.
    """
    try:
        open_here(auth)
        authorization, cookie, known = environ.get("HTTP_AUTHORIZATION"), environ.get("HTTP_COOKIE"), None
        if authorization is not None:
            known = recognise_bearer(auth, authorization, cookie)
        elif cookie is not None:
            known = recognise_cookie(auth, cookie, environ["REQUEST_METHOD"], scheme)
        return known or run_blocking(authenticate_request(auth, request())), None
    except DoorwardError as refusal:
        return None, refusal
