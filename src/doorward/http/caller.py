"""Who makes a request: the credential is read, checked, and checked against forgery by foreign pages.

The framework adapters ask ``authenticate_request`` for the routes of the application too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from doorward.audit.model import Actor
from doorward.doorward import Doorward
from doorward.errors import (
    ConflictingCredentials,
    CsrfFailed,
    InvalidToken,
    NotAuthenticated,
    RateLimited,
    Refusal,
    SessionEnded,
)
from doorward.http.csrf import SAFE_METHODS, decide_csrf, method_behind, origin_of
from doorward.http.errors import InvalidClient
from doorward.http.message import Request
from doorward.limits import CredentialKind
from doorward.principal import Principal
from doorward.secret import Secret
from doorward.sessions.recognition import recognise_handle, recognise_token
from doorward.wire.bearer import parse_authorization, parse_client_credentials
from doorward.wire.cookies import REFRESH_COOKIE, SESSION_COOKIE, CookieKind, read_cookies
from doorward.wire.verifier_credential import PREFIX as VERIFIER_PREFIX

_BEARER = frozenset({"Bearer ", "bearer "})

ADMIN_ROLE = "admin"
ADMIN_KEY_ACTOR = "admin-key"
"""What the audit trail calls whoever holds the admin key."""


def is_https(auth: Doorward, request: Request) -> bool:
    """Whether the client reaches us over HTTPS: by this hop, or by a proxy that the issuer's address tells of."""
    return is_https_by(auth, request.scheme)


def is_https_by(auth: Doorward, scheme: str) -> bool:
    """As ``is_https``, of a request that came by this scheme."""
    return scheme == "https" or auth.options.issuer.startswith("https://")


def all_cookies(auth: Doorward, request: Request) -> list[Secret]:
    """The values of all our cookies, however many: only for what ends sessions, never for what opens them."""
    return [*_values(auth, request, SESSION_COOKIE), *_values(auth, request, REFRESH_COOKIE)]


def the_cookie(auth: Doorward, request: Request, kind: CookieKind) -> Secret | None:
    """The value of one of our cookies, or None.

    Raises:
        ConflictingCredentials: there are several; one of them may have been planted.
    """
    values = _values(auth, request, kind)
    if len(values) > 1:
        raise ConflictingCredentials(f"several cookies are called {auth.options.cookie_prefix}_{kind.name}")
    return values[0] if values else None


def _values(auth: Doorward, request: Request, kind: CookieKind) -> list[Secret]:
    header = request.headers.get("cookie")
    if not header:
        return []
    return read_cookies(header, kind, prefix=auth.options.cookie_prefix, https=is_https(auth, request))


def recognise_bearer(auth: Doorward, authorization: str, cookie: str | None) -> Principal | None:
    """Who makes a request with an ``Authorization`` header, if that can be told from memory alone.

    That is so nearly always, and takes a fraction of the time.  Nobody is refused here, and nobody let in whom
    ``authenticate_request`` would refuse: what is not the plainest case of its rules gives None, and it tells.

    Args:
        auth: the deployment, open or not.
        authorization: that header; several joined.
        cookie: likewise, or None.
    """
    deployment = auth.opened
    # A cookie of ours beside it has to be of the same session.
    if deployment is None or authorization[:7] not in _BEARER:
        return None
    if cookie is not None and deployment.session_cookies[False] in cookie:
        return None
    return recognise_token(deployment, authorization[7:])


def recognise_cookie(auth: Doorward, cookie: str, method: str, scheme: str) -> Principal | None:
    """The same of a request without that header.

    Args:
        auth: the deployment, open or not.
        cookie: the ``Cookie`` header; several joined.
        method: in capitals.
        scheme: ``http`` or ``https``.
    """
    deployment = auth.opened
    # Any other method may change something, and then the cookie alone is not enough.
    if deployment is None or method not in SAFE_METHODS:
        return None
    https = is_https_by(auth, scheme)
    alone = deployment.session_cookies[https]
    if cookie.startswith(alone) and ";" not in cookie:
        return recognise_handle(deployment, cookie[len(alone) :])
    values = read_cookies(cookie, SESSION_COOKIE, prefix=deployment.options.cookie_prefix, https=https)
    return recognise_handle(deployment, values[0].reveal()) if len(values) == 1 else None


async def authenticate_request(auth: Doorward, request: Request) -> Principal:
    """Tell who makes a request, whichever way the session is carried.

    Raises:
        NotAuthenticated: there is no credential, or a cookie that was never ours.
        InvalidToken: the access token is not valid.
        SessionEnded: the session is over; says why.
        ConflictingCredentials: cookie and access token are of different sessions.
        CsrfFailed: a cookie authenticates a state change that a foreign page may have sent.
    """
    bearer = parse_authorization(request.headers.get("authorization"))
    handle = the_cookie(auth, request, SESSION_COOKIE)
    if bearer is not None:
        principal = await auth.authenticate(bearer=bearer)
        if handle is not None:
            await _refuse_another_session(auth, handle, principal)
        # No page can make a browser send this header: exempt from the CSRF check.
        return principal
    if handle is None:
        raise NotAuthenticated
    principal = await auth.authenticate(handle=handle)
    check_csrf(auth, request, token_of=principal.session_id)
    return principal


async def authenticate_optional_request(auth: Doorward, request: Request) -> Principal | None:
    """Return the principal of a request, or None where the request carries no credential.

    Raises:
        Refusal: as ``authenticate_request``, for a credential that is there and is not accepted.
    """
    try:
        return await authenticate_request(auth, request)
    except NotAuthenticated:
        return None


async def authenticate_proxied_request(auth: Doorward, request: Request) -> Principal:
    """Tell who made the request that a reverse proxy asks about.

    Raises:
        Refusal: as ``authenticate_request``, but that proxies know 401 and 403 and nothing else: two credentials that
            contradict each other are as good as none.
    """
    try:
        return await authenticate_request(auth, replace(request, method=method_behind(request.headers)))
    except ConflictingCredentials as refused:
        raise NotAuthenticated(refused.detail) from None


async def _refuse_another_session(auth: Doorward, handle: Secret, principal: Principal) -> None:
    try:
        other = await auth.authenticate(handle=handle)
    except Refusal:
        return  # a cookie that opens nothing contradicts nothing
    if other.session_id != principal.session_id:
        raise ConflictingCredentials


async def authenticate_admin_request(auth: Doorward, request: Request) -> Actor:
    """Tell who administers: the admin key, or an account with the role ``admin``.

    Raises:
        NotPermitted: an account without the role; else as ``authenticate_request``.
        RateLimited: a wrong key, and too many of them from this address.
    """
    async with _counted(auth, request, "admin"):
        return await _authenticate_admin(auth, request)


async def _authenticate_admin(auth: Doorward, request: Request) -> Actor:
    bearer = parse_authorization(request.headers.get("authorization"))
    if bearer is not None and _is_admin_key(auth, request, bearer):
        return Actor(name=ADMIN_KEY_ACTOR, origin=request.origin)
    principal = await authenticate_request(auth, request)
    principal.require(roles={ADMIN_ROLE})
    return Actor(name=principal.subject, origin=request.origin)


def _is_admin_key(auth: Doorward, request: Request, bearer: Secret) -> bool:
    """Whether it is the admin key.

    Where too many keys from this address were refused it is not asked, or there would be no limit on guessing.  Access
    tokens and verifiers' credentials, which nobody can guess, go on working from there.
    """
    try:
        auth.deployment.limits.before_admin_key(request.origin)
    except RateLimited:
        return False
    return auth.is_admin_key(bearer)


def _is_access_token(authorization: str) -> bool:
    return authorization[7:].startswith("eyJ") and authorization.count(".") == 2


@asynccontextmanager
async def _counted(auth: Doorward, request: Request, kind: CredentialKind) -> AsyncIterator[None]:
    """Count keys and credentials that are refused.

    An access token is not counted: nobody can guess one, and a page that polls with one that has expired is to be told
    so.
    """
    try:
        yield
    except (InvalidToken, InvalidClient):
        if _is_access_token(request.headers.get("authorization", "")):
            raise
        await auth.record_refused_credential(kind, origin=request.origin)
        raise


def check_csrf(auth: Doorward, request: Request, *, token_of: str | None) -> None:
    """Refuse a state change that a foreign page may have sent.

    Args:
        auth: the deployment.
        request: the call.
        token_of: what the CSRF token is made from where it matters: the id of the session whose cookie authenticates
            the call, or what a form was made for; None where no cookie does (signing in and up through the API).

    Raises:
        CsrfFailed: names the check.
    """
    headers = request.headers
    token = headers.get("x-csrf-token")
    failed = decide_csrf(
        method=request.method,
        sec_fetch_site=headers.get("sec-fetch-site"),
        origin=headers.get("origin"),
        own_origins=_own_origins(auth, request),
        allowed_origins=auth.options.cors_origins,
        cookie_call=token_of is not None,
        has_csrf_token=lambda: token_of is not None and token is not None and auth.is_csrf_token(token_of, token),
    )
    if failed is not None:
        raise CsrfFailed(failed)


def _own_origins(auth: Doorward, request: Request) -> tuple[str, str]:
    issuer = urlsplit(auth.options.issuer)
    # Where clients come over HTTPS, a page of the same host over plain HTTP is a foreign one.
    scheme = "https" if is_https(auth, request) else "http"
    return origin_of(issuer.scheme, issuer.netloc), origin_of(scheme, request.host)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaver:
    """Who signs out, and of which session.

    Args:
        session_id: what ends.
        subject: whose it is, or None where only the refresh cookie says so.
        refused: why the credential before it was not taken, or None.
    """

    session_id: str
    subject: str | None = None
    refused: Refusal | None = None


async def authenticate_leaver(auth: Doorward, request: Request) -> Leaver:
    """Tell who signs out.

    In the hybrid the access token may be dead while the refresh cookie lives: it is proof enough to end its own
    session, and not being able to sign out would leave a session open behind somebody's back.

    Raises:
        Refusal: as ``authenticate_request``.
    """
    try:
        principal = await authenticate_request(auth, request)
    except (NotAuthenticated, InvalidToken, SessionEnded) as refused:
        session_id = await session_of_refresh_cookie(auth, request)
        if session_id is None:
            raise
        check_csrf(auth, request, token_of=session_id)
        return Leaver(session_id=session_id, refused=refused)
    return Leaver(session_id=principal.session_id, subject=principal.subject)


async def session_of_refresh_cookie(auth: Doorward, request: Request) -> str | None:
    """The id of the session that the refresh cookie is of, or None.  Raises ConflictingCredentials."""
    token = the_cookie(auth, request, REFRESH_COOKIE)
    return await auth.session_of_refresh_token(token) if token is not None else None


async def authenticate_verifier_request(auth: Doorward, request: Request) -> str | None:
    """Tell which verifier asks: the id of its credential, or None for the admin key.

    Raises:
        NotAuthenticated: there is no credential.
        InvalidToken: it is neither; the same whatever is wrong with it.
        RateLimited: it is neither, and there were too many from this address.
    """
    async with _counted(auth, request, "verifier"):
        bearer = parse_authorization(request.headers.get("authorization"))
        if bearer is None:
            raise NotAuthenticated
        if _is_admin_key(auth, request, bearer):
            return None
        return (await auth.authenticate_verifier(bearer)).id


async def authenticate_introspector(auth: Doorward, request: Request) -> Actor:
    """Tell who asks about tokens: by the ``Authorization`` header alone, since no page has a reason to.

    Raises:
        InvalidClient: whatever is wrong with it.
        RateLimited: it is wrong, and too many from this address were.

    RFC 7662 section 2.1.
    """
    if request.headers.get("authorization") is None:
        raise InvalidClient
    async with _counted(auth, request, "introspection"):
        return await _authenticate_introspector(auth, request)


async def _authenticate_introspector(auth: Doorward, request: Request) -> Actor:
    header = request.headers.get("authorization")
    try:
        basic = parse_client_credentials(header)
        if basic is not None:
            name, secret = basic
            verifier = await auth.authenticate_verifier(secret)
            if verifier.name != name:
                raise InvalidClient("the credential is another verifier's")
            return Actor(name=f"verifier:{verifier.name}", origin=request.origin)
        bearer = parse_authorization(header)
        if bearer is None:
            raise InvalidClient
        if bearer.reveal().startswith(VERIFIER_PREFIX):
            verifier = await auth.authenticate_verifier(bearer)
            return Actor(name=f"verifier:{verifier.name}", origin=request.origin)
        return await _authenticate_admin(auth, request)
    except Refusal as refused:
        raise InvalidClient(refused.code) from None
