"""What the server refuses with, as it goes over the wire; ``python -m tests.http.problems`` writes the vectors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from doorward.errors import (
    CsrfFailed,
    DoorwardError,
    EmailTaken,
    InvalidCredentials,
    InvalidGrant,
    NotAuthenticated,
    RateLimited,
    SessionEnded,
    StoreUnavailable,
    TooEarly,
    WeakPassword,
)
from doorward.http.errors import InvalidRequest
from doorward.http.message import Response
from doorward.http.problems import InternalError, oauth_problem_of, problem_of

FILE = Path(__file__).parents[2] / "vectors" / "problems.json"
ABOUT = (
    "Refusals. 'status', 'headers' and 'body' are what is sent; 'read' is what a client takes from it; 'renewal' is"
    " what it means where a session was to be renewed or looked at: it is 'over', it is not known and worth asking"
    " again ('wait'), or the page is set up wrongly ('refused'). The last ones are not ours: what stands between"
    " client and server answered, and such an answer ends no session."
)


def _ours() -> Iterator[tuple[str, DoorwardError, Response, str]]:
    oauth: list[tuple[str, DoorwardError, str]] = [
        ("a refresh token of a session that was signed out", InvalidGrant(reason="signed_out"), "over"),
        ("a refresh token that was used twice", InvalidGrant(reason="reuse"), "over"),
        ("a refresh token that is nobody's", InvalidGrant(), "over"),
        ("no refresh token", InvalidRequest(), "over"),
        ("too early to tell a lost reply from a late one", TooEarly(timedelta(seconds=20)), "wait"),
        ("a refresh from a foreign page", CsrfFailed("sec_fetch_site"), "refused"),
        ("refreshing too often", RateLimited(timedelta(seconds=30)), "wait"),
        ("a database that is away", StoreUnavailable(), "wait"),
        ("a bug", InternalError(), "wait"),
    ]
    plain: list[tuple[str, DoorwardError, str]] = [
        ("a session whose password was changed", SessionEnded("password_changed"), "over"),
        ("no credential", NotAuthenticated(), "over"),
        ("a wrong password", InvalidCredentials(), "over"),
        ("a weak password", WeakPassword(["Add another word or two."]), "refused"),
        ("an address that has an account", EmailTaken(), "refused"),
    ]
    yield from ((name, error, oauth_problem_of(error), renewal) for name, error, renewal in oauth)
    yield from ((name, error, problem_of(error), renewal) for name, error, renewal in plain)


def _foreign() -> Iterator[dict[str, Any]]:
    unread = {"code": "unknown", "reason": None, "retry_after": None, "detail": "Doorward did not answer."}
    for name, status, body, renewal in (
        ("a proxy that wants its own password", 401, "<h1>401 Authorization Required</h1>", "refused"),
        ("a proxy that did not like the request", 400, "", "refused"),
        ("a proxy without a server behind it", 502, "<h1>502 Bad Gateway</h1>", "wait"),
        ("JSON that is no object", 400, '"invalid_grant"', "refused"),
        ("members of another type", 400, '{"code": 7, "error": null, "detail": []}', "refused"),
    ):
        yield {"name": name, "status": status, "headers": {}, "body": body, "read": unread, "renewal": renewal}
    dated = {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}
    yield {"name": "a date", "status": 503, "headers": dated, "body": "", "read": unread, "renewal": "wait"}


def _wait(response: Response) -> int | None:
    values = response.values("retry-after")
    return int(values[0]) if values else None


def vectors() -> dict[str, Any]:
    """The whole file."""
    ours = [
        {
            "name": name,
            "status": response.status,
            "headers": dict(response.headers),
            "body": response.body.decode(),
            "read": {
                "code": error.code,
                "reason": getattr(error, "reason", None),
                "retry_after": _wait(response),
                "detail": error.public,
            },
            "renewal": renewal,
        }
        for name, error, response, renewal in _ours()
    ]
    return {"about": ABOUT, "vectors": [*ours, *_foreign()]}


def text() -> str:
    return json.dumps(vectors(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
