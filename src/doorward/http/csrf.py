"""Whether a state change may come from a foreign page (cross-site request forgery)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Literal

CsrfCheck = Literal["sec_fetch_site", "origin", "csrf_token"]

_TOLD_BY_PROXIES = ("x-forwarded-method", "x-original-method")

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def decide_csrf(
    *,
    method: str,
    sec_fetch_site: str | None,
    origin: str | None,
    own_origins: Collection[str],
    allowed_origins: Collection[str],
    cookie_call: bool,
    has_csrf_token: Callable[[], bool],
) -> CsrfCheck | None:
    """Decide whether a call may come from a foreign page; the check that failed, or None if it passes.

    The browser's own word comes first, since pages cannot write these two headers: ``Sec-Fetch-Site``, then
    ``Origin``.  Where neither is sent it is an old browser or no browser; only the former can be made to send a
    cookie, so a call by cookie then needs a token that foreign pages cannot read.

    Args:
        method: of the call.
        sec_fetch_site: that header, or None.
        origin: that header, or None.
        own_origins: what pages of this deployment have as their origin.
        allowed_origins: pages elsewhere that may call with credentials.
        cookie_call: whether a cookie is what authenticates the call.
        has_csrf_token: whether ``X-CSRF-Token`` holds the token of the cookie's session; asked only if it matters.
    """
    if method in SAFE_METHODS:
        return None
    if sec_fetch_site is not None:
        passes = sec_fetch_site in {"same-origin", "none"} or (
            sec_fetch_site in {"same-site", "cross-site"} and origin in allowed_origins
        )
        return None if passes else "sec_fetch_site"
    if origin is not None:
        # "null" is the origin of sandboxed frames and data: pages; anybody can have it.
        return None if origin != "null" and (origin in own_origins or origin in allowed_origins) else "origin"
    if not cookie_call or has_csrf_token():
        return None
    return "csrf_token"


def method_behind(headers: Mapping[str, str]) -> str:
    """Decide by which method to judge the request that a proxy asks about: the question itself is always a GET.

    No page can write these headers, so it does not matter whether the proxy or the client did; where none says it, or
    two say different things, the request may change something.  So does opening a websocket, whose handshake is a GET
    that any page can have sent with cookies.
    """
    if "sec-websocket-key" in headers or headers.get("sec-fetch-mode") == "websocket":
        return "WEBSOCKET"
    told = {headers[name] for name in _TOLD_BY_PROXIES if name in headers}
    if not told and headers.keys().isdisjoint(("origin", "sec-fetch-site")):
        # No browser changes anything without one of the two: it is a plain GET, or no browser's.
        return "GET"
    return told.pop() if len(told) == 1 else "UNKNOWN"


def origin_of(scheme: str, host: str) -> str:
    """Scheme, host and port as browsers write them in ``Origin``: small letters, without the scheme's own port."""
    return f"{scheme}://{host.lower().removesuffix(_DEFAULT_PORTS.get(scheme, ''))}"
