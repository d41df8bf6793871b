"""Who visits.  A page takes the cookie that carries the session, whichever that is, and asks what the API asks."""

from __future__ import annotations

from doorward.errors import InvalidGrant, InvalidToken, NotAuthenticated, Refusal, SessionEnded
from doorward.http.caller import Leaver, authenticate_leaver, authenticate_request, check_csrf, the_cookie
from doorward.http.cookies import clear, cookies_of, keep_for
from doorward.pages.visit import Visit
from doorward.principal import Carrier, Principal
from doorward.secret import Secret
from doorward.sessions.flow import verify_token
from doorward.sessions.model import SignedIn
from doorward.sessions.rules import CARRIERS
from doorward.wire.cookies import PAGE_COOKIE, REFRESH_COOKIE

SIGNED_OUT = (NotAuthenticated, InvalidToken, SessionEnded, InvalidGrant)
"""What says that nobody is signed in, or nobody any more."""


async def authenticate(visit: Visit) -> Principal:
    """Tell who visits.

    Raises:
        Refusal: one of ``SIGNED_OUT``; CsrfFailed; RateLimited.
        Unavailable: the refresh token cannot be answered yet.
    """
    refused: Refusal = NotAuthenticated()
    for way in (_by_session_cookie, _by_refresh_cookie, _by_page_cookie):
        try:
            return await way(visit)
        except SIGNED_OUT as error:
            # After a change of the strategy an old cookie may lie beside the one that counts.
            refused = refused if isinstance(error, NotAuthenticated) else error
    raise refused


async def _by_session_cookie(visit: Visit) -> Principal:
    return await authenticate_request(visit.auth, visit.request)


async def _by_refresh_cookie(visit: Visit) -> Principal:
    """The hybrid: the page refreshes as a script of the application does, and keeps what it gets."""
    auth, request = visit.auth, visit.request
    token = the_cookie(auth, request, REFRESH_COOKIE)
    session_id = await auth.session_of_refresh_token(token) if token is not None else None
    if token is None or session_id is None:
        raise NotAuthenticated
    check_csrf(auth, request, token_of=session_id)
    refreshed = await auth.refresh(token, origin=request.origin)
    if not refreshed.unchanged:
        visit.cookies.extend(cookies_of(auth, request, refreshed.session, refreshed.credentials))
    access = refreshed.credentials.access_token
    if access is None:
        raise TypeError("a session that is refreshed has an access token")
    # Not by auth.authenticate: it would note the new generation as seen, and this answer can still be lost on its way.
    # Its browser would then come with the old token and be taken for a thief.
    return verify_token(auth.deployment, access.text).principal


async def _by_page_cookie(visit: Visit) -> Principal:
    """The strategy ``jwt``: the access token itself, in a cookie of the pages."""
    token = the_cookie(visit.auth, visit.request, PAGE_COOKIE)
    if token is None:
        raise NotAuthenticated
    principal = await visit.auth.authenticate(bearer=token)
    check_csrf(visit.auth, visit.request, token_of=principal.session_id)
    return principal


async def authenticate_leaving(visit: Visit) -> Leaver:
    """Tell who signs out; nothing is rotated for that.  Raises as ``authenticate``."""
    try:
        return await authenticate_leaver(visit.auth, visit.request)
    except SIGNED_OUT:
        principal = await _by_page_cookie(visit)
        return Leaver(session_id=principal.session_id, subject=principal.subject)


def carrier_of(visit: Visit) -> Carrier:
    """How a session travels that is started at a page: by cookie, where the strategy has that."""
    carriers = CARRIERS[visit.auth.options.strategy]
    return "cookie" if "cookie" in carriers else carriers[0]


def may_remember(visit: Visit) -> bool:
    """Whether a session that is started at a page can outlive the browser's window; an access token alone cannot."""
    return carrier_of(visit) == "cookie"


def remember(visit: Visit, signed_in: SignedIn) -> None:
    """Hand the browser what it is recognised by from now on."""
    session, credentials = signed_in.session, signed_in.credentials
    if session.carrier == "cookie":
        visit.cookies.extend(cookies_of(visit.auth, visit.request, session, credentials))
    elif credentials.access_token is not None:
        # It is good for as long as the access token, and not remembered any longer than the browser's window.
        visit.cookies.append(keep_for(visit.auth, visit.request, PAGE_COOKIE, credentials.access_token.text, None))


def page_token(visit: Visit) -> Secret | None:
    """The access token in the pages' own cookie, or None."""
    return the_cookie(visit.auth, visit.request, PAGE_COOKIE)


def forget(visit: Visit) -> None:
    """Make the browser forget the pages' own cookie, if it has one; the API's own see to theirs."""
    if page_token(visit) is not None:
        visit.cookies.append(clear(visit.auth, visit.request, PAGE_COOKIE))
