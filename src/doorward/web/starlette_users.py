"""What the adapters for Starlette and FastAPI have in common: what Starlette calls a user, and an answer of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.authentication import BaseUser, UnauthenticatedUser
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.routing import Match, Mount
from starlette.types import Scope

from doorward.http import message
from doorward.principal import Principal


class SignedInUser(BaseUser):
    """What ``request.user`` is when somebody is signed in."""

    def __init__(self, principal: Principal) -> None:
        self.principal = principal

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def display_name(self) -> str:
        return self.principal.subject

    @property
    def identity(self) -> str:
        return self.principal.subject


def user_of(principal: Principal | None) -> Mapping[str, Any]:
    """What a scope calls whoever makes the request, for Starlette."""
    return {"user": UnauthenticatedUser() if principal is None else SignedInUser(principal)}


def connection_of(arguments: Sequence[Any], named: Mapping[str, Any]) -> HTTPConnection:
    """The request or WebSocket that an endpoint is called with, be it a function or a method.

    Raises:
        TypeError: there is none.
    """
    for each in (*arguments, *named.values()):
        if isinstance(each, HTTPConnection):
            return each
    raise TypeError("An endpoint under requires() is called with a Request or a WebSocket.")


class Below(Mount):
    """What is mounted below a prefix.

    A router asks it with every request, whatever that is for.  Most say no without the expression that tells.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        # Of a prefix with parameters, what stands before the first is in the path as it is written.
        if self.path.partition("{")[0] not in scope["path"]:
            return Match.NONE, {}
        return super().matches(scope)


def response_of(answer: message.Response) -> Response:
    """An answer of ours as one of Starlette's; a header may be there more than once."""
    response = Response(answer.body, status_code=answer.status)
    for name, value in answer.headers:
        response.headers.append(name, value)
    return response
