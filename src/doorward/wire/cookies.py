"""Our cookies, and the ``Cookie`` header that brings them back (RFC 6265)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from doorward.secret import Secret

LONGEST_COOKIE_HEADER = 64 * 1024
"""Other applications on the host have their cookies too; beyond this it is no browser."""

DEFAULT_PREFIX = "doorward"
HOST_PREFIX = "__Host-"

SameSite = Literal["Lax", "Strict"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CookieKind:
    """One of our cookies.

    Args:
        name: what it is for; on the wire it stands behind the deployment's prefix.
        same_site: whether it goes along when a link on a foreign page is followed (Lax) or not (Strict).
    """

    name: str
    same_site: SameSite

    def name_on(self, *, prefix: str, https: bool) -> str:
        """The name on the wire: ``doorward_session``, or with another prefix where an application shares its host.

        ``__Host-`` binds it to this host, ``/`` and HTTPS: no sibling domain and no attacker on plain HTTP can plant
        one.  Browsers take the prefix over HTTPS alone, so plain HTTP goes without, and there is one name on each.
        """
        return f"{HOST_PREFIX if https else ''}{prefix}_{self.name}"


SESSION_COOKIE = CookieKind(name="session", same_site="Lax")
REFRESH_COOKIE = CookieKind(name="refresh", same_site="Strict")
"""Sent by scripts of our own site to one endpoint: no navigation needs it."""


FORM_COOKIE = CookieKind(name="form", same_site="Lax")
"""Tells one visitor of the hosted pages from another before anybody has signed in; it authenticates nobody."""
PAGE_COOKIE = CookieKind(name="page", same_site="Strict")
"""The access token of whoever signed in at a hosted page where no other cookie carries sessions; no API takes it."""


def write_cookie(
    kind: CookieKind, value: Secret, *, prefix: str, lives_for: timedelta | None, https: bool, secure: bool
) -> str:
    """A ``Set-Cookie`` value that keeps a credential.

    Args:
        kind: which cookie.
        value: the credential.
        prefix: of the deployment's cookies.
        lives_for: how long the browser keeps it; None: until it closes.
        https: whether the client reaches us over HTTPS.
        secure: whether to say ``Secure``; browsers take it on loopback without HTTPS too, but for Safari.
    """
    seconds = max(int(lives_for.total_seconds()), 0) if lives_for is not None else None
    return _line(
        kind.name_on(prefix=prefix, https=https), value.reveal(), kind, max_age=seconds, https=https, secure=secure
    )


def write_deletion(kind: CookieKind, *, prefix: str, https: bool, secure: bool) -> str:
    """A ``Set-Cookie`` value that makes the browser forget; it must name the cookie by the same attributes."""
    return _line(kind.name_on(prefix=prefix, https=https), "", kind, max_age=0, https=https, secure=secure)


def _line(name: str, value: str, kind: CookieKind, *, max_age: int | None, https: bool, secure: bool) -> str:
    flags = "HttpOnly; Secure" if secure or https else "HttpOnly"
    age = f"Max-Age={max_age}; " if max_age is not None else ""
    return f"{name}={value}; Path=/; {age}{flags}; SameSite={kind.same_site}"


def read_cookies(header: str | None, kind: CookieKind, *, prefix: str, https: bool) -> list[Secret]:
    """The different values that a ``Cookie`` header gives one of our cookies, in their order.

    More than one is somebody's attempt to plant a cookie beside ours (cookie tossing): the order says nothing about
    which is whose, so the caller refuses instead of picking.
    """
    name = kind.name_on(prefix=prefix, https=https)
    if header is None or name not in header or len(header) > LONGEST_COOKIE_HEADER:
        return []
    found: dict[str, None] = {}
    for pair in header.split(";"):
        key, separator, value = pair.strip(" \t").partition("=")
        # Names are compared exactly: browsers tell "__host-" from "__Host-", and only the latter is protected.
        if separator and key == name:
            found[value] = None
    return [Secret(value) for value in found]
