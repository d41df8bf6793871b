"""For views."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Any, TypeVar, cast

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.http import HttpRequest

from doorward.assurance import Demand, Demands
from doorward.blocking import run_blocking
from doorward.errors import DoorwardError, NotAuthenticated
from doorward.principal import Principal
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

    def assure(request: Any) -> None:
        principal: Principal | None = request.principal
        if principal is None:
            raise request.doorward_refusal or NotAuthenticated
        # Whoever told who it is has opened it.
        request.principal = run_blocking(deployment().assure(principal, demands))

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            try:
                assure(request)
            except DoorwardError as refusal:
                return problem(request, refusal)
            return view(request, *args, **kwargs)

        @functools.wraps(view)
        async def guarded_asynchronously(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            try:
                await sync_to_async(assure)(request)
            except DoorwardError as refusal:
                return problem(request, refusal)
            return await view(request, *args, **kwargs)

        return cast("View", guarded_asynchronously if iscoroutinefunction(view) else guarded)

    return decorate
