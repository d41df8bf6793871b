"""The one place where an error becomes an HTTP answer.

``/v1/*`` answers ``application/problem+json`` (RFC 9457); the OAuth endpoints answer as RFC 6749 section 5.2 says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from doorward.errors import (
    ConflictingCredentials,
    CsrfFailed,
    DatabaseUnusable,
    DoorwardError,
    EmailTaken,
    InsufficientAuthentication,
    InvalidCredentials,
    InvalidGrant,
    InvalidToken,
    NotAuthenticated,
    NotAvailable,
    NotFound,
    NotPermitted,
    RateLimited,
    SessionEnded,
    Unavailable,
    ValidationFailed,
    WeakPassword,
)
from doorward.http.errors import (
    BodyTooLarge,
    InvalidClient,
    InvalidRequest,
    MalformedJson,
    MethodNotAllowed,
    UnsupportedGrantType,
    UnsupportedMediaType,
)
from doorward.http.message import Header, Request, Response, json_body, seconds_to_wait

PROBLEM_TYPE = "application/problem+json"
OAUTH_TYPE = "application/json"

SESSION_OVER = 4401
"""What a WebSocket is closed with when its session is over, or does not allow what was demanded: sign in again."""

TRY_AGAIN_LATER = 1013
"""What it is closed with when that cannot be told: connect again (RFC 6455's registry)."""

_STATUS: Mapping[type[DoorwardError], int] = {
    MalformedJson: 400,
    InvalidRequest: 400,
    InvalidGrant: 400,
    UnsupportedGrantType: 400,
    ConflictingCredentials: 400,
    NotAuthenticated: 401,
    InvalidCredentials: 401,
    InvalidToken: 401,
    SessionEnded: 401,
    InsufficientAuthentication: 401,
    InvalidClient: 401,
    CsrfFailed: 403,
    NotPermitted: 403,
    NotFound: 404,
    NotAvailable: 404,
    MethodNotAllowed: 405,
    EmailTaken: 409,
    BodyTooLarge: 413,
    UnsupportedMediaType: 415,
    ValidationFailed: 422,
    WeakPassword: 422,
    RateLimited: 429,
    Unavailable: 503,
    DatabaseUnusable: 503,
}
BUG_STATUS = 500
"""What is on no list is a bug of ours."""

_OAUTH_ERROR: Mapping[type[DoorwardError], str] = {
    InvalidGrant: "invalid_grant",
    UnsupportedGrantType: "unsupported_grant_type",
    InvalidClient: "invalid_client",
    # RFC 6749 section 5.2 has no words for these; section 4.1.2.1 has the last two.
    CsrfFailed: "csrf_failed",
    RateLimited: "temporarily_unavailable",
    Unavailable: "temporarily_unavailable",
    DatabaseUnusable: "temporarily_unavailable",
}

_CHALLENGE = "Bearer"
_CHALLENGE_BASIC = 'Basic realm="doorward", charset="UTF-8"'
_CHALLENGE_REFUSED = 'Bearer error="invalid_token"'
# RFC 9470 section 3; it is said to whoever came by cookie too: how else would a page learn what it is for.
_CHALLENGE_TOO_OLD = 'Bearer error="insufficient_user_authentication", max_age="{}"'


class InternalError(DoorwardError):
    """A bug: what happened is in the log and nowhere else."""

    code = "internal_error"
    public = "Something went wrong here. It has been logged."


def status_of(error: type[DoorwardError]) -> int:
    """The status that a class of errors is answered with."""
    return next((_STATUS[kind] for kind in error.__mro__ if kind in _STATUS), BUG_STATUS)


def close_code_of(error: DoorwardError) -> int:
    """What a WebSocket is closed with."""
    return TRY_AGAIN_LATER if isinstance(error, Unavailable) else SESSION_OVER


def oauth_error_of(error: type[DoorwardError]) -> str:
    """The ``error`` of an OAuth answer."""
    if status_of(error) == BUG_STATUS:
        return "server_error"
    return next((_OAUTH_ERROR[kind] for kind in error.__mro__ if kind in _OAUTH_ERROR), "invalid_request")


def problem_of(error: DoorwardError, request: Request | None = None, **more: str) -> Response:
    """The answer of everything but the OAuth endpoints.

    Args:
        error: what went wrong.
        request: what it went wrong with, where that is known: its credential decides on the challenge of a 401.
        more: members of this one answer.
    """
    kind = type(error)
    status = status_of(kind)
    body = {
        "type": f"urn:doorward:problem:{error.code}",
        "title": error.code.replace("_", " ").capitalize(),
        "status": status,
        "detail": error.public,
        "code": error.code,
        **_members(error),
        **more,
    }
    return _answer(status, PROBLEM_TYPE, body, error, request)


def oauth_problem_of(error: DoorwardError, request: Request | None = None) -> Response:
    """The answer of the OAuth endpoints; ``code`` is beside ``error``, so that a client can read either alike."""
    kind = type(error)
    body = {
        "error": oauth_error_of(kind),
        "error_description": error.public,
        "code": error.code,
        **_members(error),
    }
    return _answer(status_of(kind), OAUTH_TYPE, body, error, request)


def _answer(status: int, media_type: str, body: Any, error: DoorwardError, request: Request | None) -> Response:
    headers = (("content-type", media_type), *_headers(status, error, request))
    return Response(status=status, headers=headers, body=json_body(body))


def _members(error: DoorwardError) -> dict[str, Any]:
    """What a caller can act on.  Constant words and times alone: nothing of the request comes back."""
    match error:
        case SessionEnded(reason=reason):
            return {"reason": str(reason)}
        case InvalidGrant(reason=str(reason)):
            return {"reason": str(reason)}
        case CsrfFailed(check=check):
            return {"check": check}
        case WeakPassword(advice=advice):
            return {"advice": list(advice)}
        case ValidationFailed(errors=errors):
            return {"errors": [{"field": each.field, "message": each.message} for each in errors]}
        case RateLimited(retry_after=wait) | Unavailable(retry_after=wait):
            return {"retry_after": seconds_to_wait(wait)}
        case InsufficientAuthentication(max_age=max_age):
            return {"max_age": int(max_age.total_seconds())}
    return {}


def _headers(status: int, error: DoorwardError, request: Request | None) -> list[Header]:
    match error:
        case RateLimited(retry_after=wait) | Unavailable(retry_after=wait):
            return [("retry-after", str(seconds_to_wait(wait)))]
        case DatabaseUnusable():
            return [("retry-after", "10")]
        case MethodNotAllowed(allowed=allowed):
            return [("allow", ", ".join(allowed))]
        case InsufficientAuthentication(max_age=max_age):
            return [("www-authenticate", _CHALLENGE_TOO_OLD.format(int(max_age.total_seconds())))]
        case NotPermitted(scopes=scopes) if scopes and _tried(request, "bearer"):
            return [("www-authenticate", f'Bearer error="insufficient_scope", scope="{" ".join(sorted(scopes))}"')]
    if status == 401:
        return [("www-authenticate", _challenge(error, request))]
    return []


def _challenge(error: DoorwardError, request: Request | None) -> str:
    """Which challenge goes with a 401.

    RFC 6750 section 3.1: without a credential no error code.  ``Basic`` for none but a client that has tried it
    (RFC 6749 section 5.2): a browser would ask for a password in a window of its own.
    """
    if isinstance(error, InvalidClient) and _tried(request, "basic"):
        return _CHALLENGE_BASIC
    bearer = _tried(request, "bearer")
    refused = isinstance(error, InvalidToken) or (bearer and not isinstance(error, InvalidCredentials))
    return _CHALLENGE_REFUSED if refused else _CHALLENGE


def _tried(request: Request | None, scheme: str) -> bool:
    return request is not None and request.headers.get("authorization", "").partition(" ")[0].lower() == scheme
