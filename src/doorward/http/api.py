"""Answering: find the operation, learn who calls, read what was sent, call, and put the security headers on."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from time import perf_counter
from typing import Any, Protocol

from doorward.doorward import Doorward
from doorward.errors import DatabaseUnusable, DoorwardError, NotFound, Unavailable
from doorward.http.admission import Admission
from doorward.http.bodies import read_json, read_query
from doorward.http.caller import (
    authenticate_admin_request,
    authenticate_introspector,
    authenticate_leaver,
    authenticate_optional_request,
    authenticate_proxied_request,
    authenticate_request,
    authenticate_verifier_request,
    check_csrf,
    is_https,
    is_https_by,
)
from doorward.http.cors import cors_headers, preflight_headers
from doorward.http.errors import BodyTooLarge, MethodNotAllowed
from doorward.http.message import Header, Request, Response
from doorward.http.operation import Access, AnyOperation, Call
from doorward.http.operations import TABLE
from doorward.http.problems import InternalError, oauth_problem_of, problem_of
from doorward.http.proxies import watch
from doorward.http.refusals import RefusalLog
from doorward.http.router import Resource, Router
from doorward.http.vary import VARY

Observer = Callable[[str, int, float], None]
"""Told of every call: the operation's id, the status, the seconds that it took."""

UNKNOWN = "unknown"
"""The id of a call that names no operation."""
PREFLIGHT = "preflight"

ALWAYS_ADMITTED = frozenset(
    {
        "check",
        "read_health",
        "read_keys",
        "read_metrics",
        "read_readiness",
        "read_revocation_digests",
        "follow_revocations",
    }
)
"""Operations that are answered whatever else waits: for orchestrators, proxies and verifiers, mostly from memory."""


class HostedPages(Protocol):
    """Pages for people, beside the operations (``doorward.pages``)."""

    def find(self, request: Request) -> str | None:
        """The id of the page that answers a request, or None: also the one that says that there is none."""

    async def answer(self, auth: Doorward, request: Request, admission: Admission) -> Response:
        """The page, with security headers of its own; nothing is raised."""


_log = logging.getLogger(__name__)

_HARDENING: tuple[Header, ...] = (
    ("x-content-type-options", "nosniff"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("referrer-policy", "no-referrer"),
)
_OWN_PAGES: Header = ("cross-origin-resource-policy", "same-origin")
_ANY_PAGE: Header = ("cross-origin-resource-policy", "cross-origin")
_NO_STORE: Header = ("cache-control", "no-store")
_CACHED: Header = ("cache-control", "public, max-age=300")
# Without includeSubDomains: the host is the application's, and so is what is below it.
_HSTS: Header = ("strict-transport-security", "max-age=31536000")


def _hardening(*, public: bool, succeeded: bool, https: bool) -> tuple[Header, ...]:
    return (
        *_HARDENING,
        _ANY_PAGE if public else _OWN_PAGES,
        _CACHED if public and succeeded else _NO_STORE,
        *([_HSTS] if https else []),
    )


_KNOWN_BETTER = frozenset({"cache-control", "content-security-policy", "referrer-policy"})

_HARDENINGS = {
    (public, succeeded, https): _hardening(public=public, succeeded=succeeded, https=https)
    for public in (True, False)
    for succeeded in (True, False)
    for https in (True, False)
}
"""All there are, made once."""


async def _nobody(auth: Doorward, request: Request) -> None:
    """Anybody may call."""


async def _visitor(auth: Doorward, request: Request) -> None:
    # Signing somebody in unawares is an attack too: what he then does, he does in the attacker's account.
    check_csrf(auth, request, token_of=None)


_CALLER: Mapping[Access, Callable[[Doorward, Request], Awaitable[Any]]] = {
    Access.ANYBODY: _nobody,
    Access.VISITOR: _visitor,
    Access.REFRESHER: _nobody,
    Access.ACCOUNT: authenticate_request,
    Access.OPTIONAL: authenticate_optional_request,
    Access.PROXIED: authenticate_proxied_request,
    Access.LEAVER: authenticate_leaver,
    Access.ADMIN: authenticate_admin_request,
    Access.INTROSPECTOR: authenticate_introspector,
    Access.VERIFIER: authenticate_verifier_request,
}

_router = Router(TABLE)


class Api:
    """The contract, over one deployment.

    Args:
        auth: the deployment.
        metrics: makes the text of ``/metrics``; None where nothing measures.
        observer: told of every call.
        pages: for people, or None.

    ``unavailable`` counts the answers of 503 by code and by what did not answer.
    """

    def __init__(
        self,
        auth: Doorward,
        *,
        metrics: Callable[[], bytes] | None = None,
        observer: Observer | None = None,
        pages: HostedPages | None = None,
    ) -> None:
        self.auth = auth
        self._metrics = metrics
        self._observer = observer
        self._pages = pages
        self._refusals = RefusalLog(_log)
        self.admission = Admission()
        self.unavailable: Counter[tuple[str, str]] = Counter()
        self._unread: dict[tuple[str, bool, timedelta], Response] = {}

    async def answer(self, request: Request) -> Response:
        """Answer a request; whatever it is, nothing is raised."""
        started = perf_counter()
        watch.notice(request)
        resource = _router.find(request.path)
        operation = resource.methods.get(request.method) if resource is not None else None
        page = self._pages.find(request) if self._pages is not None and resource is None else None
        if self._pages is not None and page is not None:
            name, response = page, await self._pages.answer(self.auth, request, self.admission)
        elif resource is not None and request.method == "OPTIONS":
            name, response = PREFLIGHT, self._preflight(request, resource)
        elif resource is None or operation is None:
            unknown = NotFound() if resource is None else MethodNotAllowed(resource.allowed)
            name, response = UNKNOWN, problem_of(unknown, request)
        else:
            name, response = operation.id, await self._call(operation, request, resource.path)
        if _depends_on_caller(operation, page, response):
            response = response.with_headers([VARY])
        response = self._harden(response, request, public=_is_public(resource), is_page=page is not None)
        if self._observer is not None:
            self._observer(name, response.status, perf_counter() - started)
        return response

    def refuse_unread(self, method: str, path: str, scheme: str) -> Response | None:
        """The answer to a call that is not taken on since too many are being answered; None: ``answer`` it.

        It takes a fraction of the time and nothing of the body: whoever floods a server must not keep it busy refusing.
        """
        if not self.admission.is_full or self.auth.options.cors_origins:
            return None
        resource = _router.find(path)
        operation = resource.methods.get(method) if resource is not None else None
        if operation is None or operation.id in ALWAYS_ADMITTED:
            return None
        busy = self.admission.refusal()
        self._note(operation, busy)
        kind = operation.format, is_https_by(self.auth, scheme), busy.retry_after
        if kind not in self._unread:
            answer_error = oauth_problem_of if operation.format == "oauth" else problem_of
            hardening = _HARDENINGS[False, False, kind[1]]
            self._unread[kind] = answer_error(busy).with_headers(hardening)
        if self._observer is not None:
            self._observer(operation.id, self._unread[kind].status, 0.0)
        return self._unread[kind]

    def _note(self, operation: AnyOperation, error: DoorwardError) -> None:
        self._refusals.say(operation.id, error)
        if isinstance(error, Unavailable):
            self.unavailable[error.code, error.dependency or "none"] += 1

    async def _call(self, operation: AnyOperation, request: Request, path: Mapping[str, str]) -> Response:
        answer_error = oauth_problem_of if operation.format == "oauth" else problem_of
        try:
            async with self.admission.answering(self.auth, always=operation.id in ALWAYS_ADMITTED):
                if operation.needs_store and not self.auth.is_open:
                    # Mounted where no start is told of, or the store was away when it was.
                    await self.auth.open()
                return await operation.handler(self.auth, await self._read(operation, request, path))
        except DoorwardError as error:
            self._note(operation, error)
            if operation.id == "read_readiness" and isinstance(error, Unavailable | DatabaseUnusable):
                dependency = error.dependency if isinstance(error, Unavailable) else None
                return problem_of(error, request, dependency=dependency or "database")
            return answer_error(error, request)
        except Exception:  # noqa: BLE001 -- no input may end without an answer
            # A bug of ours.  The traceback shows code, not values; the answer shows nothing.
            _log.exception("%s failed", operation.id)
            return answer_error(InternalError(), request)

    async def _read(self, operation: AnyOperation, request: Request, path: Mapping[str, str]) -> Call[Any, Any, Any]:
        """What the handler is given.  The caller comes first: whoever may not call learns nothing about fields."""
        if request.too_large:
            raise BodyTooLarge
        return Call(
            request=request,
            caller=await _CALLER[operation.access](self.auth, request),
            query=read_query(request, operation.query) if operation.takes_query else None,
            body=read_json(request, operation.body) if operation.body is not None else None,
            path=path,
            metrics=self._metrics,
        )

    def _preflight(self, request: Request, resource: Resource) -> Response:
        headers = preflight_headers(
            request.headers.get("origin"),
            allowed=self.auth.options.cors_origins,
            public=_is_public(resource),
            methods=resource.allowed,
        )
        return Response(status=204, headers=(("allow", ", ".join(resource.allowed)), *headers))

    def _harden(self, response: Response, request: Request, *, public: bool, is_page: bool) -> Response:
        hardening = _HARDENINGS[public, response.status == 200, is_https(self.auth, request)]
        # An operation knows better how long its answer is good for, and a page what it may load.
        said = {name for name, _ in response.headers}
        if not said.isdisjoint(_KNOWN_BETTER):
            hardening = tuple(header for header in hardening if header[0] not in said)
        allowed = self.auth.options.cors_origins
        if is_page or (not allowed and not public):
            # Pages are for people: no script of another origin reads one, whatever it may call.
            return response.with_headers(hardening)
        return response.with_headers(
            (*hardening, *cors_headers(request.headers.get("origin"), allowed=allowed, public=public))
        )


def _depends_on_caller(operation: AnyOperation | None, page: str | None, response: Response) -> bool:
    """Whether an answer depends on who asks: of an operation that asks, or of a page; not what caches may keep."""
    if page is not None:
        return not any(value.startswith("public") for value in response.values("cache-control"))
    return operation is not None and operation.access is not Access.ANYBODY


def _is_public(resource: Resource | None) -> bool:
    return resource is not None and "GET" in resource.methods and resource.methods["GET"].public
