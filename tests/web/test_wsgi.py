from __future__ import annotations

import gc
import io
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import httpx
import pytest
from werkzeug.test import Client

from doorward.accounts.model import AccountChange
from doorward.audit.model import Actor, Origin
from doorward.blocking import run_blocking
from doorward.doorward import Doorward
from doorward.errors import ConfigurationError, NotAuthenticated, SessionEnded
from doorward.http.message import LARGEST_BODY
from doorward.secret import Secret
from doorward.web.wsgi import AuthenticationMiddleware, DoorwardApp, Mounted, identify, open_here, read_body, request_of
from tests.web.gunicorn import a_gunicorn

PERSON = {"email": "ada@example.com", "password": "a walrus in seven teapots"}
WITHIN_SECONDS = 30


@contextmanager
def opened(database: str = "memory:", **options: Any) -> Iterator[Doorward]:
    options = {"strategy": "session", "insecure_fast_hashing": True, "rate_limits": False, **options}
    auth = Doorward(database, blocking=True, **options)
    try:
        open_here(auth)
        yield auth
    finally:
        run_blocking(auth.close())


def eventually(happened: Callable[[], bool]) -> None:
    until = time.monotonic() + WITHIN_SECONDS
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.02)


def an_environ(**changes: Any) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/v1/sessions",
        "HTTP_HOST": "127.0.0.1:8000",
        "REMOTE_ADDR": "10.0.0.7",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        **changes,
    }


def who(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    principal, refusal = environ["doorward.principal"], environ["doorward.refusal"]
    start_response("200 OK", [])
    return [principal.session_id.encode() if principal else type(refusal).__name__.encode()]


# Converting


def test_a_request_is_what_the_environment_tells_of() -> None:
    request = request_of(
        an_environ(
            PATH_INFO="/caf\xc3\xa9",
            QUERY_STRING="keep=current",
            HTTP_X_CSRF_TOKEN="token",
            CONTENT_TYPE="application/json",
            CONTENT_LENGTH="",
        )
    )
    assert (request.path, request.query, request.client) == ("/café", "keep=current", "10.0.0.7")
    assert request.headers == {
        "host": "127.0.0.1:8000",
        "x-csrf-token": "token",
        "content-type": "application/json",
    }
    assert request_of(an_environ(PATH_INFO="", REMOTE_ADDR="")).path == "/"
    assert request_of(an_environ(PATH_INFO="/\xff\udcff")).path == "/\ufffd?"


@pytest.mark.parametrize(
    ("said", "terminated", "sent", "read"),
    [
        ("4", False, b"abcdef", 4),
        ("9", False, b"abc", 3),
        ("", False, b"abc", 0),
        ("", True, b"abc", 3),
        ("-1", False, b"abc", 0),
        ("", True, b"x" * (LARGEST_BODY + 9), LARGEST_BODY + 1),
        (str(LARGEST_BODY), False, b"x" * LARGEST_BODY, LARGEST_BODY),
        (str(LARGEST_BODY + 1), False, b"x" * (LARGEST_BODY + 1), 0),
        ("9" * 4_000, False, b"abc", 0),
    ],
)
def test_no_more_of_a_body_is_read_than_tells_that_it_is_too_large(
    said: str,
    terminated: bool,  # noqa: FBT001 -- a row of the table
    sent: bytes,
    read: int,
) -> None:
    environ = an_environ(REQUEST_METHOD="POST", CONTENT_LENGTH=said, **{"wsgi.input": io.BytesIO(sent)})
    environ["wsgi.input_terminated"] = terminated
    assert len(read_body(environ)) == read
    assert read_body({**environ, "REQUEST_METHOD": "GET"}) == b""


# The contract


def test_the_contract_is_served_below_a_prefix_and_the_application_everywhere_else() -> None:
    with opened() as auth:
        browser = Client(Mounted(AuthenticationMiddleware(who, auth), auth, "/auth/"))
        assert browser.get("/auth/v1/sessions/current").status_code == 401
        assert browser.post("/auth/v1/accounts", json=PERSON).status_code == 201
        answer = browser.post("/auth/v1/sessions", json=PERSON)
        assert (answer.status, answer.headers["content-type"]) == ("201 Created", "application/json")
        session = answer.get_json()["session"]["id"]
        assert browser.get("/").text == browser.get("/authors").text == session
        head: Any = DoorwardApp(auth)(an_environ(REQUEST_METHOD="HEAD", PATH_INFO="/healthz"), Mock())
        assert head == []
        csrf = {"x-csrf-token": answer.get_json()["csrf_token"]}
        assert browser.delete("/auth/v1/sessions/current").get_json()["code"] == "csrf_failed"
        assert browser.delete("/auth/v1/sessions/current", headers=csrf).status == "204 No Content"
        assert browser.get("/").text == "NotAuthenticated"


@pytest.mark.rfc("9110", "12.5.5")
def test_what_is_behind_the_middleware_varies_by_who_asks() -> None:
    def answer(_: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Vary", "Accept")])
        return [b"hello"]

    with opened() as auth:
        response = Client(AuthenticationMiddleware(answer, auth)).get("/")
        assert response.headers.getlist("vary") == ["Accept, Cookie, Authorization"]


def test_what_is_too_large_is_refused_by_what_it_says() -> None:
    with opened() as auth:
        answer = Client(DoorwardApp(auth)).post("/v1/sessions", data=b"x" * (LARGEST_BODY + 1))
        assert (answer.status_code, answer.get_json()["code"]) == (413, "body_too_large")


def test_it_opens_with_the_first_request_and_health_checks_are_answered_without(tmp_path: Path) -> None:
    auth = Doorward(f"sqlite:///{tmp_path}/nowhere/app.db", blocking=True)
    client = Client(DoorwardApp(auth))
    assert client.get("/healthz").status_code == 200
    refused = client.get("/v1/sessions")
    assert (refused.status_code, refused.get_json()["code"]) == (503, "database_unusable")
    principal, refusal = identify(auth, an_environ())
    assert (principal, refusal and refusal.code) == (None, "database_unusable")
    (tmp_path / "nowhere").mkdir()
    assert client.get("/v1/sessions").status_code == 401
    assert auth.is_open
    run_blocking(auth.close())


def test_threads_that_come_first_open_once() -> None:
    app = DoorwardApp(Doorward("memory:", blocking=True))
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: Client(app).get("/v1/sessions").status_code, range(16)))
    assert statuses == [401] * 16
    run_blocking(app.auth.close())


def test_a_store_that_suspends_is_refused_behind_a_synchronous_edge_before_any_request() -> None:
    auth = Doorward("memory:")
    for edge in (DoorwardApp, lambda auth: AuthenticationMiddleware(who, auth)):
        with pytest.raises(ConfigurationError, match=r"DW100: .* Make it with Doorward\(\.\.\., blocking=True\)"):
            edge(auth)


def test_the_stream_of_revocations_needs_an_event_loop_and_digests_do_not() -> None:
    with opened(admin_key=Secret("an-admin-key-that-nobody-guesses")) as auth:
        client = Client(DoorwardApp(auth))
        assert client.post("/v1/accounts", json=PERSON).status_code == 201
        account = client.post("/v1/sessions", json=PERSON).get_json()["account"]["id"]
        admin = {"authorization": "Bearer an-admin-key-that-nobody-guesses"}
        assert client.get("/v1/revocations", headers=admin).status_code == 503
        before = client.get("/v1/revocations/digest", headers=admin).get_json()
        run_blocking(auth.change_account(account, AccountChange(disabled=True), actor=Actor()))
        after = client.get("/v1/revocations/digest", headers=admin).get_json()
        assert before["digests"] == {}
        assert len(after["digests"]) >= 1


# Keeping up to date


def a_session(auth: Doorward) -> tuple[str, Secret]:
    signed_in = run_blocking(
        auth.sign_in(email=PERSON["email"], password=Secret(PERSON["password"]), origin=Origin(ip=None))
    )
    assert signed_in.credentials.handle is not None
    return signed_in.session.id, signed_in.credentials.handle


def is_fresh(auth: Doorward) -> bool:
    return auth.deployment.is_fresh


def has_ended(thread: threading.Thread) -> bool:
    return not thread.is_alive()


def thread_of(auth: Doorward) -> threading.Thread | None:
    return auth._watching_thread._thread


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Doorward, Doorward]]:
    """Two processes' worth of one deployment."""
    with opened(f"sqlite:///{tmp_path}/app.db") as here, opened(f"sqlite:///{tmp_path}/app.db") as there:
        run_blocking(here.sign_up(email=PERSON["email"], password=Secret(PERSON["password"]), actor=Actor()))
        yield here, there


def test_what_another_process_ends_is_learnt_in_the_background(two: tuple[Doorward, Doorward]) -> None:
    here, there = two
    session, handle = a_session(here)
    for _ in range(2):
        assert run_blocking(there.authenticate(handle=handle)).session_id == session
    assert there.deployment.cookies.hits == 1  # from memory, as under an event loop
    run_blocking(here.end_session(session, account_id=None, actor=Actor()))
    eventually(lambda: session in there.deployment.live.sessions)
    with pytest.raises(SessionEnded):
        run_blocking(there.authenticate(handle=handle))


def test_without_the_thread_every_request_looks_into_the_store(two: tuple[Doorward, Doorward]) -> None:
    here, there = two
    session, handle = a_session(here)
    run_blocking(there.authenticate(handle=handle))
    there._watching_thread.stop()
    assert not there.deployment.is_fresh
    run_blocking(here.end_session(session, account_id=None, actor=Actor()))
    with pytest.raises(SessionEnded):
        run_blocking(there.authenticate(handle=handle))
    assert there.deployment.cookies.hits == 0


def test_a_process_that_was_forked_starts_a_thread_of_its_own() -> None:
    with opened() as auth:
        first, over = thread_of(auth), auth._watching_thread._over
        assert first is not None
        open_here(auth)
        assert thread_of(auth) is first
        auth._watching_thread._process = -1  # what a fork makes of it
        assert not is_fresh(auth)
        open_here(auth)
        assert thread_of(auth) is not first
        assert is_fresh(auth)
        over.set()


def test_the_thread_ends_with_closing_and_with_whoever_held_it_and_a_command_has_none() -> None:
    with opened() as auth:
        thread = thread_of(auth)
        assert thread is not None
        assert thread.daemon
    assert has_ended(thread)
    lost = Doorward("memory:", blocking=True, insecure_fast_hashing=True)
    run_blocking(lost.open())
    assert thread_of(lost) is None
    assert not lost.deployment.is_fresh
    open_here(lost)
    thread = thread_of(lost)
    assert thread is not None
    del lost
    gc.collect()
    thread.join(WITHIN_SECONDS)
    assert has_ended(thread)


def test_a_store_that_fails_for_a_while_does_not_end_the_thread(two: tuple[Doorward, Doorward]) -> None:
    here, there = two
    failed, store = threading.Event(), there.deployment.store
    reads = store.revocations

    async def broken() -> Any:
        failed.set()
        raise RuntimeError("a bug")

    store.revocations = broken  # type: ignore[method-assign]
    assert failed.wait(WITHIN_SECONDS)
    store.revocations = reads  # type: ignore[method-assign]
    session, _ = a_session(here)
    run_blocking(here.end_session(session, account_id=None, actor=Actor()))
    eventually(lambda: session in there.deployment.live.sessions)


# Forked workers


@pytest.mark.parametrize("engine", ["sqlite", "postgres", "redis"])
def test_a_session_that_ends_in_one_worker_of_gunicorn_is_refused_in_the_other(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    stores = {"WSGI_APP_DATABASE": "sqlite:///app.db"}
    if engine == "postgres":
        stores = {"WSGI_APP_DATABASE": request.getfixturevalue("postgres").emptied()}
    elif engine == "redis":
        stores["WSGI_APP_REDIS"] = request.getfixturevalue("valkey").emptied()
    with (
        a_gunicorn("tests.web.wsgi_app:app", tmp_path, ready="/auth/readyz", **stores) as address,
        httpx.Client(base_url=address, timeout=30) as client,
    ):
        assert client.post("/auth/v1/accounts", json=PERSON).status_code == 201
        signed_in = [client.post("/auth/v1/sessions", json=PERSON).json() for _ in range(12)]
        bearer = {"authorization": f"Bearer {signed_in[0]['access_token']}"}

        def each_worker() -> dict[int, Any]:
            """What each of the two says."""
            said: dict[int, Any] = {}

            def ask(_: int) -> dict[str, Any]:
                # A connection of its own, so that either worker may take it.
                answer: dict[str, Any] = client.get("/", headers={**bearer, "connection": "close"}).json()
                return answer

            def both() -> bool:
                with ThreadPoolExecutor(4) as pool:
                    said.update({answer["process"]: answer for answer in pool.map(ask, range(4))})
                return len(said) == 2

            eventually(both)
            return said

        session = signed_in[0]["session"]["id"]
        assert {each["session"] for each in each_worker().values()} == {session}
        assert client.delete("/auth/v1/sessions/current", headers=bearer).status_code == 204
        # Only what a worker's own thread reads can tell it: an access token is checked in memory.
        eventually(lambda: all(each["refusal"] == "session_ended" for each in each_worker().values()))
        numbers = [status_index(each["access_token"]) for each in signed_in]
        assert len(set(numbers)) == len(numbers)  # workers were forked from one that had numbers in stock


def status_index(token: str) -> int:
    import base64
    import json

    body = token.split(".")[1]
    index: int = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))["status"]["status_list"]["idx"]
    return index


def test_nobody_is_told_of_as_nobody() -> None:
    with opened() as auth:
        principal, refusal = identify(auth, an_environ())
        assert principal is None
        assert isinstance(refusal, NotAuthenticated)
