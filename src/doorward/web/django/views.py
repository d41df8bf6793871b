"""The HTTP contract as one view."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from functools import lru_cache

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from doorward.doorward import Doorward
from doorward.errors import InvalidCredentials, SessionEnded, StoreUnavailable
from doorward.http.message import Request, Response
from doorward.http.problems import problem_of
from doorward.web.django import signals
from doorward.web.django.caller import check, identify
from doorward.web.django.conf import deployment
from doorward.web.django.messages import problem, read_body, request_of, response_of
from doorward.web.django.standing import require_active
from doorward.web.wsgi import DoorwardApp


# Doorward checks for itself whether a foreign page may have sent what comes with a cookie, and who may call.
@csrf_exempt
@login_not_required
def contract(request: HttpRequest, path: str) -> HttpResponse:
    """Synchronous: Django runs it in a thread of its own under ASGI."""
    asked = request_of(request, path=f"/{path}", body=read_body(request))
    # Whose user is inactive has no session after this, so the contract refuses by itself.
    principal = check(identify(request)).principal
    answer = _app(deployment()).answer(asked)
    account = _vouched_for(asked, answer)
    if account is not None:
        try:
            require_active(account)
        except SessionEnded:
            answer = _refusing(asked)
        except StoreUnavailable as unavailable:
            return problem(request, unavailable)
    _tell(request, asked, answer, principal.session_id if principal is not None else None)
    return response_of(answer)


@lru_cache(maxsize=1)
def _app(auth: Doorward) -> DoorwardApp:
    return DoorwardApp(auth)


def _vouched_for(asked: Request, answer: Response) -> str | None:
    """The account for which an answer hands out a credential, or says that one is good; None for all others."""
    match (asked.method, asked.path, answer.status):
        case ("POST", "/v1/sessions", 201):
            account: str = json.loads(answer.body)["account"]["id"]
        case ("POST", "/v1/token", 200):
            claims = json.loads(answer.body)["access_token"].split(".")[1]
            account = json.loads(urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["sub"]
        case ("POST", "/v1/introspect", 200):
            return json.loads(answer.body).get("sub")  # type: ignore[no-any-return]  # a text where it is there
        case _:
            return None
    return account


def _refusing(asked: Request) -> Response:
    """The answer in place of one that vouches for a user who is inactive or deleted; all sessions have ended."""
    if asked.path == "/v1/sessions":
        refusal = problem_of(InvalidCredentials("Django's user is inactive or deleted"), asked)
        return refusal.with_headers([("cache-control", "no-store")])
    return _app(deployment()).answer(asked)


def _tell(request: HttpRequest, asked: Request, answer: Response, session: str | None) -> None:
    if (asked.method, asked.path, answer.status) == ("POST", "/v1/sessions", 201):
        told = json.loads(answer.body)
        signals.signed_in.send(
            sender=None, request=request, account=told["account"]["id"], session=told["session"]["id"]
        )
    elif (asked.method, asked.path, answer.status) == ("DELETE", "/v1/sessions/current", 204) and session is not None:
        signals.signed_out.send(sender=None, request=request, session=session)
