"""Signing in and out from a page that the application renders itself: a form's fields in, cookies out."""

from __future__ import annotations

from collections.abc import Sequence

from doorward.audit.model import Actor
from doorward.doorward import Doorward
from doorward.errors import ConfigurationError, CsrfFailed, Problem, Refusal
from doorward.http.caller import all_cookies, authenticate_leaver, check_csrf
from doorward.http.cookies import clear_cookies, cookies_of
from doorward.http.message import Header, Request
from doorward.http.proxies import watch
from doorward.secret import Secret
from doorward.sessions.model import SignedIn

NO_HANDLE = Problem(
    id="DW101",
    message="Pages that a server renders are read with a cookie alone, which only the strategy session gives.",
    remedy='Use strategy="session", or let scripts sign in with POST /v1/sessions.',
)


async def sign_in_by_form(
    auth: Doorward, request: Request, *, email: str, password: Secret, label: str | None = None, remember: bool = False
) -> tuple[SignedIn, Sequence[Header]]:
    """Start a session for whoever filled in a form; the headers go with the answer.

    Raises:
        ConfigurationError: the strategy gives no cookie that a page could be read with.
        CsrfFailed: a foreign page may have sent the form.
        DoorwardError: as ``Doorward.sign_in``.
    """
    if auth.options.strategy != "session":
        raise ConfigurationError([NO_HANDLE])
    check_csrf(auth, request, token_of=None)
    watch.notice(request)
    signed_in = await auth.sign_in(
        email=email,
        password=password,
        carrier="cookie",
        label=label,
        remember=remember,
        origin=request.origin,
        # Whatever was in this browser before ends: somebody may have planted it (session fixation).
        sent_along=all_cookies(auth, request),
    )
    return signed_in, cookies_of(auth, request, signed_in.session, signed_in.credentials)


async def sign_out_by_form(auth: Doorward, request: Request) -> tuple[str | None, Sequence[Header]]:
    """End the session of a request, if there is one; the headers make the browser forget it.

    Returns:
        The id of the session that was ended, or None where there was none to end.

    Raises:
        CsrfFailed: a foreign page may have asked for it.
    """
    headers = clear_cookies(auth, request)
    try:
        leaver = await authenticate_leaver(auth, request)
        actor = Actor(name=leaver.subject, origin=request.origin)
        await auth.end_session(leaver.session_id, account_id=leaver.subject, actor=actor)
    except CsrfFailed:
        raise
    except Refusal:
        return None, headers
    return leaver.session_id, headers
