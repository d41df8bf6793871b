"""For ``MIDDLEWARE``, after Django's own AuthenticationMiddleware where that is there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.functional import SimpleLazyObject

from doorward.errors import DoorwardError, NotAuthenticated
from doorward.http.caller import is_https
from doorward.http.problems import BUG_STATUS, status_of
from doorward.principal import Principal
from doorward.web.django.conf import deployment
from doorward.web.django.messages import add_headers, problem, request_of
from doorward.web.django.signing_in import BACKEND, sent_along
from doorward.web.django.users import user_of
from doorward.web.wsgi import identify_by
from doorward.wire.cookies import SESSION_COOKIE

_USER = "_doorward_user"


class DoorwardMiddleware:
    """Tells who makes a request.

    ``request.principal`` is the ``Principal``, or None; ``request.doorward_refusal`` is then why.  ``request.user`` and
    ``await request.auser()`` are Django's user of that account, looked up when they are asked for.  Where nobody makes
    the request, a user that another backend put into Django's session stays.

    Synchronous and asynchronous, by what it is put before.

    Raises:
        ConfigurationError: the settings cannot be used.  Servers make it when they start, and run no system checks.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        deployment()
        self._get_response = get_response
        self._is_asynchronous = iscoroutinefunction(get_response)
        if self._is_asynchronous:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_asynchronous:
            return self._asynchronously(request)
        _identify(request)
        response: HttpResponseBase = self._get_response(request)
        return _finish(request, response)

    async def _asynchronously(self, request: HttpRequest) -> HttpResponseBase:
        if _has_credential(request):
            # Whoever looks into the store waits for it, and must not do so in the event loop.
            await sync_to_async(_identify)(request)
        else:
            _set(request, None, NotAuthenticated())
        response: HttpResponseBase = await self._get_response(request)
        return _finish(request, response)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """An error of Doorward's that a view lets through is answered as what it is; a mistake of the project stays."""
        if not isinstance(exception, DoorwardError) or status_of(type(exception)) == BUG_STATUS:
            return None
        return problem(request, exception)


def _has_credential(request: HttpRequest) -> bool:
    auth = deployment()
    name = SESSION_COOKIE.name_on(prefix=auth.options.cookie_prefix, https=is_https(auth, request_of(request)))
    return "Authorization" in request.headers or name in request.headers.get("Cookie", "")


def _identify(request: HttpRequest) -> None:
    identified = identify_by(
        deployment(), request.META, request=lambda: request_of(request), scheme=request.scheme or "http"
    )
    _set(request, *identified)


def _set(request: Any, principal: Principal | None, refusal: DoorwardError | None) -> None:
    request.principal, request.doorward_refusal = principal, refusal
    before, abefore = getattr(request, "user", None), getattr(request, "auser", None)
    request.user = SimpleLazyObject(lambda: _user(request, before))

    async def auser() -> AbstractBaseUser | AnonymousUser:
        if request.principal is None and abefore is not None:
            other: AbstractBaseUser | AnonymousUser = await abefore()
            return other
        return await sync_to_async(_user)(request, None)

    request.auser = auser


def _user(request: Any, before: Any) -> AbstractBaseUser | AnonymousUser:
    principal: Principal | None = request.principal
    if principal is None:
        # As it was found before: an anonymous user, or whom another backend has signed in.
        return before if before is not None else AnonymousUser()
    if not hasattr(request, _USER):
        setattr(request, _USER, user_of(principal))
    user: AbstractBaseUser | None = getattr(request, _USER)
    if user is None:
        return AnonymousUser()
    user.backend = BACKEND  # as Django's own authenticate does
    return user


def _finish(request: HttpRequest, response: Any) -> HttpResponseBase:
    headers = sent_along(request)
    if headers:
        add_headers(response, headers)
        # A page that was answered together with a cookie is nobody else's.
        response["Cache-Control"] = "no-store"
    answer: HttpResponseBase = response
    return answer
