"""The example of forward authentication behind a real nginx: browser, nginx, Doorward, an application, a verifier."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from doorward.errors import InvalidToken
from doorward.tokens.access import read_unverified_access_token
from doorward.verifier import Verifier
from tests.e2e.servers import ADA, Server, free_port, sign_up
from tests.nginx import an_nginx, missing

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(missing() is not None, reason=missing() or ""),
]
ON_A_PAGE = {"Sec-Fetch-Site": "same-origin"}


class Application(ThreadingHTTPServer):
    """What is behind nginx: it answers with what it was sent, and notes it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Echo)
        self.seen: list[str] = []


class _Echo(BaseHTTPRequestHandler):
    server: Application

    def do_GET(self) -> None:
        self.server.seen.append(f"{self.command} {self.path}")
        body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = json.dumps({"method": self.command, "headers": headers, "body": body}).encode()
        self.send_response(500 if self.path == "/broken" else 200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET  # noqa: N815 -- http.server's name

    def log_message(self, *args: Any) -> None:
        """Nobody reads it."""


@contextmanager
def an_application() -> Iterator[Application]:
    server = Application()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(slots=True, kw_only=True)
class Site:
    address: str
    doorward: Server
    application: Application
    verifier: Verifier
    log: Path
    browsers: list[httpx.AsyncClient] = field(default_factory=list)

    def browser(self) -> httpx.AsyncClient:
        self.browsers.append(httpx.AsyncClient(base_url=self.address, headers=ON_A_PAGE, timeout=30))
        return self.browsers[-1]

    async def signed_in(self) -> httpx.AsyncClient:
        browser = self.browser()
        answer = await browser.post("/v1/sessions", json=ADA)
        assert answer.status_code == 201, answer.text
        # httpx sends no Secure cookie over plain HTTP, browsers do on loopback.
        value = browser.cookies["doorward_session"]
        browser.cookies.clear()
        browser.cookies.set("doorward_session", value)
        return browser

    async def command(self, *arguments: str) -> Any:
        return await asyncio.to_thread(self.doorward.command, *arguments)


@pytest.fixture(scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    doorward = Server(
        tmp_path_factory.mktemp("doorward"),
        STRATEGY="session",
        ISSUER=address,
        FORWARD_AUDIENCE="intranet",
        MAX_STALENESS="2",
        LOST_REPLY_WINDOW="300",
    )
    await doorward.start()
    with (
        an_application() as application,
        an_nginx(
            port,
            doorward=doorward.address.removeprefix("http://"),
            application=f"127.0.0.1:{application.server_port}",
        ) as log,
    ):
        added = await asyncio.to_thread(doorward.command, "verifiers", "add", "intranet", "--json")
        verifier = Verifier(
            issuer=address,
            audience="intranet",
            credential=added["credential"],
            max_staleness=timedelta(seconds=2),
            start_within=timedelta(seconds=30),
            insecure_http=True,
        )
        async with httpx.AsyncClient(base_url=address, headers=ON_A_PAGE) as client:
            await sign_up(client)
        site = Site(address=address, doorward=doorward, application=application, verifier=verifier, log=log)
        try:
            async with verifier:
                yield site
        finally:
            for browser in site.browsers:
                await browser.aclose()
            doorward.kill()


async def eventually(true: Callable[[], bool]) -> None:
    """Wait for what is on its way; no test passes or fails by how long that takes."""
    until = time.monotonic() + 30
    while not true():
        assert time.monotonic() < until, "it has not come to that"
        await asyncio.sleep(0.01)


def is_refused(verifier: Verifier, token: str) -> bool:
    try:
        verifier.verify(token)
    except InvalidToken:
        return True
    return False


def token_of(answer: httpx.Response) -> str:
    scheme, _, token = answer.json()["headers"]["authorization"].partition(" ")
    assert scheme == "Bearer"
    return str(token)


async def test_who_is_not_signed_in_does_not_reach_the_application(site: Site) -> None:
    before = len(site.application.seen)
    answer = await site.browser().get("/page")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert len(site.application.seen) == before


async def test_the_application_gets_headers_and_a_token_in_place_of_the_cookie(site: Site) -> None:
    browser = await site.signed_in()
    browser.cookies.set("theme", "dark")
    answer = await browser.get("/page")
    assert answer.status_code == 200
    seen = answer.json()["headers"]
    assert "doorward" not in seen["cookie"]
    assert "theme=dark" in seen["cookie"]
    principal = site.verifier.verify(token_of(answer), revocation="immediate")
    assert (principal.subject, principal.session_id) == (seen["x-auth-subject"], seen["x-auth-session"])
    assert "x-auth-roles" not in seen
    # The browser sees nothing of it.
    assert not {"authorization", "x-auth-subject", "set-cookie"} & {name.lower() for name in answer.headers}


async def test_a_session_cookie_that_is_there_twice_does_not_get_through_either(site: Site) -> None:
    browser = await site.signed_in()
    value = browser.cookies["doorward_session"]
    async with httpx.AsyncClient(base_url=site.address, timeout=30) as other:
        twice = f"a=b; doorward_session={value}; doorward_session={value}; c=d"
        answer = await other.get("/page", headers={"Cookie": twice})
    assert answer.status_code == 200
    assert value not in json.dumps(answer.json())


async def test_what_a_client_says_of_itself_never_arrives(site: Site) -> None:
    lies = {
        "X-Auth-Subject": "somebody", "X-Auth-Session": "another", "X-Auth-Roles": "admin",
        "X_Auth_Roles": "admin", "Authorization": "Basic YTpi",
    }  # fmt: skip
    assert (await site.browser().get("/page", headers=lies)).status_code == 401
    answer = await (await site.signed_in()).get("/page", headers=lies)
    seen = answer.json()["headers"]
    assert {"somebody", "another", "admin", "Basic YTpi"}.isdisjoint(seen.values())
    assert site.verifier.verify(token_of(answer)).subject == seen["x-auth-subject"]


async def test_a_page_of_the_site_may_post_and_a_foreign_one_may_not(site: Site) -> None:
    browser, before = await site.signed_in(), len(site.application.seen)
    for headers in (
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site", "X-Original-Method": "GET"},
        {"Sec-Fetch-Site": "cross-site", "X-Forwarded-Method": "GET"},
    ):
        answer = await browser.post("/transfer", content="all of it", headers=headers)
        assert answer.status_code == 403
    # A link on a foreign page may be followed; a websocket may not be opened from there.
    assert (await browser.get("/page", headers={"Sec-Fetch-Site": "cross-site"})).status_code == 200
    handshake = {"Sec-Fetch-Site": "cross-site", "Sec-WebSocket-Key": "eA==", "Upgrade": "websocket"}
    assert (await browser.get("/socket", headers=handshake)).status_code == 403
    answer = await browser.post("/transfer", content="a little")
    assert (answer.status_code, answer.json()["method"], answer.json()["body"]) == (200, "POST", "a little")
    assert site.application.seen[before:] == ["GET /page", "POST /transfer"]


async def test_no_page_gets_a_token_for_its_cookie(site: Site) -> None:
    browser = await site.signed_in()
    for path in ("/v1/check?token=true", "/v1/check", "/_check", "/v1//check", "/v1/%63heck?token=true"):
        answer = await browser.get(path)
        assert "authorization" not in answer.headers, path
        assert answer.status_code == 404, path


async def test_signing_out_refuses_at_once_and_the_token_that_was_handed_out_with_it(site: Site) -> None:
    browser = await site.signed_in()
    token = token_of(await browser.get("/page"))
    assert not is_refused(site.verifier, token)
    assert (await browser.delete("/v1/sessions/current")).status_code == 204
    assert (await browser.get("/page")).status_code == 401
    await eventually(lambda: is_refused(site.verifier, token))


async def test_a_key_that_the_command_line_revokes_is_refused_at_the_verifier_and_another_signs(site: Site) -> None:
    browser = await site.signed_in()
    token = token_of(await browser.get("/page"))
    assert not is_refused(site.verifier, token)
    signing = read_unverified_access_token(token)[0]["kid"]
    await site.command("keys", "revoke", signing, "--json")
    await eventually(lambda: is_refused(site.verifier, token))

    answer = await browser.get("/page")
    # The verifier has it from the server, which may be about to read which key signs instead; the session stands.
    for _ in range(100):
        if answer.status_code != 503:
            break
        await asyncio.sleep(0.05)
        answer = await browser.get("/page")
    assert token_of(answer) != token
    assert site.verifier.verify(token_of(answer)).session_id


async def test_what_the_application_answers_is_passed_on(site: Site) -> None:
    assert (await (await site.signed_in()).get("/broken")).status_code == 500


async def test_where_doorward_is_away_nobody_gets_in_and_nobody_is_signed_out(site: Site) -> None:
    signed_in, before = await site.signed_in(), len(site.application.seen)
    port, nobody = free_port(), f"127.0.0.1:{free_port()}"
    with an_nginx(port, doorward=nobody, application=f"127.0.0.1:{site.application.server_port}"):
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", cookies=signed_in.cookies) as browser:
            answer = await browser.get("/page")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "set-cookie" not in answer.headers
    assert len(site.application.seen) == before


def test_the_example_is_what_nginx_takes(site: Site) -> None:
    said = site.log.read_text()
    assert "[emerg]" not in said
    assert "[warn]" not in said
