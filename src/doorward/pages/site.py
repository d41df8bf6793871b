"""From a path to its page, and from whatever happens there to an answer that a person can read."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

from doorward.doorward import Doorward
from doorward.errors import ConfigurationError, DoorwardError, NotAuthenticated, Problem, TooEarly
from doorward.http.admission import Admission
from doorward.http.errors import MethodNotAllowed
from doorward.http.message import Header, Request, Response, seconds_to_wait
from doorward.http.problems import InternalError
from doorward.options import is_origin
from doorward.pages import accounts, sessions
from doorward.pages.appearance import Appearance
from doorward.pages.visit import PLACES, Site, Visit, open_visit, read_visit
from doorward.pages.who import SIGNED_OUT

_log = logging.getLogger(__name__)

Handler = Callable[[Visit], Awaitable[Response]]

_ASSETS = "/assets/"
_UNKNOWN = "page_unknown"
_NOT_FOR_PEOPLE = ("/v1/", "/.well-known/", _ASSETS)
_KEPT_FOR_GOOD = ("cache-control", "public, max-age=31536000, immutable")
_KEPT_FOR_NOW = ("cache-control", "public, max-age=300")
_HERE = "here"
"""A parameter that marks an address as one that we have sent the browser to ourselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What there is at a path.

    Args:
        id: names the page in metrics and logs.
        get: shows it.
        post: takes its form, or None.
    """

    id: str
    get: Handler
    post: Handler | None = None


def _to(address: str) -> Handler:
    async def redirect(visit: Visit) -> Response:
        return visit.redirect(address)

    return redirect


_ROUTES = {
    "/": Route(id="page_start", get=_to("sessions")),
    "/sign-in": Route(id="page_sign_in", get=accounts.show_sign_in, post=accounts.sign_in),
    "/sign-up": Route(id="page_sign_up", get=accounts.show_sign_up, post=accounts.sign_up),
    "/sign-out": Route(id="page_sign_out", get=accounts.show_sign_out, post=accounts.sign_out),
    "/change-password": Route(
        id="page_change_password", get=accounts.show_change_password, post=accounts.change_password
    ),
    "/sessions": Route(id="page_sessions", get=sessions.show_sessions),
    "/end-session": Route(id="page_end_session", get=_to("sessions"), post=sessions.end_session),
    "/end-other-sessions": Route(id="page_end_other_sessions", get=_to("sessions"), post=sessions.end_other_sessions),
    # W3C, A Well-Known URL for Changing Passwords.
    "/.well-known/change-password": Route(id="page_change_password", get=_to("../change-password")),
}


class Pages:
    """Pages for people: sign up, sign in, sign out, change the password, see and end one's sessions.

    ``DoorwardApp(auth, pages=Pages(name="Acme"))``; ``auth.mount(…, pages=Pages())`` where a framework has it.

    Args:
        name: what the service calls itself.
        folder: templates, a style sheet, a logo and languages of one's own (docs/guides/hosted-pages.md).
        return_to: origins that somebody may be sent to after signing in or out, beside our own and ``cors_origins``.

    Raises:
        ConfigurationError: the folder cannot be used, or what should be an origin is none.
    """

    def __init__(
        self, *, name: str = "Doorward", folder: Path | str | None = None, return_to: Sequence[str] = ()
    ) -> None:
        problems = [
            Problem(
                id="DW124",
                message=f"pages_return_to has {origin!r}, which is no origin.",
                remedy="List scheme, host and port, such as https://app.example.com.",
            )
            for origin in return_to
            if not is_origin(origin)
        ]
        if problems:
            raise ConfigurationError(problems)
        self._site = Site(name=name, appearance=Appearance(folder), origins=frozenset(return_to))

    def find(self, request: Request) -> str | None:
        """The id of the page that answers a request, or None.

        A person who asks for an address that does not exist is answered with a page; programs get the API's answer.
        """
        route = _ROUTES.get(request.path)
        if route is not None:
            return route.id
        if request.path.removeprefix(_ASSETS) in self._site.appearance.assets:
            return "page_asset"
        return _UNKNOWN if _is_person_lost(request) else None

    async def answer(self, auth: Doorward, request: Request, admission: Admission) -> Response:
        """The page for a request that ``find`` knows; whatever happens, it is one."""
        route = _ROUTES.get(request.path)
        if route is None and request.path.removeprefix(_ASSETS) in self._site.appearance.assets:
            return self._asset(request)
        visit = open_visit(self._site, auth, request)
        if route is None:
            return visit.show("not_found.html", status=404, sign_up_is_open=auth.options.sign_up == "open")
        try:
            async with admission.answering(auth):
                if not auth.is_open:
                    await auth.open()
                visit = read_visit(visit)
                response = await _handle(route, visit)
        except DoorwardError as error:
            response = _refusal(visit, error)
        except Exception:  # noqa: BLE001 -- no input may end without an answer
            # A bug of ours.  The traceback shows code, not values; the answer shows nothing.
            _log.exception("%s failed", route.id)
            response = _after_a_bug(visit)
        return response.with_headers(visit.cookies)

    def _asset(self, request: Request) -> Response:
        if request.method not in {"GET", "HEAD"}:
            return Response(status=405, headers=(("allow", "GET, HEAD"),))
        asset = self._site.appearance.assets[request.path.removeprefix(_ASSETS)]
        kept = _KEPT_FOR_GOOD if request.query == f"v={asset.version}" else _KEPT_FOR_NOW
        return Response(status=200, headers=(("content-type", asset.media_type), kept), body=asset.content)


def _is_person_lost(request: Request) -> bool:
    """Whether somebody has opened an address in a browser that belongs neither to the pages nor to the API."""
    return (
        request.method in {"GET", "HEAD"}
        and "text/html" in request.headers.get("accept", "")
        and not request.path.startswith(_NOT_FOR_PEOPLE)
    )


async def _handle(route: Route, visit: Visit) -> Response:
    handler = {"GET": route.get, "HEAD": route.get, "POST": route.post}.get(visit.request.method)
    if handler is None:
        raise MethodNotAllowed(("GET", "HEAD", "POST") if route.post is not None else ("GET", "HEAD"))
    if handler is route.get and _comes_without_cookies(visit):
        return _come_again(visit)
    try:
        return await handler(visit)
    except SIGNED_OUT as error:
        page = visit.request.path.removeprefix("/")
        back = {"return_to": page if page in PLACES else PLACES[0]}
        notice = {} if isinstance(error, NotAuthenticated) else {"notice": accounts.notice_of(error)}
        return visit.redirect(visit.link("sign-in", **back, **notice))


def _comes_without_cookies(visit: Visit) -> bool:
    """Whether a link of another site was followed: browsers leave ``SameSite=Strict`` cookies at home then."""
    headers = visit.request.headers
    return (
        headers.get("sec-fetch-site") == "cross-site"
        and headers.get("sec-fetch-dest") == "document"
        and visit.auth.options.strategy != "session"
        and _HERE not in visit.query
    )


def _come_again(visit: Visit) -> Response:
    """Let the browser ask once more by itself, from our own page: then it brings them."""
    page = visit.request.path.rpartition("/")[2]
    kept = {name: visit.query[name] for name in ("lang", "notice", "return_to") if name in visit.query}
    address = f"{page}?{urlencode({**kept, _HERE: '1'}, quote_via=quote)}"
    return _message(visit, title="one_moment", address=address, headers=(("refresh", f"0;url={address}"),))


def _after_a_bug(visit: Visit) -> Response:
    try:
        return _refusal(visit, InternalError())
    except Exception:  # noqa: BLE001 -- what failed may be a template that this page is made from, too
        _log.exception("not even the page of an error could be made")
        return Response(status=500, headers=(("content-type", "text/plain"),), body=InternalError.public.encode())


def _refusal(visit: Visit, error: DoorwardError) -> Response:
    mistakes = visit.note(error)
    headers = mistakes.headers
    if isinstance(error, MethodNotAllowed):
        headers = (("allow", ", ".join(error.allowed)),)
    if isinstance(error, TooEarly) and visit.request.method != "POST":
        # The browser waits by itself: nobody has to understand why.
        seconds = seconds_to_wait(error.retry_after)
        headers = (*headers, ("refresh", str(seconds)))
        return _message(visit, title="one_moment", status=mistakes.status, headers=headers)
    text = mistakes.general or visit.language("error_other")
    return _message(visit, title="error_title", text=text, status=mistakes.status, headers=headers)


def _message(
    visit: Visit,
    *,
    title: str,
    text: str | None = None,
    address: str | None = None,
    status: int = 200,
    headers: tuple[Header, ...] = (),
) -> Response:
    return visit.show(
        "message.html", status=status, headers=headers, title=title, text=text, address=address or visit.link("sign-in")
    )
