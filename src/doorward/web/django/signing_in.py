"""What ``django.contrib.auth.login`` and ``logout`` mean: a session of Doorward's starts, and ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest

from doorward.accounts.model import Account
from doorward.errors import ConfigurationError
from doorward.http.caller import all_cookies, check_csrf
from doorward.http.cookies import cookies_of
from doorward.http.message import Header
from doorward.http.server_rendered import NO_HANDLE, sign_out_by_form
from doorward.web.django import signals
from doorward.web.django.conf import deployment, run
from doorward.web.django.messages import request_of
from doorward.web.django.models import LinkedAccount

BACKEND = "doorward.web.django.backends.DoorwardBackend"
PROVED = "_doorward_proved"
"""Where a user keeps the account whose password was proved a moment ago."""

_HEADERS = "_doorward_headers"
_UNTIL_CLOSED = "_doorward_until_closed"


def start_session(*, request: HttpRequest | None, user: AbstractBaseUser, **_: object) -> None:
    """Receiver of ``user_logged_in``: whoever our backend authenticated has a session of ours from now on.

    Raises:
        ConfigurationError: the strategy gives no cookie that Django's pages could be read with.
        CsrfFailed: a foreign page may have sent what signs somebody in.
    """
    if request is None or getattr(user, "backend", None) != BACKEND:
        return
    auth = deployment()
    if auth.options.strategy != "session":
        raise ConfigurationError([NO_HANDLE])
    here, proved = request_of(request), getattr(user, PROVED, None)
    # Signing somebody in unawares is an attack too: what he then does, he does in the attacker's account.
    check_csrf(auth, here, token_of=None)
    account: Account = proved or run(lambda auth: auth.account(_account_of(user)))
    signed_in = run(
        lambda auth: auth.start_session(
            account,
            remember=not _ends_with_browser(request),
            origin=here.origin,
            # Whatever was in this browser before ends: somebody may have planted it (session fixation).
            sent_along=all_cookies(auth, here),
            methods=("pwd",) if proved is not None else (),
        )
    )
    session, credentials = signed_in.session, signed_in.credentials
    send_along(request, cookies_of(auth, here, session, credentials))
    # What ``set_expiry(0)`` after this turns them into.
    setattr(request, _UNTIL_CLOSED, cookies_of(auth, here, replace(session, remembered=False), credentials))
    principal = run(lambda auth: auth.authenticate(handle=credentials.handle))
    request.principal, request.doorward_refusal = principal, None  # type: ignore[attr-defined]  # ours, as the middleware's
    signals.signed_in.send(sender=None, request=request, account=account.id, session=session.id)


def _ends_with_browser(request: HttpRequest) -> bool:
    """Whether Django's session would end when the browser closes: by ``set_expiry``, else by the project's settings."""
    if hasattr(request, "session"):
        return bool(request.session.get_expire_at_browser_close())
    return bool(settings.SESSION_EXPIRE_AT_BROWSER_CLOSE)


def _account_of(user: AbstractBaseUser) -> str:
    return LinkedAccount.objects.get(user=user).account


def end_session(*, request: HttpRequest | None, **_: object) -> None:
    """Receiver of ``user_logged_out``: the session of the request ends, and its cookie is forgotten."""
    if request is None or not hasattr(request, "principal"):
        return
    here = request_of(request)
    session, headers = run(lambda auth: sign_out_by_form(auth, here))
    request.principal = None
    send_along(request, list(headers))
    if session is not None:
        signals.signed_out.send(sender=None, request=request, session=session)


def send_along(request: Any, headers: list[Header]) -> None:
    """Have the middleware send headers with the answer to this request; the last word counts."""
    setattr(request, _HEADERS, headers)
    setattr(request, _UNTIL_CLOSED, headers)


def sent_along(request: HttpRequest) -> list[Header]:
    """What is to be sent with the answer."""
    headers: list[Header] = getattr(request, _HEADERS, [])
    if headers and _ends_with_browser(request):
        headers = getattr(request, _UNTIL_CLOSED)
    return headers
