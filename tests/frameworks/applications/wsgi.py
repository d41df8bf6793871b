"""The application on bare WSGI."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from doorward import Demands, run_blocking
from doorward.doorward import Doorward
from doorward.errors import DoorwardError, NotAuthenticated
from doorward.http.message import Response, json_body
from doorward.http.problems import problem_of
from doorward.web.wsgi import AuthenticationMiddleware, Mounted, request_of, send_response
from tests.frameworks.applications.demands import WANTED

DEMANDS = {route: Demands(**wanted) for route, wanted in WANTED.items()}


def build(**options: Any) -> Any:
    auth = Doorward(**options, blocking=True)

    def application(environ: Any, start_response: Any) -> Iterable[bytes]:
        return send_response(answer(environ), start_response)

    def answer(environ: Any) -> Response:
        principal = environ["doorward.principal"]
        if environ["PATH_INFO"] == "/greeting":
            return told({"known": principal is not None})
        demands = DEMANDS.get((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
        if demands is None:
            return Response(status=404)
        try:
            if principal is None:
                raise environ["doorward.refusal"] or NotAuthenticated
            principal = run_blocking(auth.assure(principal, demands))
        except DoorwardError as error:
            return problem_of(error, request_of(environ))
        return told({"account": principal.subject, "session": principal.session_id})

    return Mounted(AuthenticationMiddleware(application, auth), auth, "/auth")


def told(value: Any) -> Response:
    return Response(status=200, headers=(("content-type", "application/json"),), body=json_body(value))
