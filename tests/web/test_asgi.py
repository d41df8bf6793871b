from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from doorward.doorward import Doorward
from doorward.errors import ConfigurationError, DatabaseUnusable
from doorward.http.message import LARGEST_BODY
from doorward.testing.cookie_client import CookieClient
from doorward.web.asgi import (
    AuthenticationMiddleware,
    DoorwardApp,
    path_below_mount,
    read_body,
    recognise_scope,
    request_of,
)
from tests.http.world import World, a_world

pytestmark = pytest.mark.anyio


def a_scope(**changes: Any) -> dict[str, Any]:
    scope = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "path": "/healthz",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1:8000")],
        "client": ("10.0.0.7", 1234),
    }
    return {**scope, **changes}


async def talk(app: Any, scope: dict[str, Any], *messages: dict[str, Any]) -> list[Any]:
    """Give an application its messages, and what it sends."""
    waiting, sent = list(messages), []

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


def part(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def a_doorward() -> Doorward:
    return Doorward("memory:", secret="the secret of a deployment in tests", insecure_fast_hashing=True)


@asynccontextmanager
async def opened() -> AsyncIterator[DoorwardApp]:
    async with a_doorward() as auth:
        yield DoorwardApp(auth)


# Requests


@pytest.mark.parametrize(
    ("path", "root_path", "below"),
    [
        ("/v1/sessions", "", "/v1/sessions"),
        ("/auth/v1/sessions", "/auth", "/v1/sessions"),
        ("/auth/v1/sessions", "/auth/", "/v1/sessions"),
        ("/a/b/v1/sessions", "/a/b", "/v1/sessions"),
        ("/auth", "/auth", "/"),
        ("/auth/", "/auth", "/"),
        ("", "", "/"),
        # A server that has taken the prefix off already.
        ("/v1/sessions", "/auth", "/v1/sessions"),
        ("/authority/x", "/auth", "/authority/x"),
        ("/auth/auth/x", "/auth", "/auth/x"),
    ],
)
async def test_the_path_is_what_is_below_the_mount(path: str, root_path: str, below: str) -> None:
    assert path_below_mount(a_scope(path=path, root_path=root_path)) == below


async def test_the_host_header_decides_nothing_about_the_path() -> None:
    scope = a_scope(path="/v1/sessions", headers=[(b"host", b"x/healthz?")])
    assert request_of(scope).path == "/v1/sessions"


async def test_a_scope_becomes_a_request() -> None:
    headers = [(b"host", b"a.example"), (b"cookie", b"a=1"), (b"cookie", b"b=2"), (b"origin", b"x"), (b"origin", b"y")]
    request = request_of(a_scope(query_string=b"limit=1", headers=headers, scheme="https"), b"body")
    assert (request.method, request.query, request.body, request.client) == ("GET", "limit=1", b"body", "10.0.0.7")
    assert request.https
    # RFC 9113 section 8.2.3 for cookies; of others two are none that we know.
    assert request.headers == {"host": "a.example", "cookie": "a=1; b=2", "origin": "x, y"}
    assert request_of(a_scope(client=None)).client is None


async def test_a_websockets_handshake_counts_as_a_change() -> None:
    scope = a_scope(type="websocket", scheme="wss")
    request = request_of(scope)
    assert (request.method, request.scheme) == ("WEBSOCKET", "https")


async def test_a_user_agent_has_its_bound() -> None:
    request = request_of(a_scope(headers=[(b"user-agent", b"x" * 5000)]))
    assert len(request.origin.user_agent or "") == 400


def test_a_deployment_that_holds_up_the_event_loop_is_refused_before_any_request() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("no request was made")

    mounts: list[Callable[[Doorward], object]] = [
        DoorwardApp,
        lambda auth: AuthenticationMiddleware(application, auth),
    ]
    for mount in mounts:
        with pytest.raises(ConfigurationError) as refused:
            mount(Doorward("memory:", secret="the secret of a deployment in tests", blocking=True))
        (problem,) = refused.value.problems
        assert problem.id == "DW104"
        assert "blocking" in problem.remedy


# Bodies


async def body_of(scope: dict[str, Any], *messages: dict[str, Any]) -> tuple[bytes | None, int]:
    """The body, and how many messages were left unread."""
    waiting = list(messages)

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    return await read_body(scope, receive), len(waiting)


async def test_a_body_is_read_in_its_parts() -> None:
    parts = (part(b"a", more=True), part(b"", more=True), {"type": "http.request", "body": b"b"})
    assert await body_of(a_scope(), *parts) == (b"ab", 0)
    assert await body_of(a_scope(), {"type": "http.request"}) == (b"", 0)


async def test_no_more_is_read_than_tells_that_it_is_too_large() -> None:
    big = part(b"x" * (LARGEST_BODY // 2 + 1), more=True)
    body, unread = await body_of(a_scope(), big, big, big, big)
    assert (len(body or b""), unread) == (LARGEST_BODY + 1, 2)


async def test_nothing_is_read_of_a_body_that_says_it_is_too_large() -> None:
    for said in (str(LARGEST_BODY + 1), "9" * 5000):
        scope = a_scope(headers=[(b"content-length", said.encode())])
        assert await body_of(scope, part(b"x")) == (b"", 1)
    for said in (str(LARGEST_BODY), "-1", "nonsense", ""):
        scope = a_scope(headers=[(b"content-length", said.encode())])
        assert await body_of(scope, part(b"x")) == (b"x", 0)


async def test_a_client_that_goes_away_gets_no_answer() -> None:
    async with opened() as app:
        scope = a_scope(method="POST", path="/v1/sessions")
        assert await talk(app, scope, part(b"{", more=True), {"type": "http.disconnect"}) == []


# Answers


async def test_an_answer_is_one_start_and_one_body() -> None:
    async with opened() as app:
        start, body = await talk(app, a_scope())
        assert (start["type"], start["status"]) == ("http.response.start", 200)
        assert (b"content-length", b"15") in start["headers"]
        assert body == {"type": "http.response.body", "body": b'{"status":"ok"}'}
        assert all(name == name.lower() for name, _ in start["headers"])


async def test_head_keeps_the_length_and_drops_the_body() -> None:
    async with opened() as app:
        start, body = await talk(app, a_scope(method="HEAD"))
        assert (b"content-length", b"15") in start["headers"]
        assert body["body"] == b""


async def test_204_has_no_length() -> None:
    async with opened() as app:
        start, _ = await talk(app, a_scope(method="OPTIONS"))
        assert start["status"] == 204
        assert b"content-length" not in dict(start["headers"])


async def test_a_websocket_is_refused_before_it_is_accepted() -> None:
    async with opened() as app:
        sent = await talk(app, a_scope(type="websocket"), {"type": "websocket.connect"})
        assert [message["type"] for message in sent] == ["websocket.close"]


# Opening


def is_open(auth: Doorward) -> bool:
    return auth.is_open


async def test_it_opens_and_closes_with_the_server() -> None:
    auth = a_doorward()
    messages = asyncio.Queue[dict[str, Any]]()
    sent = asyncio.Queue[dict[str, Any]]()
    running = asyncio.create_task(DoorwardApp(auth)({"type": "lifespan"}, messages.get, sent.put))  # type: ignore[arg-type]
    await messages.put({"type": "lifespan.startup"})
    assert await sent.get() == {"type": "lifespan.startup.complete"}
    assert is_open(auth)
    await messages.put({"type": "lifespan.shutdown"})
    assert await sent.get() == {"type": "lifespan.shutdown.complete"}
    assert not is_open(auth)
    await running


async def test_what_somebody_else_has_opened_is_theirs_to_close() -> None:
    async with opened() as app:
        await talk(app, {"type": "lifespan"}, {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
        assert app.auth.is_open


async def test_a_start_that_fails_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    auth = a_doorward()

    async def unusable() -> None:
        raise DatabaseUnusable("The file is read-only. Make it writable.")

    monkeypatch.setattr(auth, "open", unusable)
    sent = await talk(DoorwardApp(auth), {"type": "lifespan"}, {"type": "lifespan.startup"})
    assert sent == [{"type": "lifespan.startup.failed", "message": "The file is read-only. Make it writable."}]


async def test_mounted_without_a_start_it_opens_with_the_first_request() -> None:
    auth = a_doorward()
    app = DoorwardApp(auth)
    await talk(app, a_scope())
    assert not is_open(auth)  # that the process lives is no question to the store
    scopes = [a_scope(path="/auth/.well-known/jwks.json", root_path="/auth") for _ in range(20)]
    answers = await asyncio.gather(*(talk(app, scope) for scope in scopes))
    assert {start["status"] for start, _ in answers} == {200}
    assert is_open(auth)
    await auth.close()


# The middleware


async def whoami(scope: Any, receive: Any, send: Any) -> None:
    principal, refusal = scope["doorward.principal"], scope["doorward.refusal"]
    body = f"{principal.subject if principal else None} {type(refusal).__name__}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def test_the_middleware_says_who_it_is_or_why_nobody() -> None:
    async with a_world(strategy="session") as world:
        account = await world.sign_up()
        client, _ = await world.signed_in()
        app = AuthenticationMiddleware(whoami, world.auth)
        there = CookieClient(app)
        assert (await there.get("/page")).body == b"None NotAuthenticated"
        for name, value in client.cookies.items():
            there.plant(name, value)
        assert (await there.get("/page")).body == f"{account} NoneType".encode()
        forged = await there.post("/page", headers={"sec-fetch-site": "cross-site"})
        assert forged.body == b"None CsrfFailed"
        await client.delete("/v1/sessions/current")
        assert (await there.get("/page")).body == b"None SessionEnded"


async def test_the_middleware_opens_what_is_closed_and_leaves_a_lifespan_alone() -> None:
    auth = a_doorward()
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)

    middleware = AuthenticationMiddleware(app, auth)
    await talk(middleware, {"type": "lifespan"})
    assert scopes == [{"type": "lifespan"}]
    await talk(middleware, a_scope(type="websocket"))
    assert is_open(auth)
    assert scopes[1]["doorward.principal"] is None
    await auth.close()


async def test_a_foreign_page_opens_no_websocket_by_cookie() -> None:
    async with a_world(strategy="session") as world:
        await world.sign_up()
        client, _ = await world.signed_in()
        cookie = f"doorward_session={client.cookies['doorward_session']}".encode()
        seen: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            seen.append(scope["doorward.principal"])

        # Also once the cookie has been seen before: memory recognises no handshake.
        for origin in (b"https://evil.example", b"http://127.0.0.1:8000", b"https://evil.example"):
            headers = [(b"host", b"127.0.0.1:8000"), (b"cookie", cookie), (b"origin", origin)]
            scope = a_scope(type="websocket", scheme="ws", headers=headers)
            await talk(AuthenticationMiddleware(app, world.auth), scope)
        assert [principal is not None for principal in seen] == [False, True, False]


async def test_a_header_that_is_there_twice_is_not_recognised_by_one_of_them() -> None:
    async with a_world(strategy="session") as world:
        await world.sign_up()
        client, _ = await world.signed_in()
        await client.get("/v1/sessions/current")
        cookie = f"doorward_session={client.cookies['doorward_session']}".encode()
        known = a_scope(headers=[(b"cookie", cookie)])
        assert recognise_scope(world.auth, known) is not None
        for name, value in ((b"cookie", b"doorward_session=planted"), (b"authorization", b"Bearer x")):
            for headers in ([(b"cookie", cookie), (name, value)], [(name, value), (b"cookie", cookie)]):
                assert recognise_scope(world.auth, a_scope(headers=headers)) is None
        twice = a_scope(headers=[(b"authorization", b"Bearer x"), (b"authorization", b"Bearer y")])
        assert recognise_scope(world.auth, twice) is None


async def test_a_world_is_served_under_a_prefix(world_under_prefix: World) -> None:
    client = world_under_prefix.client()
    start, _ = await talk(client._target, a_scope(path="/auth/healthz", root_path="/auth"))
    assert start["status"] == 200


@pytest.fixture
async def world_under_prefix() -> AsyncIterator[World]:
    async with a_world(issuer="http://127.0.0.1:8000/auth") as made:
        yield made
