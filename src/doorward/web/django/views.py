"""The HTTP contract as one view."""

from __future__ import annotations

import json
from functools import lru_cache

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from doorward.doorward import Doorward
from doorward.http.message import Request, Response
from doorward.web.django import signals
from doorward.web.django.conf import deployment
from doorward.web.django.messages import read_body, request_of, response_of
from doorward.web.wsgi import DoorwardApp


# Doorward checks for itself whether a foreign page may have sent what comes with a cookie, and who may call.
@csrf_exempt
@login_not_required
def contract(request: HttpRequest, path: str) -> HttpResponse:
    """Synchronous: Django runs it in a thread of its own under ASGI."""
    asked = request_of(request, path=f"/{path}", body=read_body(request))
    session = _session_of(request)
    answer = _app(deployment()).answer(asked)
    _tell(request, asked, answer, session)
    return response_of(answer)


@lru_cache(maxsize=1)
def _app(auth: Doorward) -> DoorwardApp:
    return DoorwardApp(auth)


def _session_of(request: HttpRequest) -> str | None:
    principal = getattr(request, "principal", None)
    return principal.session_id if principal is not None else None


def _tell(request: HttpRequest, asked: Request, answer: Response, session: str | None) -> None:
    if (asked.method, asked.path, answer.status) == ("POST", "/v1/sessions", 201):
        told = json.loads(answer.body)
        signals.signed_in.send(
            sender=None, request=request, account=told["account"]["id"], session=told["session"]["id"]
        )
    elif (asked.method, asked.path, answer.status) == ("DELETE", "/v1/sessions/current", 204) and session is not None:
        signals.signed_out.send(sender=None, request=request, session=session)
