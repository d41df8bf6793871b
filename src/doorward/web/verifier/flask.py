"""A verifier in a Flask application; ``examples/flask_service.py`` is one."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Any, TypeVar, cast

from flask import Flask, Response, current_app, g, request

from doorward import verifier as plain
from doorward.assurance import Demand, Demands
from doorward.errors import DoorwardError, NotAuthenticated
from doorward.http.message import Request
from doorward.http.problems import problem_of
from doorward.http.vary import merge_vary
from doorward.principal import Principal
from doorward.web.flask_refusals import answered
from doorward.wire.bearer import parse_authorization

View = TypeVar("View", bound=Callable[..., Any])

_LOOKED = "doorward.looked"


class Verifier(plain.Verifier):
    """``doorward.Verifier`` with what a Flask application wants of it.

    It starts with the first request of each process: a server that forks takes no thread along.
    """

    _started_in: int | None = None

    def init_app(self, app: Flask) -> None:
        """Answer refusals as RFC 6750 says."""
        app.register_error_handler(DoorwardError, _answer)
        app.after_request(_vary)

    def principal(self, *, revocation: Demand = "policy") -> Principal:
        """Who makes the current request, by its ``Authorization`` header alone (RFC 6750 section 2.1).

        Raises:
            NotAuthenticated: there is no bearer credential.
            InvalidToken: it is not valid, or there are two.
            Unavailable: that cannot be told now.
        """
        request.environ[_LOOKED] = True
        credential = parse_authorization(request.headers.get("Authorization"))
        if credential is None:
            raise NotAuthenticated
        if self._started_in != os.getpid():
            self.start()
            self._started_in = os.getpid()
        return self.verify(credential.reveal(), revocation=revocation)

    def requires(
        self,
        *,
        roles: Collection[str] = (),
        scopes: Collection[str] = (),
        fresh: timedelta | None = None,
        revocation: Demand = "policy",
    ) -> Callable[[View], View]:
        """Let a view be called only by principals that give what is demanded; 401, 403 or 503 otherwise.

        The principal is then ``flask.g.principal``.

        Args:
            roles: all of which are needed.
            scopes: likewise.
            fresh: how long ago the subject may have proved itself at most: 401 with what to do (RFC 9470) otherwise.
            revocation: ``immediate`` where the view must not act on stale knowledge of who has signed out.
        """
        demands = Demands(roles=roles, scopes=scopes, fresh=fresh, revocation=revocation)

        def decorate(view: View) -> View:
            @functools.wraps(view)
            def guarded(*args: Any, **kwargs: Any) -> Any:
                try:
                    principal = self.principal(revocation=demands.revocation)
                    self.assure(principal, demands)
                except DoorwardError as refused:
                    raise answered(refused, _answer) from refused
                g.principal = principal
                return current_app.ensure_sync(view)(*args, **kwargs)

            return cast("View", guarded)

        return decorate


def _vary(response: Response) -> Response:
    """An answer that depends on who asks says so; so does one that comes bit by bit, and may look later."""
    if _LOOKED in request.environ or (response.is_streamed and not response.direct_passthrough):
        response.headers["Vary"] = merge_vary(response.headers.getlist("Vary"))
    return response


def _answer(error: DoorwardError) -> Response:
    headers = {name.lower(): value for name, value in request.headers.items()}
    answer = problem_of(error, Request(method="GET", path="/", headers=headers))
    return Response(answer.body, answer.status, list(answer.headers))
