"""Which ways there are for a page of one origin to use Doorward at another one, and in which browsers they work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

from doorward.errors import ConfigurationError, Problem
from doorward.http.csrf import origin_of

Relation = Literal["same_origin", "same_site", "cross_site"]
Browser = Literal["chromium", "firefox", "safari"]
WayName = Literal["cookie", "token", "proxy"]

BROWSERS: tuple[Browser, ...] = ("chromium", "firefox", "safari")

RegistrableDomain = Callable[[str], str | None]
"""What of a host's name can be registered (``example.co.uk`` of ``app.example.co.uk``), or None: a public suffix."""

_SCHEMES = ("http", "https")
_DEVELOPMENT = (
    "for development on this machine: without DOORWARD_INSECURE_COOKIES_OVER_HTTP Safari keeps no cookie over HTTP"
)
_LOOSE_COOKIES = {"DOORWARD_INSECURE_COOKIES_OVER_HTTP": "on"}
_ANOTHER_SITE = (
    "the cookies are SameSite, and no browser keeps or sends such a cookie for a page of another site; without"
    " SameSite, Safari and Firefox would still block or partition it, and Chromium for whoever asked it to"
)
_PLAIN_HTTP = "no browser keeps a Secure cookie that comes over plain HTTP"
_MIXED = "a page over HTTPS may not call an API over plain HTTP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way of keeping somebody signed in on the page.

    Args:
        name: ``cookie``: a cookie of the API's origin; ``token``: tokens in the page's memory; ``proxy``: the page's
            own origin hands ``/v1`` on to the API.
        works_in: the browsers in which it works.
        because: why it does not work in the others, or what it costs.
        settings: of the server, by the names in the environment.
        client: the line that makes the browser client.
    """

    name: WayName
    works_in: tuple[Browser, ...]
    because: str
    settings: Mapping[str, str] = field(default_factory=dict)
    client: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """What there is to say about two origins.

    Args:
        app: of the page.
        api: of Doorward.
        relation: of the two.
        site: what they have in common where they are one site, or None.
        ways: the one to choose first.
    """

    app: str
    api: str
    relation: Relation
    site: str | None
    ways: tuple[Way, ...]


def decide_ways(app: str, api: str, *, registrable_domain: RegistrableDomain) -> Ways:
    """Decide which ways work between two origins.

    Args:
        app: the page's origin.
        api: the origin at which browsers reach Doorward.
        registrable_domain: by the public suffix list.

    Raises:
        ConfigurationError: one of them is no origin.
    """
    app, api = parse_origin(app, named="--app"), parse_origin(api, named="--api")
    site = _common_site(app, api, registrable_domain)
    relation: Relation = "same_origin" if app == api else "same_site" if site else "cross_site"
    cookie, token, proxy = _cookie(app, api, relation), _token(app, api), _proxy(app)
    ways = [cookie, proxy] if relation == "same_origin" else [cookie, token, proxy]
    # What works in most browsers comes first; of equals, the one that a reload does not sign out.
    order = ("cookie", "proxy", "token")
    ways.sort(key=lambda way: (-len(way.works_in), order.index(way.name)))
    if relation == "same_origin" and cookie.works_in:
        ways = [cookie]
    return Ways(app=app, api=api, relation=relation, site=site, ways=tuple(ways))


def parse_origin(text: str, *, named: str) -> str:
    """An origin as browsers write it.  Raises ConfigurationError, naming the flag."""
    try:
        parts = urlsplit(text.strip())
        is_origin = parts.scheme in _SCHEMES and parts.hostname and parts.path in {"", "/"}
        # Reading the port checks it.
        if is_origin and not (parts.query or parts.fragment or parts.username) and parts.port != 0:
            return origin_of(parts.scheme, parts.netloc)
    except ValueError:
        pass
    remedy = "Give scheme, host and port, such as https://app.example.com."
    raise ConfigurationError([Problem(id="DW075", message=f"{named} is no origin.", remedy=remedy)])


def _common_site(app: str, api: str, registrable_domain: RegistrableDomain) -> str | None:
    """The site that both are of; scheme and all, since browsers count http and https as two."""
    page, server = urlsplit(app), urlsplit(api)
    if page.scheme != server.scheme:
        return None
    if page.hostname == server.hostname:
        return page.hostname
    if _is_address(page.hostname or "") or _is_address(server.hostname or ""):
        return None
    mine, theirs = registrable_domain(page.hostname or ""), registrable_domain(server.hostname or "")
    return mine if mine == theirs else None


def _cookie(app: str, api: str, relation: Relation) -> Way:
    listed = {} if relation == "same_origin" else {"DOORWARD_CORS_ORIGINS": app}
    settings = {"DOORWARD_ISSUER": api, **listed, **_loose_cookies(api)}
    works_in, because = _cookie_works_in(app, api, relation)
    base = "" if relation == "same_origin" else f'{{ base: "{api}" }}'
    return Way(name="cookie", works_in=works_in, because=because, settings=settings, client=f"createClient({base})")


def _cookie_works_in(app: str, api: str, relation: Relation) -> tuple[tuple[Browser, ...], str]:
    if _is_mixed(app, api):
        return (), _MIXED
    if relation == "cross_site":
        return (), _ANOTHER_SITE
    if api.startswith("https://"):
        return BROWSERS, "a reload keeps the session, and no script can read the refresh token"
    if is_loopback_origin(api):
        return BROWSERS, _DEVELOPMENT
    return (), _PLAIN_HTTP


def _token(app: str, api: str) -> Way:
    mixed = _is_mixed(app, api)
    return Way(
        name="token",
        works_in=() if mixed else BROWSERS,
        because=_MIXED if mixed else "tokens are in the page's memory alone: a reload or another tab has to sign in",
        settings={"DOORWARD_ISSUER": api, "DOORWARD_CORS_ORIGINS": app},
        client=f'createClient({{ base: "{api}", carrier: "token" }})',
    )


def _proxy(app: str) -> Way:
    works_in, because = _cookie_works_in(app, app, "same_origin")
    what = "the web server of the page hands /v1/ and /.well-known/ on to Doorward: then there is one origin"
    return Way(
        name="proxy",
        works_in=works_in,
        because=what if app.startswith("https://") else f"{what}; {because}",
        settings={"DOORWARD_ISSUER": app, **_loose_cookies(app)},
        client="createClient()",
    )


def _loose_cookies(origin: str) -> Mapping[str, str]:
    return _LOOSE_COOKIES if origin.startswith("http://") and is_loopback_origin(origin) else {}


def _is_mixed(app: str, api: str) -> bool:
    return app.startswith("https://") and api.startswith("http://") and not is_loopback_origin(api)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback_origin(origin: str) -> bool:
    """Whether an origin is this machine."""
    try:
        host = urlsplit(origin).hostname or ""
    except ValueError:
        # Made of a Host header that names no host.
        return False
    return host == "localhost" or host.endswith(".localhost") or (_is_address(host) and ip_address(host).is_loopback)
