"""Which cookies an answer sets and clears."""

from __future__ import annotations

from datetime import timedelta

from doorward.doorward import Doorward
from doorward.http.caller import is_https
from doorward.http.message import Header, Request
from doorward.secret import Secret
from doorward.sessions.model import Credentials, Session
from doorward.wire.cookies import REFRESH_COOKIE, SESSION_COOKIE, CookieKind, write_cookie, write_deletion


def cookies_of(auth: Doorward, request: Request, session: Session, credentials: Credentials) -> list[Header]:
    """What a session that travels by cookie is handed: its handle, or its refresh token."""
    if credentials.handle is not None:
        return [keep(auth, request, SESSION_COOKIE, credentials.handle, session)]
    if credentials.refresh_token is not None:
        return [keep(auth, request, REFRESH_COOKIE, credentials.refresh_token, session)]
    return []


def keep(auth: Doorward, request: Request, kind: CookieKind, value: Secret, session: Session) -> Header:
    """Set a cookie that lives as long as the session can, idle or not: what is over says why it is.

    Where the session is not remembered, the cookie is gone when the browser closes.
    """
    left = max(session.expires_at - auth.deployment.clock(), timedelta(0))
    return keep_for(auth, request, kind, value, left if session.remembered else None)


def keep_for(auth: Doorward, request: Request, kind: CookieKind, value: Secret, lives_for: timedelta | None) -> Header:
    """Set a cookie that lives so long; None: until the browser closes."""
    https = is_https(auth, request)
    prefix = auth.options.cookie_prefix
    line = write_cookie(kind, value, prefix=prefix, lives_for=lives_for, https=https, secure=_secure(auth))
    return "set-cookie", line


def clear_cookies(auth: Doorward, request: Request) -> list[Header]:
    """Make the browser forget both: where a session was ended on purpose and nowhere else.

    The late answer to a request that failed must not clear a newer cookie.
    """
    return [clear(auth, request, kind) for kind in (SESSION_COOKIE, REFRESH_COOKIE)]


def clear(auth: Doorward, request: Request, kind: CookieKind) -> Header:
    """Make the browser forget one cookie."""
    prefix, https = auth.options.cookie_prefix, is_https(auth, request)
    return "set-cookie", write_deletion(kind, prefix=prefix, https=https, secure=_secure(auth))


def _secure(auth: Doorward) -> bool:
    # On HTTPS it is said whatever the option.
    return not auth.options.insecure_cookies_over_http
