"""For views."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Any, TypeVar, cast

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from doorward.assurance import Demand, Demands
from doorward.blocking import run_blocking
from doorward.errors import DoorwardError, NotAuthenticated
from doorward.http.problems import BUG_STATUS, status_of
from doorward.principal import Principal
from doorward.web.django.caller import look, vary
from doorward.web.django.conf import deployment
from doorward.web.django.messages import problem

View = TypeVar("View", bound=Callable[..., Any])


def requires(
    *,
    roles: Collection[str] = (),
    scopes: Collection[str] = (),
    fresh: timedelta | None = None,
    revocation: Demand = "policy",
) -> Callable[[View], View]:
    """Let a view, synchronous or not, be called only by who gives what is demanded; 401, 403 or 503 otherwise.

    Django's own ``login_required`` and ``permission_required`` work as well, and lead to a page to sign in on.

    Args:
        roles: all of which are needed.
        scopes: likewise.
        fresh: how long ago the subject may have proved itself at most: 401 with what to do (RFC 9470) otherwise.
        revocation: ``immediate`` where the view must not act on stale knowledge of who has signed out.
    """
    demands = Demands(roles=roles, scopes=scopes, fresh=fresh, revocation=revocation)

    def assure(request: HttpRequest) -> None:
        demand(request, demands)

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            inner = _of_django(request)
            try:
                assure(inner)
            except DoorwardError as refusal:
                return _answer(inner, refusal)
            return _varied(inner, view(request, *args, **kwargs))

        @functools.wraps(view)
        async def guarded_asynchronously(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            inner = _of_django(request)
            try:
                await sync_to_async(assure)(inner)
            except DoorwardError as refusal:
                return _answer(inner, refusal)
            return _varied(inner, await view(request, *args, **kwargs))

        decorated = guarded_asynchronously if iscoroutinefunction(view) else guarded
        # LoginRequiredMiddleware would lead a client of an API to a page to sign in on.
        vars(decorated)["login_required"] = False
        return cast("View", decorated)

    return decorate


def demand(request: HttpRequest, demands: Demands | None = None) -> Principal:
    """Who makes a request; raised what ``requires`` would answer.

    For frameworks that call something of their own before a view, such as ``auth=`` of django-ninja.  What it raises is
    answered by ``DoorwardMiddleware``, or by ``problem`` where the framework has a handler for exceptions.

    Args:
        request: Django's, or one that wraps it.
        demands: what is demanded beside being signed in.

    Raises:
        DoorwardError: nobody makes the request, or does not give what is demanded.
    """
    caller = look(_of_django(request))
    if caller.principal is None:
        raise caller.refusal or NotAuthenticated
    # Whoever told who it is has opened it.
    caller.principal = run_blocking(deployment().assure(caller.principal, demands or Demands()))
    return caller.principal


def _of_django(request: Any) -> HttpRequest:
    """The request itself, which Django REST framework wraps."""
    inner: object = getattr(request, "_request", request)
    if not isinstance(inner, HttpRequest):
        kind = type(request).__name__
        raise TypeError(
            f"requires() was given a {kind} instead of a request: around a method, write "
            "@method_decorator(requires(...)), and for a class @method_decorator(requires(...), name='dispatch')"
        )
    return inner


def _answer(request: HttpRequest, refusal: DoorwardError) -> HttpResponse:
    if status_of(type(refusal)) == BUG_STATUS:
        raise refusal
    response = problem(request, refusal)
    vary(request, response)
    return response


def _varied(request: HttpRequest, response: Any) -> Any:
    # A view may answer with what its framework makes a response of.
    if isinstance(response, HttpResponseBase):
        vary(request, response)
    return response
