"""Who makes a request of Django's: found once, checked when somebody looks, and noted that somebody did.

``request.principal`` and ``request.doorward_refusal`` are attributes of every ``HttpRequest`` once the app is loaded.
Reading one of them makes the answer depend on who asks, which its ``Vary`` header then says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

from doorward.errors import ConfigurationError, DoorwardError, NotAuthenticated, Problem
from doorward.http.message import Header
from doorward.http.vary import VARY, WHO_ASKS
from doorward.principal import Principal
from doorward.web.django import standing, test_client
from doorward.web.django.conf import deployment
from doorward.web.django.messages import request_of
from doorward.web.wsgi import identify_by

_CALLER = "_doorward_caller"
_MAY_STORE = "_cache_update_cache"
"""By which Django's cache decides whether it stores an answer."""

NO_MIDDLEWARE = Problem(
    id="DW110",
    message="The request did not pass DoorwardMiddleware, so nobody knows who makes it.",
    remedy=(
        "Add 'doorward.web.django.middleware.DoorwardMiddleware' to MIDDLEWARE after Django's AuthenticationMiddleware;"
        " in a test with RequestFactory, call DoorwardMiddleware(view)(request) instead of view(request)."
    ),
)


class MiddlewareMissing(ConfigurationError, AttributeError):
    """A request has no principal because no middleware looked for one.

    An ``AttributeError`` too, so that ``hasattr`` and templates find what they find where Doorward is not installed.
    """

    def __init__(self) -> None:
        super().__init__([NO_MIDDLEWARE])


@dataclass(slots=True, kw_only=True)
class Caller:
    """What is known of whoever makes one request.

    Args:
        principal: who it is, or None.
        refusal: why nobody is, where there is no principal.
        is_checked: whether Django's user has been looked at, who may be inactive or deleted.
        is_looked_at: whether the answer depends on who makes the request.
        passed_middleware: whether the answer can still be given headers.
        is_answered: whether the view and what is inside of the middleware are done.
        keeps_user: whether the user that the check has loaded is given to the view; not in an event loop, where the
            same access would then work or fail by what is in memory.
        user: Django's user as the check has loaded it.
        headers: what is to be sent with the answer.
        headers_until_closed: what is sent instead where Django's session ends with the browser; empty: the same.
    """

    principal: Principal | None = None
    refusal: DoorwardError | None = None
    is_checked: bool = False
    is_looked_at: bool = False
    passed_middleware: bool = False
    is_answered: bool = False
    keeps_user: bool = True
    user: AbstractBaseUser | None = None
    headers: list[Header] = field(default_factory=list)
    headers_until_closed: list[Header] = field(default_factory=list)

    def becomes(self, principal: Principal | None, refusal: DoorwardError | None = None) -> None:
        """From now on somebody else makes the request."""
        self.principal, self.refusal, self.user = principal, refusal, None
        self.is_looked_at = True


def caller_of(request: HttpRequest) -> Caller | None:
    """What is known so far.  Nobody counts as having looked."""
    caller: Caller | None = vars(request).get(_CALLER)
    return caller


def nobody(request: HttpRequest) -> Caller:
    """Note that the request has no credential."""
    caller = Caller(refusal=NotAuthenticated(), is_checked=True)
    vars(request)[_CALLER] = caller
    return caller


def identify(request: HttpRequest) -> Caller:
    """Who makes the request, by its credential.  Nobody counts as having looked."""
    caller = caller_of(request)
    if caller is None:
        principal, refusal = identify_by(
            deployment(), request.META, request=lambda: request_of(request), scheme=request.scheme or "http"
        )
        if principal is None and isinstance(refusal, NotAuthenticated):
            principal = test_client.principal_of(request)
        caller = Caller(principal=principal, refusal=None if principal is not None else refusal)
        vars(request)[_CALLER] = caller
    return caller


def check(caller: Caller) -> Caller:
    """Refuse whoever has a user that is inactive or deleted."""
    if not caller.is_checked and caller.principal is not None:
        try:
            user = standing.require_active(caller.principal.subject)
        except DoorwardError as refusal:
            caller.principal, caller.refusal = None, refusal
        else:
            caller.user = user if caller.keeps_user else None
    caller.is_checked = True
    return caller


def look(request: HttpRequest) -> Caller:
    """Who makes the request; the answer depends on it from now on."""
    caller = identify(request)
    caller.is_looked_at = True
    return check(caller)


def vary(request: HttpRequest, response: HttpResponseBase) -> None:
    """Say in the answer's ``Vary`` header what it depends on, beside what the application has said there."""
    caller = caller_of(request)
    if caller is None or not caller.is_looked_at:
        return
    name, value = VARY
    present = response.headers.get(name)
    if present is None:
        response.headers[name] = value
    elif present != value:
        patch_vary_headers(response, WHO_ASKS)


class _Looked:
    """An attribute of requests that makes the answer depend on who asks.

    Raises:
        MiddlewareMissing: the request has passed no middleware and no decorator of ours.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, request: HttpRequest | None, kind: type) -> Any:
        if request is None:
            return self
        if caller_of(request) is None:
            raise MiddlewareMissing
        return getattr(look(request), self._name)

    def __set__(self, request: HttpRequest, value: Any) -> None:
        caller = caller_of(request) or nobody(request)
        setattr(caller, self._name, value)


class _MayStore:
    """``request._cache_update_cache``: no, as long as the answer lacks the ``Vary`` header that it will be given.

    ``cache_page`` around a view sees the answer before the middleware does.  Without this it would store one person's
    page for everybody.
    """

    def __get__(self, request: HttpRequest | None, kind: type) -> Any:
        if request is None:
            return self
        if _MAY_STORE not in vars(request):
            raise AttributeError(_MAY_STORE)
        caller = caller_of(request)
        if caller is not None and caller.is_looked_at and not caller.is_answered:
            return False
        return vars(request)[_MAY_STORE]

    def __set__(self, request: HttpRequest, value: Any) -> None:
        vars(request)[_MAY_STORE] = value


def install() -> None:
    """Give every ``HttpRequest`` the attributes."""
    for name, attribute in (
        ("principal", _Looked("principal")),
        ("doorward_refusal", _Looked("refusal")),
        (_MAY_STORE, _MayStore()),
    ):
        setattr(HttpRequest, name, attribute)
