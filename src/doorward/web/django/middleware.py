"""For ``MIDDLEWARE``, after Django's own AuthenticationMiddleware where that is there."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.functional import SimpleLazyObject

from doorward.errors import DoorwardError
from doorward.http.caller import is_https
from doorward.http.problems import BUG_STATUS, status_of
from doorward.web.django import test_client
from doorward.web.django.backends import take_over_session
from doorward.web.django.caller import caller_of, check, identify, look, nobody, vary
from doorward.web.django.checks import misplaced
from doorward.web.django.conf import deployment
from doorward.web.django.messages import add_headers, problem, request_of
from doorward.web.django.signing_in import BACKEND, current, sent_along
from doorward.web.django.users import user_of
from doorward.wire.cookies import SESSION_COOKIE

_log = logging.getLogger(__name__)


class DoorwardMiddleware:
    """Tells who makes a request.

    ``request.principal`` is the ``Principal``, or None; ``request.doorward_refusal`` is then why.  ``request.user`` and
    ``await request.auser()`` are Django's user of that account, looked up when they are asked for.  Where nobody makes
    the request, a user that another backend put into Django's session stays.  The answer to a request of which one of
    these was asked for says so in its ``Vary`` header.

    Synchronous and asynchronous, by what it is put before.

    Raises:
        ConfigurationError: the settings cannot be used.  Servers make it when they start, and run no system checks.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        deployment()
        for found in misplaced():
            _log.error("%s: %s %s", found.id, found.msg, found.hint)
        self._get_response = get_response
        self._is_asynchronous = iscoroutinefunction(get_response)
        if self._is_asynchronous:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_asynchronous:
            return self._asynchronously(request)
        _begin(request)
        here = current.set(request)
        try:
            response: HttpResponseBase = self._get_response(request)
        finally:
            current.reset(here)
        return _finish(request, response)

    async def _asynchronously(self, request: HttpRequest) -> HttpResponseBase:
        if _has_credential(request):
            # Whoever looks into the store waits for it, and must not do so in the event loop.
            await sync_to_async(_begin)(request, is_asynchronous=True)
        else:
            nobody(request)
            _set_user(request)
        here = current.set(request)
        try:
            response: HttpResponseBase = await self._get_response(request)
        finally:
            current.reset(here)
        return _finish(request, response)

    def process_view(self, request: HttpRequest, view: Callable[..., Any], *_: Any) -> None:
        """Ask the database before an asynchronous view begins, which must not wait for it."""
        caller = identify(request)
        if not caller.is_checked and iscoroutinefunction(view):
            caller.keeps_user = False
            check(caller)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """An error of Doorward's that a view lets through is answered as what it is; a mistake of the project stays."""
        if not isinstance(exception, DoorwardError) or status_of(type(exception)) == BUG_STATUS:
            return None
        return problem(request, exception)


def _has_credential(request: HttpRequest) -> bool:
    auth = deployment()
    name = SESSION_COOKIE.name_on(prefix=auth.options.cookie_prefix, https=is_https(auth, request_of(request)))
    return (
        "Authorization" in request.headers
        or name in request.headers.get("Cookie", "")
        or test_client.is_from_test_client(request)
    )


def _begin(request: HttpRequest, *, is_asynchronous: bool = False) -> None:
    caller = identify(request)
    if is_asynchronous:
        # What may ask a database is done here, in a thread.
        caller.keeps_user = False
        check(caller)
    _set_user(request)


def _set_user(request: Any) -> None:
    caller = identify(request)
    caller.passed_middleware = True
    before, abefore = getattr(request, "user", None), getattr(request, "auser", None)
    request.user = SimpleLazyObject(lambda: _user(request, before))

    async def auser() -> AbstractBaseUser | AnonymousUser:
        if (await sync_to_async(look)(request)).principal is None and abefore is not None:
            await sync_to_async(take_over_session)(request)
            other: AbstractBaseUser | AnonymousUser = await abefore()
            return other
        return await sync_to_async(_user)(request, None)

    request.auser = auser


def _user(request: Any, before: Any) -> AbstractBaseUser | AnonymousUser:
    caller = look(request)
    if caller.principal is None:
        take_over_session(request)
        # As it was found before: an anonymous user, or whom another backend has signed in.
        return before if before is not None else AnonymousUser()
    user = caller.user = user_of(caller.principal, caller.user)
    if user is None:
        return AnonymousUser()
    vars(user)["backend"] = BACKEND  # as Django's own authenticate does
    return user


def _finish(request: HttpRequest, response: Any) -> HttpResponseBase:
    vary(request, response)
    caller = caller_of(request)
    if caller is not None:
        caller.is_answered = True
        headers = sent_along(request, caller)
        if headers:
            add_headers(response, headers)
            # A page that was answered together with a cookie is nobody else's.
            response["Cache-Control"] = "no-store"
    answer: HttpResponseBase = response
    return answer
