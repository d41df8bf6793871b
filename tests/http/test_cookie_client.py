"""The public test client keeps cookies as a browser does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from doorward.testing.cookie_client import CookieClient
from tests.http.world import Clock

pytestmark = pytest.mark.anyio


class Echo:
    """Sets the cookies that it is told to, and remembers what came."""

    def __init__(self, *lines: str) -> None:
        self.lines = lines
        self.scopes: list[Any] = []
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        self.bodies.append((await receive())["body"])
        headers = [(b"set-cookie", line.encode()) for line in self.lines]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ec", "more_body": True})
        await send({"type": "http.response.body", "body": b"ho"})

    def sent(self, name: str) -> str | None:
        headers: dict[bytes, bytes] = dict(self.scopes[-1]["headers"])
        value = headers.get(name.encode())
        return value.decode() if value is not None else None


async def test_cookies_come_back() -> None:
    echo = Echo("a=1; Path=/", "b=2; Path=/; HttpOnly")
    client = CookieClient(echo)
    assert (await client.get("/")).body == b"echo"
    await client.get("/")
    assert echo.sent("cookie") == "a=1; b=2"
    assert client.readable_cookies == {"a": "1"}


@pytest.mark.parametrize(
    ("base_url", "line", "taken"),
    [
        ("http://127.0.0.1:8000", "a=1; Secure", True),
        ("http://localhost", "a=1; Secure", True),
        ("http://intranet.example", "a=1; Secure", False),
        ("https://intranet.example", "a=1; Secure", True),
        ("http://127.0.0.1:8000", "__Host-a=1; Secure; Path=/", False),
        ("https://a.example", "__Host-a=1; Secure; Path=/", True),
        ("https://a.example", "__Host-a=1; Path=/", False),
        ("https://a.example", "__Host-a=1; Secure", False),
        ("https://a.example", "__Host-a=1; Secure; Path=/x", False),
        ("https://a.example", "__Host-a=1; Secure; Path=/; Domain=a.example", False),
        ("https://a.example", "a=1; Domain=b.example", False),
        ("https://a.example", "a=1; Domain=a.example", True),
    ],
)
async def test_a_cookie_is_taken_as_a_browser_takes_it(base_url: str, line: str, *, taken: bool) -> None:
    client = CookieClient(Echo(line), base_url=base_url)
    await client.get("/")
    assert bool(client.cookies) is taken


async def test_cookies_expire_and_are_deleted() -> None:
    clock, echo = Clock(), Echo("a=1; Max-Age=60; Path=/")
    client = CookieClient(echo, clock=clock)
    await client.get("/")
    clock.advance(59)
    assert client.cookies == {"a": "1"}
    clock.advance(1)
    assert client.cookies == {}
    await client.get("/")
    echo.lines = ("a=; Max-Age=0; Path=/",)
    await client.get("/")
    assert client.cookies == {}


async def test_cookies_stay_below_their_path() -> None:
    echo = Echo("a=1; Path=/auth")
    client = CookieClient(echo)
    await client.get("/")
    await client.get("/other")
    assert echo.sent("cookie") is None
    await client.get("/auth/x?y=/z")
    assert echo.sent("cookie") == "a=1"


async def test_a_lost_answer_leaves_the_jar_as_it_was() -> None:
    client = CookieClient(Echo("a=1"))
    await client.get("/", keep_cookies=False)
    assert client.cookies == {}


async def test_a_copy_is_a_thiefs() -> None:
    echo = Echo()
    client = CookieClient(echo)
    client.plant("a", "1")
    thief = client.copy(user_agent="thief")
    thief.plant("a", "2")
    await client.get("/")
    assert (echo.sent("cookie"), echo.sent("user-agent")) == ("a=1", "doorward-cookie-client")
    await thief.get("/")
    assert (echo.sent("cookie"), echo.sent("user-agent")) == ("a=2", "thief")


async def test_a_call_that_changes_something_says_from_which_page() -> None:
    echo = Echo()
    for page, origin, site in (
        ("", "http://127.0.0.1:8000", "same-origin"),
        ("https://evil.example", "https://evil.example", "cross-site"),
        (None, None, None),
    ):
        await CookieClient(echo, page=page).post("/")
        assert (echo.sent("origin"), echo.sent("sec-fetch-site")) == (origin, site)
    await CookieClient(echo).post("/", headers={"Origin": None, "X-More": "1"})
    assert (echo.sent("origin"), echo.sent("x-more")) == (None, "1")
    await CookieClient(echo).get("/")
    assert echo.sent("origin") is None


async def test_bodies_say_what_they_are() -> None:
    echo = Echo()
    client = CookieClient(echo)
    await client.put("/", json={"a": 1}, bearer="t")
    assert (echo.bodies[-1], echo.sent("content-type")) == (b'{"a": 1}', "application/json")
    assert echo.sent("authorization") == "Bearer t"
    await client.patch("/", form=[("a", "1"), ("a", "&")])
    assert (echo.bodies[-1], echo.sent("content-type")) == (b"a=1&a=%26", "application/x-www-form-urlencoded")
    await client.delete("/", content=b"raw")
    assert (echo.bodies[-1], echo.sent("content-type")) == (b"raw", None)


async def test_it_talks_to_a_real_server_as_well() -> None:
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append(head + await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])))
        writer.write(b"HTTP/1.1 201 Created\r\nSet-Cookie: a=1; Secure; Path=/\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        client = CookieClient(f"http://127.0.0.1:{port}/auth")
        answer = await client.post("/v1/sessions?x=1", json={})
        assert (answer.status, answer.body, answer.header("set-cookie")) == (201, b"ok", "a=1; Secure; Path=/")
        await client.get("/")
    assert seen[0].startswith(b"POST /auth/v1/sessions?x=1 HTTP/1.1\r\n")
    assert b"\r\norigin: http://127.0.0.1:%d\r\n" % port in seen[0]
    assert seen[0].endswith(b"\r\n\r\n{}")
    assert b"\r\ncookie: a=1\r\n" in seen[1]


async def test_a_server_that_hangs_up_is_told() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectionError):
            await CookieClient(f"http://127.0.0.1:{port}").get("/")
