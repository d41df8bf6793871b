"""What ``django.contrib.auth.login`` and ``logout`` mean: a session of Doorward's starts, and ends."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, load_backend
from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest

from doorward.accounts.model import Account
from doorward.audit.model import Actor
from doorward.errors import ConfigurationError, NotFound, NotPermitted, Problem, ValidationFailed
from doorward.http.caller import all_cookies, check_csrf
from doorward.http.cookies import cookies_of
from doorward.http.message import Header, Request
from doorward.http.server_rendered import NO_HANDLE, sign_out_by_form
from doorward.sessions.model import SignedIn
from doorward.web.django import signals, test_client
from doorward.web.django.caller import Caller, MiddlewareMissing, caller_of
from doorward.web.django.conf import deployment, run
from doorward.web.django.messages import request_of
from doorward.web.django.models import LinkedAccount

BACKEND = "doorward.web.django.backends.DoorwardBackend"
PROVED = "_doorward_proved"
"""Where a user keeps the account whose password was proved a moment ago."""

current: ContextVar[HttpRequest | None] = ContextVar("doorward_request", default=None)
"""The request that is being answered."""


def start_session(*, request: HttpRequest | None, user: Any, **_: object) -> None:
    """Receiver of ``user_logged_in``: whoever signs in by our backend has a session of ours from now on.

    A user that has no account yet, such as one that a view has just made, gets one.

    Raises:
        ConfigurationError: the strategy gives no cookie that Django's pages could be read with, no middleware would
            send it, or the user has no e-mail address to open an account with.
        CsrfFailed: a foreign page may have sent what signs somebody in.
        EmailTaken: the user has no account, and the address has one.
        NotPermitted: the user is not active, or the account is disabled.
    """
    if request is None or not _is_ours(request, user):
        return
    auth, is_bare, caller = deployment(), test_client.is_bare(request), caller_of(request)
    if not is_bare:
        if auth.options.strategy != "session":
            raise ConfigurationError([NO_HANDLE])
        if caller is None or not caller.passed_middleware:
            raise MiddlewareMissing
    here, proved = request_of(request), getattr(user, PROVED, None)
    if not is_bare:
        # Signing somebody in unawares is an attack too: what he then does, he does in the attacker's account.
        check_csrf(auth, here, token_of=None)
    if not user.is_active:
        raise NotPermitted("the user is not active")
    signed_in = _start(request, here, proved or _account_of(user), methods=("pwd",) if proved is not None else ())
    if caller is None:
        test_client.remember(request, signed_in)
        return
    session, credentials = signed_in.session, signed_in.credentials
    caller.headers = cookies_of(auth, here, session, credentials)
    # What ``set_expiry(0)`` after this turns them into.
    caller.headers_until_closed = cookies_of(auth, here, replace(session, remembered=False), credentials)
    caller.becomes(run(lambda auth: auth.authenticate(handle=credentials.handle)))
    caller.is_checked = True
    signals.signed_in.send(sender=None, request=request, account=signed_in.account.id, session=signed_in.session.id)


def _is_ours(request: Any, user: Any) -> bool:
    """Whether somebody signs in by our backend or one that is derived from it: Django notes which in its session."""
    from doorward.web.django.backends import DoorwardBackend

    session = getattr(request, "session", None)
    path = session.get(BACKEND_SESSION_KEY) if session is not None else getattr(user, "backend", None)
    return path is not None and isinstance(load_backend(path), DoorwardBackend)


def _start(request: HttpRequest, here: Request, account: Account, *, methods: tuple[str, ...]) -> SignedIn:
    return run(
        lambda auth: auth.start_session(
            account,
            remember=not _ends_with_browser(request),
            origin=here.origin,
            # Whatever was in this browser before ends: somebody may have planted it (session fixation).
            sent_along=all_cookies(auth, here),
            methods=methods,
        )
    )


def _ends_with_browser(request: HttpRequest) -> bool:
    """Whether Django's session would end when the browser closes: by ``set_expiry``, else by the project's settings."""
    if hasattr(request, "session"):
        return bool(request.session.get_expire_at_browser_close())
    return bool(settings.SESSION_EXPIRE_AT_BROWSER_CLOSE)


def _account_of(user: AbstractBaseUser) -> Account:
    from doorward.web.django.linking import email_of, open_account

    link = LinkedAccount.objects.filter(user=user).first()
    if link is None:
        try:
            link = open_account(user, needs_password=False)
        except ValidationFailed as error:
            if email_of(user):
                raise
            raise ConfigurationError([_no_email(user)]) from error
    account = link.account
    try:
        return run(lambda auth: auth.account(account))
    except NotFound as error:
        raise ConfigurationError([_no_account(user)]) from error


def _no_email(user: AbstractBaseUser) -> Problem:
    return Problem(
        id="DW111",
        message=f"login() was called for user {user.pk}, who has no account and no e-mail address to open one with.",
        remedy="Save an e-mail address before, or link an account: manage.py doorward_link EMAIL USERNAME.",
    )


def _no_account(user: AbstractBaseUser) -> Problem:
    return Problem(
        id="DW112",
        message=f"login() was called for user {user.pk}, whose account is not in Doorward's database.",
        remedy="Check DOORWARD['DATABASE']: the user was linked to an account of another database.",
    )


def _end(signed_in: SignedIn) -> None:
    session_id, account = signed_in.session.id, signed_in.account.id
    try:
        run(lambda auth: auth.end_session(session_id, account_id=account, actor=Actor(name=account)))
    except NotFound:
        return  # it has ended already, which is what is wanted


def end_session(*, request: HttpRequest | None, **_: object) -> None:
    """Receiver of ``user_logged_out``: the session of the request ends, and its cookie is forgotten."""
    if request is None:
        return
    by_test_client = test_client.session_of(request)
    if by_test_client is not None:
        _end(by_test_client)
    caller = caller_of(request)
    if caller is None:
        return
    here = request_of(request)
    session, headers = run(lambda auth: sign_out_by_form(auth, here))
    caller.becomes(None)
    caller.headers, caller.headers_until_closed = list(headers), []
    if session is not None:
        signals.signed_out.send(sender=None, request=request, session=session)


def sent_along(request: HttpRequest, caller: Caller) -> list[Header]:
    """What is to be sent with the answer."""
    if caller.headers and caller.headers_until_closed and _ends_with_browser(request):
        return caller.headers_until_closed
    return caller.headers
