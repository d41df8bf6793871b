"""Over real HTTP: a hundred at once, and a server that dies in the middle of it again and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.e2e.servers import READY_WITHIN_SECONDS, Server, current, present, sign_in, sign_up

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

CROWD = 100
KILLS = 8
BROWSERS_OF_A_KIND = 4
ROTATIONS_BETWEEN_KILLS = 3
ANSWERED_WITHIN_SECONDS = 60


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    started: list[Server] = []
    yield started
    for server in started:
        server.kill()


@pytest.fixture
async def server(tmp_path: Path, servers: list[Server]) -> Server:
    servers.append(Server(tmp_path))
    await servers[0].start()
    return servers[0]


@pytest.fixture
async def client(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    crowd = httpx.Limits(max_connections=CROWD)
    async with httpx.AsyncClient(base_url=server.address, limits=crowd, timeout=ANSWERED_WITHIN_SECONDS) as client:
        await sign_up(client)
        yield client


# A hundred at once


@pytest.mark.rfc("9700", "4.14.2")
async def test_a_hundred_presentations_at_once_make_one_successor_and_sign_nobody_out(
    server: Server, client: httpx.AsyncClient
) -> None:
    signed_in, other = (await sign_in(client)).json(), (await sign_in(client)).json()
    token = signed_in["refresh_token"]
    # The first rotates, the second is too young to: both are the same to a hundred tabs.
    for _ in range(2):
        keys = [None, "attempt-1", "attempt-2"]
        answers = await asyncio.gather(*(present(client, token, key=keys[each % 3]) for each in range(CROWD)))
        assert {answer.status_code for answer in answers} == {200}
        successors = {answer.json()["refresh_token"] for answer in answers}
        assert len(successors) == 1
        token = successors.pop()
        access_tokens = [answer.json()["access_token"] for answer in answers[:: CROWD // 10]]
        seen = await asyncio.gather(*(current(client, access_token) for access_token in access_tokens))
        assert {answer.status_code for answer in seen} == {200}
    assert (await current(client, other["access_token"])).status_code == 200
    assert server.made_generations(signed_in["session"]["id"]) == [1]
    assert server.read("SELECT count(*) FROM doorward_session WHERE ended_at IS NOT NULL") == [(0,)]


async def test_a_hundred_reuses_at_once_end_one_session(server: Server, client: httpx.AsyncClient) -> None:
    signed_in, other = (await sign_in(client)).json(), (await sign_in(client)).json()
    token = signed_in["refresh_token"]
    first = (await present(client, token)).json()
    # As if it had been made long ago and its successor seen.
    long_ago = "UPDATE doorward_session SET made_at = made_at - 3600 * 1000000, acknowledged = 1 WHERE id = ?"
    server.write(long_ago, signed_in["session"]["id"])
    answers = await asyncio.gather(*(present(client, token) for _ in range(CROWD)))
    assert {answer.status_code for answer in answers} == {400}
    assert {answer.json()["error"] for answer in answers} == {"invalid_grant"}
    refused = await current(client, first["access_token"])
    assert (refused.status_code, refused.json()["reason"]) == (401, "reuse")
    assert (await current(client, other["access_token"])).status_code == 200
    ended = server.read("SELECT count(*) FROM doorward_audit_event WHERE action = 'session.ended'")
    assert ended == [(1,)]


async def test_a_browser_whose_token_is_too_young_keeps_its_cookie(server: Server) -> None:
    same_origin = {"Sec-Fetch-Site": "same-origin"}
    async with httpx.AsyncClient(base_url=server.address, headers=same_origin) as browser:
        await sign_up(browser)
        await sign_in(browser, carrier="cookie")
        cookies = {cookie.name: cookie.value or "" for cookie in browser.cookies.jar}
        browser.cookies.clear()
        form = {"grant_type": "refresh_token"}
        rotated = await browser.post("/v1/token", data=form, headers=header_of(cookies))
        assert rotated.status_code == 200
        assert "set-cookie" in rotated.headers
        newer = {cookie.name: cookie.value or "" for cookie in browser.cookies.jar}
        assert newer.keys() <= cookies.keys()
        browser.cookies.clear()
        unchanged = await browser.post("/v1/token", data=form, headers=header_of(cookies | newer))
        assert unchanged.status_code == 200
        assert "set-cookie" not in unchanged.headers
        # A tab that lost the race is answered with the token that the winner has.
        lost_race = await browser.post("/v1/token", data=form, headers=header_of(cookies))
        assert lost_race.status_code == 200
        assert {cookie.name: cookie.value for cookie in browser.cookies.jar} == newer


def header_of(cookies: dict[str, str]) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}


# kill -9


@dataclass(slots=True, kw_only=True)
class Browser:
    """An honest client: it keeps one token, and repeats until it is answered.

    Args:
        keyed: whether it sends a key with each attempt, the same for as long as the attempt lasts.
    """

    keyed: bool
    session_id: str
    token: str
    access_token: str
    rotations: int = 0
    unanswered: int = 0
    refused: list[str] = field(default_factory=list)

    async def go_on(self, client: httpx.AsyncClient, *, until: asyncio.Event) -> None:
        while not until.is_set() and not self.refused:
            await self.refresh(client)

    @property
    def key(self) -> str | None:
        return f"{self.session_id}-{self.rotations}" if self.keyed else None

    async def refresh(self, client: httpx.AsyncClient) -> None:
        """One attempt, to its end."""
        key = self.key
        while not self.refused:
            try:
                answer = await present(client, self.token, key=key)
            except httpx.TransportError:
                self.unanswered += 1
                await asyncio.sleep(0.01)
                continue
            if answer.status_code == 200:
                self.token, self.access_token = answer.json()["refresh_token"], answer.json()["access_token"]
                self.rotations += 1
                return
            if answer.status_code != 503:
                self.refused.append(answer.text)


@pytest.mark.rfc("9700", "4.14.2")
async def test_a_server_that_is_killed_again_and_again_signs_no_honest_client_out_and_never_forks(
    tmp_path: Path, servers: list[Server]
) -> None:
    # Without a grace nothing rests: every request rotates, so that every kill meets one.
    server = Server(tmp_path, REFRESH_GRACE="0")
    servers.append(server)
    await server.start()
    async with httpx.AsyncClient(base_url=server.address, timeout=ANSWERED_WITHIN_SECONDS) as client:
        await sign_up(client)
        # Several, so that at every death some are before their commit and some between it and their reply.
        browsers = [await a_browser(client, keyed=keyed) for keyed in (False, True) * BROWSERS_OF_A_KIND]
        signed_out = (await sign_in(client)).json()
        bearer = {"Authorization": f"Bearer {signed_out['access_token']}"}
        assert (await client.delete("/v1/sessions/current", headers=bearer)).status_code == 204

        done = asyncio.Event()
        async with asyncio.timeout(READY_WITHIN_SECONDS * KILLS), asyncio.TaskGroup() as tasks:
            for browser in browsers:
                tasks.create_task(browser.go_on(client, until=done))
            for _ in range(KILLS):
                wanted = [browser.rotations + ROTATIONS_BETWEEN_KILLS for browser in browsers]
                while any(  # noqa: ASYNC110 -- several clients are watched at once
                    each.rotations < goal and not each.refused for each, goal in zip(browsers, wanted, strict=True)
                ):
                    await asyncio.sleep(0.001)
                server.kill()
                await server.start()
            done.set()

        for browser in browsers:
            assert browser.refused == []
            assert browser.unanswered > 0
            assert (await current(client, browser.access_token)).status_code == 200
            await browser.refresh(client)
            assert_one_chain(server, browser)
        # What was revoked before the first death is so after the last.
        refused = await current(client, signed_out["access_token"])
        assert (refused.status_code, refused.json()["reason"]) == (401, "signed_out")
        assert (await present(client, signed_out["refresh_token"])).status_code == 400


async def a_browser(client: httpx.AsyncClient, *, keyed: bool) -> Browser:
    signed_in = (await sign_in(client)).json()
    return Browser(
        keyed=keyed,
        session_id=signed_in["session"]["id"],
        token=signed_in["refresh_token"],
        access_token=signed_in["access_token"],
    )


def assert_one_chain(server: Server, browser: Browser) -> None:
    """Each generation was made once, one after the other, and the row is at the last of them."""
    statement = "SELECT generation, ended_at FROM doorward_session WHERE id = ?"
    [(generation, ended_at)] = server.read(statement, browser.session_id)
    assert ended_at is None
    assert generation >= browser.rotations
    assert server.made_generations(browser.session_id) == list(range(1, generation + 1))
    assert server.actions(browser.session_id).isdisjoint({"refresh.reused", "refresh.refused", "refresh.ahead"})


async def test_a_reply_that_nobody_waited_for_is_made_good_by_its_key(
    server: Server, client: httpx.AsyncClient
) -> None:
    browser = await a_browser(client, keyed=True)
    body = f"grant_type=refresh_token&refresh_token={browser.token}".encode()
    host, port = server.address.removeprefix("http://").split(":")
    head = (
        f"POST /v1/token HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {len(body)}\r\n"
        f"Idempotency-Key: {browser.key}\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n"
    )
    _, writer = await asyncio.open_connection(host, port)
    writer.write(head.encode() + body)
    async with asyncio.timeout(ANSWERED_WITHIN_SECONDS):
        while not server.made_generations(browser.session_id):  # noqa: ASYNC110 -- another process is watched
            await asyncio.sleep(0.001)
    writer.transport.abort()
    # Past the grace and the rest, its successor unseen: but the key is its own.
    long_ago = "UPDATE doorward_session SET made_at = made_at - 3600 * 1000000, first_at = made_at WHERE id = ?"
    server.write(long_ago, browser.session_id)
    await browser.refresh(client)
    assert browser.refused == []
    assert_one_chain(server, browser)
    assert server.made_generations(browser.session_id) == [1]
