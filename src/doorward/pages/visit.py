"""One request for a page: in which language it is answered, where it leads, and what goes out."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from doorward.doorward import Doorward
from doorward.errors import ConflictingCredentials, DoorwardError
from doorward.http.another_origin import is_loopback_origin
from doorward.http.bodies import read_form
from doorward.http.caller import check_csrf, is_https, the_cookie
from doorward.http.cookies import keep_for
from doorward.http.csrf import origin_of
from doorward.http.errors import BodyTooLarge
from doorward.http.message import Header, Request, Response
from doorward.http.refusals import RefusalLog
from doorward.pages.appearance import Appearance
from doorward.pages.languages import Language, choose_language
from doorward.pages.mistakes import Mistakes, mistakes_of, no_cookie
from doorward.pages.return_to import ReturnTo, parse_return_to
from doorward.secret import Secret
from doorward.wire.base64url import encode
from doorward.wire.cookies import FORM_COOKIE

TOKEN_FIELD = "csrf_token"  # noqa: S105 -- the name of a field
NO_SCRIPT_FIELD = "no_script"
"""What a form has where the browser runs no script."""
PLACES = ("sessions", "change-password")
"""Our pages that somebody may be sent to after signing in."""

_NONCE = re.compile(r"[A-Za-z0-9_-]{22}", re.ASCII)
_NONCE_BYTES = 16
_MOST_PARAMETERS = 32

_refusals = RefusalLog(logging.getLogger(__name__))

_HARDENING: tuple[Header, ...] = (
    ("content-type", "text/html; charset=utf-8"),
    # Not no-referrer: under it browsers call the origin of a form "null", and it could not be told from an attacker's.
    ("referrer-policy", "same-origin"),
    ("permissions-policy", "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ("cross-origin-opener-policy", "same-origin"),
    ("x-frame-options", "DENY"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What all visits have in common.

    Args:
        name: what the deployment calls itself.
        appearance: what its pages look like.
        origins: where else somebody may be sent.
    """

    name: str
    appearance: Appearance
    origins: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A visit.

    Args:
        site: that is visited.
        auth: the deployment.
        request: with the form's token where the API has its header, and without a bearer credential.
        query: by name, each once.
        form: by name; empty unless it is a POST.
        language: that it is answered in.
        return_to: where it leads, or None for our own pages.
        nonce: what forms are made for before anybody has signed in.
        has_form_cookie: whether the browser has brought back the cookie that came with the page.
        cookies: that go out with whatever is answered, and other headers.
    """

    site: Site
    auth: Doorward
    request: Request
    query: Mapping[str, str]
    form: Mapping[str, str] = field(repr=False)
    language: Language
    return_to: ReturnTo | None
    nonce: str = field(repr=False)
    has_form_cookie: bool = False
    cookies: list[Header] = field(default_factory=list, repr=False)

    def secret(self, name: str) -> Secret:
        """A field of the form that nobody else may read."""
        return Secret(self.form.get(name, ""))

    def check_form(self) -> None:
        """Refuse a form of whoever has not signed in that a foreign page may have sent (login CSRF)."""
        check_csrf(self.auth, self.request, token_of=_form(self.nonce))

    def note(self, error: DoorwardError, *, judged: str = "password") -> Mistakes:
        """Log what went wrong, and put it into words."""
        _refusals.say(f"page {self.request.path}", error)
        return mistakes_of(error, self.language, judged=judged)

    @property
    def keeps_cookies(self) -> bool:
        """Whether the browser keeps cookies, as far as a form tells; a form on another origin's page tells nothing."""
        return self.has_form_cookie or self.request.headers.get("origin") in self.auth.options.cors_origins

    def no_cookie(self) -> Mistakes:
        """What a form says that came without the cookie of its page."""
        plain = not is_https(self.auth, self.request) and not self.auth.options.insecure_cookies_over_http
        is_here = is_loopback_origin(origin_of("http", self.request.host))
        return no_cookie(t=self.language, is_kept_out=plain, is_here=is_here)

    def link(self, page: str, **more: str) -> str:
        """The address of a page of ours, relative: it holds wherever we are mounted.  It leads on to the same place."""
        parameters = {"lang": self.language.code} if self.query.get("lang") == self.language.code else {}
        if self.return_to is not None and page not in PLACES:
            parameters["return_to"] = self.return_to.address
        parameters |= more
        query = f"?{urlencode(parameters, quote_via=quote)}" if parameters else ""
        return f"{self.up}{page}{query}"

    @property
    def up(self) -> str:
        """What leads from the address of the request to the pages."""
        return "../" * (self.request.path.count("/") - 1)

    def keep_cookies_of(self, answer: Response) -> None:
        """Hand on the cookies that an operation of the API has set."""
        self.cookies.extend(("set-cookie", value) for value in answer.values("set-cookie"))

    def clear_pages_in_memory(self) -> None:
        """Make a browser that runs no script forget the pages that it keeps in memory for going back.

        Where a script runs, the pages see to that themselves.  With a large cache this takes Chromium seconds.
        """
        if NO_SCRIPT_FIELD in self.form:
            self.cookies.append(("clear-site-data", '"cache"'))

    def redirect(self, address: str) -> Response:
        """Send the visitor on, with GET: what was posted is not posted again by going back or reloading."""
        return Response(status=303, headers=(("location", address),))

    def onward(self) -> Response:
        """Send the visitor to where the visit leads."""
        return self.redirect(self.next_address)

    @property
    def next_address(self) -> str:
        """Where the visit leads."""
        if self.return_to is None or self.return_to.address in PLACES:
            return self.link(self.return_to.address if self.return_to is not None else PLACES[0])
        return self.return_to.address

    def show(
        self,
        template: str,
        *,
        status: int = 200,
        headers: Iterable[Header] = (),
        session_id: str | None = None,
        **values: Any,
    ) -> Response:
        """A page.

        Args:
            template: its name.
            status: of the answer.
            headers: of this answer.
            session_id: of whoever has signed in, for the token of the forms.
            values: for the template.
        """
        appearance = self.site.appearance
        body = appearance.render(
            template,
            {
                "t": self.language,
                "languages": self._language_links(),
                "name": self.site.name,
                "asset": lambda asset: f"{self.up}{appearance.address_of(asset)}",
                "logo": appearance.logo,
                "theme": appearance.theme,
                "link": self.link,
                "next_address": self.next_address,
                "csrf_token": lambda: self.auth.csrf_token(session_id or _form(self.nonce)),
                "mistakes": None,
                **values,
            },
        )
        policy = ("content-security-policy", self._policy())
        return Response(status=status, headers=(*_HARDENING, policy, *headers), body=body.encode())

    def _language_links(self) -> list[dict[str, str]]:
        page = self.request.path.rpartition("/")[2]
        kept = {"notice": self.query["notice"]} if "notice" in self.query else {}
        if self.return_to is not None:
            kept["return_to"] = self.return_to.address
        return [
            {
                "code": code,
                "name": language("language_name"),
                "address": f"{page}?{urlencode({**kept, 'lang': code}, quote_via=quote)}",
            }
            for code, language in self.site.appearance.languages.items()
        ]

    def _policy(self) -> str:
        # A browser holds the redirect after a form to the same rule as the form.
        elsewhere = self.return_to.origin if self.return_to is not None else None
        return "; ".join(
            (
                "default-src 'none'",
                "style-src 'self'",
                "script-src 'self'",
                "img-src 'self'",
                "font-src 'self'",
                f"form-action 'self' {elsewhere}" if elsewhere else "form-action 'self'",
                "base-uri 'none'",
                "frame-ancestors 'none'",
                "require-trusted-types-for 'script'",
                "trusted-types 'none'",
            )
        )


def open_visit(site: Site, auth: Doorward, request: Request) -> Visit:
    """The visit that a request is, without its form; nothing is raised, so that every mistake has a page."""
    query = _read_query(request.query)
    return Visit(
        site=site,
        auth=auth,
        request=_as_call(request, None),
        query=query,
        form={},
        language=choose_language(query.get("lang"), request.headers.get("accept-language"), site.appearance.languages),
        return_to=parse_return_to(
            query.get("return_to"), pages=PLACES, origins=site.origins.union(auth.options.cors_origins)
        ),
        nonce="",
    )


def read_visit(visit: Visit) -> Visit:
    """The visit with its form.  The deployment has to be open.

    Raises:
        BodyTooLarge: over 64 KiB.
        InvalidRequest: the form is none.
    """
    auth, request = visit.auth, visit.request
    if request.too_large:
        raise BodyTooLarge
    form = read_form(request) if request.method == "POST" else {}
    nonce, brought = _nonce_of(auth, request)
    if nonce is None:
        nonce = encode(auth.deployment.entropy(_NONCE_BYTES))
        # For as long as the page may be open: whoever sends its form without the cookie has a browser that kept none.
        visit.cookies.append(keep_for(auth, request, FORM_COOKIE, Secret(nonce), None))
    call = _as_call(request, form.get(TOKEN_FIELD))
    return replace(visit, request=call, form=form, nonce=nonce, has_form_cookie=brought)


def _form(nonce: str) -> str:
    """What a form's token is made from; no session has such an id."""
    return f"form:{nonce}"


def _nonce_of(auth: Doorward, request: Request) -> tuple[str | None, bool]:
    """The nonce that the browser brought, if it can be used, and whether it brought any."""
    try:
        cookie = the_cookie(auth, request, FORM_COOKIE)
    except ConflictingCredentials:
        return None, True
    is_usable = cookie is not None and _NONCE.fullmatch(cookie.reveal()) is not None
    return (cookie.reveal() if cookie is not None and is_usable else None), cookie is not None


def _as_call(request: Request, token: str | None) -> Request:
    """The request as the API takes one: a form cannot write headers, so that its token stands in a field."""
    headers = {name: value for name, value in request.headers.items() if name not in {"authorization", "x-csrf-token"}}
    return replace(request, headers=headers | ({"x-csrf-token": token} if token is not None else {}))


def _read_query(text: str) -> dict[str, str]:
    """The parameters that are there once: a page is shown whatever its address has been given by others."""
    try:
        pairs = parse_qsl(text, errors="strict", max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        return {}
    names = [name for name, _ in pairs]
    return {name: value for name, value in pairs if names.count(name) == 1}
