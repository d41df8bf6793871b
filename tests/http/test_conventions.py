"""What holds for every operation alike."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from doorward import errors
from doorward.http import errors as http_errors
from doorward.http.message import LARGEST_BODY, Request
from doorward.http.operation import AnyOperation
from doorward.http.operations import TABLE
from doorward.http.problems import oauth_problem_of, problem_of, status_of
from doorward.wire.feed import STREAM_TYPE
from tests.http.world import ADMIN_KEY, PASSWORD, World, a_request, a_world

ids = [operation.id for operation in TABLE]
each_operation = pytest.mark.parametrize("operation", TABLE, ids=ids)


def path_of(operation: AnyOperation) -> str:
    return operation.path.replace("{id}", "a" * 16).replace("{sid}", "b" * 16)


def is_stream(operation: AnyOperation) -> bool:
    """Whether its answer has no end; ``test_feed.py`` reads it as it comes."""
    return any(answer.media_type == STREAM_TYPE for answer in operation.answers.values())


@pytest.mark.anyio
@each_operation
async def test_every_answer_is_hardened(world: World, operation: AnyOperation) -> None:
    answer = await world.client().request(operation.method, path_of(operation), json={})
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("content-security-policy") == "default-src 'none'; frame-ancestors 'none'"
    assert answer.header("referrer-policy") == "no-referrer"
    assert answer.header("cross-origin-resource-policy") == ("cross-origin" if operation.public else "same-origin")
    cache = "public, max-age=300" if operation.public and answer.status == 200 else "no-store"
    assert answer.values("cache-control") == [cache]
    assert answer.header("strict-transport-security") is None


@pytest.mark.anyio
@each_operation
async def test_on_https_every_answer_says_so(operation: AnyOperation) -> None:
    async with a_world(issuer="https://auth.example.com") as world:
        answer = await world.client().request(operation.method, path_of(operation))
        assert answer.header("strict-transport-security") == "max-age=31536000"


@pytest.mark.anyio
@each_operation
async def test_a_body_over_64_kib_is_413_by_what_arrives_and_by_what_it_says(
    world: World, operation: AnyOperation
) -> None:
    if operation.method != "GET":
        answer = await world.client().request(operation.method, path_of(operation), content=b"x" * (LARGEST_BODY + 1))
        assert answer.status == 413
    said = {"content-length": "9" * 30}
    answer = await world.client().request(operation.method, path_of(operation), headers=said)
    assert answer.status == 413
    assert answer.json()["code"] == "body_too_large"


@pytest.mark.anyio
async def test_a_body_of_64_kib_is_read(world: World) -> None:
    body = json.dumps({"email": "ada@example.com", "password": "x"}).encode()
    padded = body + b" " * (LARGEST_BODY - len(body))
    answer = await world.client().post("/v1/sessions", content=padded, headers={"content-type": "application/json"})
    assert (answer.status, answer.json()["code"]) == (401, "invalid_credentials")


@pytest.mark.anyio
@each_operation
async def test_other_methods_are_405_and_told_which(world: World, operation: AnyOperation) -> None:
    taken = {each.method for each in TABLE if each.path == operation.path}
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW", ""} - taken:
        answer = await world.client().request(method, path_of(operation))
        if method == "GET" and answer.status != 405:
            continue  # /v1/sessions/{id} is not /v1/sessions/current
        assert (answer.status, answer.json()["code"]) == (405, "method_not_allowed")
        allowed = (answer.header("allow") or "").split(", ")
        assert taken <= set(allowed)
        assert "OPTIONS" in allowed


@pytest.mark.anyio
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/v1/",
        "/v1/nothing",
        "/v1/sessions/",
        "//v1/sessions",
        "/v1/sessions//",
        "/V1/sessions",
        "/v1/admin",
        "/v1/admin/accounts/",
        "/v1/admin/accounts//sessions",
        "/v1/sessions/a/b",
        "/healthz/",
        "/v1/sessions/../sessions",
    ],
)
async def test_an_unknown_path_is_404(world: World, path: str) -> None:
    answer = await world.client().get(path)
    assert (answer.status, answer.json()["code"]) == (404, "not_found")
    assert answer.header("content-type") == "application/problem+json"
    assert answer.header("x-content-type-options") == "nosniff"


@pytest.mark.anyio
@pytest.mark.parametrize(
    "operation", [each for each in TABLE if each.method == "GET" and not is_stream(each)], ids=lambda each: each.id
)
async def test_head_is_get_without_the_body(world: World, operation: AnyOperation) -> None:
    client = world.client()
    got = await client.get(path_of(operation), bearer=ADMIN_KEY)
    head = await client.request("HEAD", path_of(operation), bearer=ADMIN_KEY)
    assert (head.status, head.body) == (got.status, b"")
    assert head.headers == got.headers


@pytest.mark.anyio
async def test_options_tells_the_methods(world: World) -> None:
    answer = await world.client().request("OPTIONS", "/v1/sessions")
    assert (answer.status, answer.header("allow")) == (204, "DELETE, GET, HEAD, POST, OPTIONS")


WITH_BODY = [operation for operation in TABLE if operation.body is not None]


@pytest.mark.anyio
@pytest.mark.parametrize("operation", WITH_BODY, ids=lambda each: each.id)
@pytest.mark.parametrize(
    ("content", "content_type", "answered"),
    [
        (b"{}", "text/plain", (415, "unsupported_media_type")),
        (b"{}", None, (415, "unsupported_media_type")),
        (b"{", "application/json", (400, "malformed_json")),
        (b"", "application/json", (400, "malformed_json")),
        (b'{"unknown":1}', "application/json", (422, "validation_failed")),
        (b"[]", "application/json", (422, "validation_failed")),
    ],
)
async def test_bodies_are_json_and_nothing_else(
    world: World, operation: AnyOperation, content: bytes, content_type: str | None, answered: tuple[int, str]
) -> None:
    _, body = await world.signed_in()
    bearer = ADMIN_KEY if operation.tag == "Admin" else body["access_token"]
    answer = await world.client().request(
        operation.method, path_of(operation), content=content, bearer=bearer, headers={"content-type": content_type}
    )
    assert (answer.status, answer.json()["code"]) == answered
    if answer.status == 422:
        assert [set(each) for each in answer.json()["errors"]] == [{"field", "message"}]


@pytest.mark.anyio
async def test_an_unknown_query_parameter_is_refused(session_world: World) -> None:
    client, _ = await session_world.signed_in()
    answer = await client.delete("/v1/sessions?kep=current")
    assert (answer.status, answer.json()["code"]) == (422, "validation_failed")
    assert (await client.get("/v1/sessions/current")).status == 200


def every_error() -> list[errors.DoorwardError]:
    wait = timedelta(seconds=2.1)
    return [
        errors.NotAuthenticated(),
        errors.InvalidCredentials("secret-detail"),
        errors.InvalidToken("secret-detail"),
        errors.SessionEnded("reuse"),
        errors.InvalidGrant("reused", reason="reuse"),
        errors.InvalidGrant("secret-detail"),
        errors.ConflictingCredentials(),
        errors.CsrfFailed("origin"),
        errors.NotPermitted(),
        errors.InsufficientAuthentication(wait),
        errors.NotFound(),
        errors.EmailTaken(),
        errors.WeakPassword(["Add a word."]),
        errors.ValidationFailed([errors.FieldError(field="email", message="no")]),
        errors.RateLimited(wait, "secret-detail"),
        errors.TooEarly(wait),
        errors.Busy(wait),
        errors.StoreUnavailable(wait, "secret-detail"),
        errors.DatabaseUnusable("secret-detail"),
        http_errors.MalformedJson(),
        http_errors.BodyTooLarge(),
        http_errors.UnsupportedMediaType(),
        http_errors.MethodNotAllowed(["GET"]),
        http_errors.InvalidRequest("secret-detail"),
        http_errors.UnsupportedGrantType(),
        http_errors.InvalidClient(),
    ]


BEARER = Request(method="GET", path="/", headers={"authorization": "Bearer x"})
COOKIE = Request(method="GET", path="/", headers={"cookie": "x=y"})


@pytest.mark.rfc("9470", "3")
@pytest.mark.parametrize("request_", [BEARER, COOKIE, None])
def test_where_signing_in_again_helps_the_answer_says_so(request_: Request | None) -> None:
    answer = problem_of(errors.InsufficientAuthentication(timedelta(minutes=5)), request_)
    assert answer.status == 401
    challenge = 'Bearer error="insufficient_user_authentication", max_age="300"'
    assert answer.values("www-authenticate") == [challenge]
    body = json.loads(answer.body)
    assert (body["code"], body["max_age"]) == ("insufficient_user_authentication", 300)


@pytest.mark.rfc("6750", "3.1")
def test_which_scopes_are_needed_is_told_to_whoever_may_ask_for_them() -> None:
    lacking = errors.NotPermitted(scopes={"write", "read"})
    challenge = 'Bearer error="insufficient_scope", scope="read write"'
    assert problem_of(lacking, BEARER).values("www-authenticate") == [challenge]
    assert problem_of(lacking, COOKIE).values("www-authenticate") == []
    assert problem_of(errors.NotPermitted(), BEARER).values("www-authenticate") == []


@pytest.mark.rfc("9457", "3.1")
@pytest.mark.parametrize("error", every_error(), ids=lambda error: error.code)
def test_a_problem_has_its_members_and_no_detail_of_the_log(error: errors.DoorwardError) -> None:
    answer = problem_of(error)
    body: dict[str, Any] = json.loads(answer.body)
    assert answer.values("content-type") == ["application/problem+json"]
    assert body["status"] == answer.status == status_of(type(error)) != 500
    assert body["code"] == error.code
    assert body["type"] == f"urn:doorward:problem:{error.code}"
    assert body["title"]
    assert body["detail"] == error.public
    assert "secret-detail" not in str(body)


@pytest.mark.rfc("6749", "5.2")
@pytest.mark.parametrize("error", every_error(), ids=lambda error: error.code)
def test_an_oauth_error_is_in_oauths_words(error: errors.DoorwardError) -> None:
    answer = oauth_problem_of(error)
    body: dict[str, Any] = json.loads(answer.body)
    assert answer.values("content-type") == ["application/json"]
    assert re.fullmatch(r"[ !#-\[\]-~]+", body["error"])
    assert re.fullmatch(r"[ !#-\[\]-~]+", body["error_description"])
    assert body["error_description"] == error.public
    assert "secret-detail" not in str(body)


def test_members_are_there_where_they_help() -> None:
    def body_of(error: errors.DoorwardError) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(problem_of(error).body)
        return found

    from datetime import timedelta

    assert body_of(errors.SessionEnded("reuse"))["reason"] == "reuse"
    assert body_of(errors.CsrfFailed("origin"))["check"] == "origin"
    assert body_of(errors.WeakPassword(["Add a word."]))["advice"] == ["Add a word."]
    # Rounded up: whoever waits so long has waited long enough.
    late = problem_of(errors.RateLimited(timedelta(seconds=2.1)))
    assert (json.loads(late.body)["retry_after"], late.values("retry-after")) == (3, ["3"])
    assert problem_of(errors.TooEarly(timedelta(0))).values("retry-after") == ["1"]
    assert "reason" not in json.loads(oauth_problem_of(errors.InvalidGrant("forged")).body)


@pytest.mark.rfc("6750", "3")
@pytest.mark.parametrize(
    ("error", "authorization", "challenge"),
    [
        (errors.NotAuthenticated(), None, "Bearer"),
        (errors.InvalidToken(), "Bearer x", 'Bearer error="invalid_token"'),
        (errors.SessionEnded("idle"), "bearer x", 'Bearer error="invalid_token"'),
        (errors.SessionEnded("idle"), None, "Bearer"),
        (errors.SessionEnded("idle"), "Basic x", "Bearer"),
        (errors.InvalidCredentials(), "Bearer x", "Bearer"),
    ],
)
def test_a_401_says_bearer_and_whether_a_token_was_refused(
    error: errors.DoorwardError, authorization: str | None, challenge: str
) -> None:
    headers = {"authorization": authorization} if authorization else {}
    assert problem_of(error, a_request(headers=headers)).values("www-authenticate") == [challenge]


@pytest.mark.anyio
async def test_a_bug_is_logged_and_says_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(**_: object) -> None:
        raise ZeroDivisionError("at " + PASSWORD)

    monkeypatch.setattr(world.auth, "sign_in", broken)
    answer = await world.client().post("/v1/sessions", json={"email": "a@b.example", "password": PASSWORD})
    assert (answer.status, answer.json()["code"]) == (500, "internal_error")
    assert PASSWORD not in answer.body.decode()
    assert len(world.bugs.found) == 1
    assert world.bugs.found.pop().startswith("sign_in failed")


SAYS_NOTHING = logging.DEBUG


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("error", "level"),
    [
        (errors.StoreUnavailable(detail="disk I/O error"), logging.WARNING),
        (errors.Busy(detail="512 jobs wait"), logging.WARNING),
        (errors.Unavailable(detail="no keys"), logging.WARNING),
        (errors.Unavailable(), logging.WARNING),
        (errors.DatabaseUnusable("made with another secret"), logging.ERROR),
        (errors.TooEarly(detail="a reply may be on its way"), SAYS_NOTHING),
        (errors.InvalidCredentials("no such account"), SAYS_NOTHING),
    ],
    ids=lambda each: each.code if isinstance(each, errors.DoorwardError) else "",
)
async def test_the_operator_is_told_what_is_his_to_mend(
    error: errors.DoorwardError, level: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="doorward.http.api")
    async with a_world() as world:
        monkeypatch.setattr(world.auth, "sign_in", failing(error))
        await world.client().post("/v1/sessions", json={"email": "a@b.example", "password": PASSWORD})
        world.bugs.found.clear()
    (said,) = [record for record in caplog.records if record.name == "doorward.http.api"]
    assert said.levelno == level
    assert said.getMessage() == f"sign_in refused: {error.code}: {error.detail or error.public}"


@pytest.mark.anyio
async def test_the_operator_is_told_once_a_second_of_each_kind_and_in_one_short_line(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("doorward.http.refusals.perf_counter", lambda: clock.now)
    monkeypatch.setattr(world.auth, "sign_in", failing(errors.StoreUnavailable(detail="line\n" * 10_000)))
    client, said = world.client(), []
    for clock.now in (0.0, 0.5, 0.999, 1.0, 1.5, 2.0):
        caplog.clear()
        for _ in range(3):
            await client.post("/v1/sessions", json={"email": "a@b.example", "password": PASSWORD})
        said += [(clock.now, record.getMessage()) for record in caplog.records if record.levelno >= logging.WARNING]
    assert [instant for instant, _ in said] == [0.0, 1.0, 2.0]
    assert all("\n" not in message and len(message) < 600 for _, message in said)
    monkeypatch.setattr(world.auth, "sign_in", failing(errors.Busy(detail="full")))
    caplog.clear()
    await client.post("/v1/sessions", json={"email": "a@b.example", "password": PASSWORD})
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def failing(error: Exception) -> Callable[..., Awaitable[None]]:
    async def fail(**_: object) -> None:
        raise error

    return fail


@pytest.mark.anyio
@pytest.mark.parametrize("error", [errors.StoreUnavailable(), errors.DatabaseUnusable("damaged")])
async def test_readiness_names_the_database_that_cannot_be_opened(
    error: errors.DoorwardError, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail() -> None:
        raise error

    async with a_world() as world:
        await world.auth.close()
        monkeypatch.setattr(world.auth, "open", fail)
        answer = await world.client().get("/readyz")
        world.bugs.found.clear()
    assert (answer.status, answer.json()["code"], answer.json()["dependency"]) == (503, error.code, "database")


@pytest.mark.anyio
async def test_a_call_is_observed_once_by_the_name_of_its_operation() -> None:
    from doorward.http.api import Api

    seen: list[tuple[str, int]] = []

    def observe(name: str, status: int, seconds: float) -> None:
        assert seconds >= 0
        seen.append((name, status))

    async with a_world() as world:
        api = Api(world.auth, observer=observe)
        await api.answer(a_request(path="/healthz"))
        await api.answer(a_request(path="/v1/sessions/" + "a" * 16, method="DELETE"))
        await api.answer(a_request(path="/v1/ada@example.com"))
        await api.answer(a_request(path="/v1/sessions", method="OPTIONS"))
    assert seen == [("read_health", 200), ("end_session", 401), ("unknown", 404), ("preflight", 204)]
