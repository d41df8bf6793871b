"""The lab: what it tells, to whom, and that it stays apart from the server that it is a guest of."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from doorward.lab.app import Lab
from doorward.lab.deployments import LONGEST_LEAP, STRATEGIES, LabClock

ADDRESS = "http://127.0.0.1:8000"
ADA = {"email": "ada@example.com", "password": "seven green kettles whistle at dawn"}

pytestmark = pytest.mark.anyio


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    made = Lab(ADDRESS)
    async with made.life():
        yield made


@pytest.fixture
async def client(lab: Lab) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(lab)
    async with httpx.AsyncClient(transport=transport, base_url=ADDRESS) as made:
        yield made


async def sign_in(client: httpx.AsyncClient, strategy: str) -> Any:
    assert (await client.post(f"/lab/api/{strategy}/v1/accounts", json=ADA)).status_code == 201
    answer = await client.post(f"/lab/api/{strategy}/v1/sessions", json=ADA)
    assert answer.status_code == 201
    return answer


async def exchange_of(client: httpx.AsyncClient, answer: httpx.Response) -> Any:
    return (await client.get("/lab/exchange", params={"number": answer.headers["x-lab-exchange"]})).json()


def bearer(signed_in: httpx.Response) -> dict[str, str]:
    return {"Authorization": f"Bearer {signed_in.json()['access_token']}"}


def cookie(signed_in: httpx.Response) -> dict[str, str]:
    # By hand: this client sends no Secure cookie over plain HTTP, not even to its own machine, as browsers do.
    return {"Cookie": signed_in.headers["set-cookie"].partition(";")[0]}


async def test_the_page_runs_nothing_that_is_not_a_file_of_ours(client: httpx.AsyncClient) -> None:
    page = await client.get("/lab")
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]* src=)", page.text)
    for path in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        assert (await client.get(path)).status_code == 200, path


@pytest.mark.parametrize(
    "path", ["/lab/static/../app.py", "/lab/static/", "/lab/static/app.py", "/lab/nothing", "/labs"]
)
async def test_nothing_but_its_own_files_is_served(lab: Lab, path: str) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "headers": [(b"host", b"localhost")], "query_string": b""}
    await lab(scope, None, send)  # type: ignore[arg-type]  # a GET has nothing to receive
    assert sent[0]["status"] == 404


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:8000", 200), ("localhost", 200), ("[::1]:8000", 200), ("evil.test", 404), ("evil.test:8000", 404)],
)
@pytest.mark.parametrize("path", ["/lab", "/lab/api/jwt/healthz"])
async def test_a_page_that_calls_this_machine_by_its_own_name_is_told_nothing(
    client: httpx.AsyncClient, host: str, status: int, path: str
) -> None:
    assert (await client.get(path, headers={"Host": host})).status_code == status


async def test_a_foreign_page_changes_nothing(client: httpx.AsyncClient, lab: Lab) -> None:
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.test"}, {"Origin": "null"}):
        assert (await client.post("/lab/time", json={"seconds": 60}, headers=headers)).status_code == 404
    assert lab.clock.ahead == timedelta(0)
    assert (await client.post("/lab/time", json={"seconds": 60}, headers={"Origin": ADDRESS})).status_code == 204
    assert lab.clock.ahead == timedelta(minutes=1)


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_each_strategy_signs_in_lets_in_and_ends(client: httpx.AsyncClient, strategy: str) -> None:
    signed_in = await sign_in(client, strategy)
    headers = cookie(signed_in) if strategy == "session" else bearer(signed_in)
    hello = await client.get(f"/lab/api/{strategy}/hello", headers=headers)
    assert hello.json() == {"hello": signed_in.json()["account"]["id"]}
    ending = {"strategy": strategy, "session": signed_in.json()["session"]["id"]}
    assert (await client.post("/lab/end", json=ending)).status_code == 204
    refused = await client.get(f"/lab/api/{strategy}/hello", headers=headers)
    assert (refused.status_code, refused.json()["reason"]) == (401, "admin")
    trail = (await client.get(f"/lab/trail?{strategy}/{ending['session']}")).json()
    assert [event["action"] for event in trail] == ["session.ended", "session.started"]


async def test_an_exchange_is_told_to_the_byte_with_what_was_looked_up(client: httpx.AsyncClient) -> None:
    signed_in = await sign_in(client, "session")
    answer = await client.get("/lab/api/session/hello", headers=cookie(signed_in))
    exchange = await exchange_of(client, answer)
    sent = cookie(signed_in)["Cookie"].replace("lab_session_", "doorward_")
    assert f"cookie: {sent}\r\n" in exchange["sent"]
    assert exchange["credential_bytes"] == len(sent)
    assert exchange["sent_bytes"] == len(exchange["sent"])
    assert exchange["received"].endswith(answer.text)
    assert (exchange["status"], exchange["strategy"]) == (200, "session")
    assert exchange["asked"] == ["session"]
    again = await exchange_of(client, await client.get("/lab/api/session/hello", headers=cookie(signed_in)))
    assert again["asked"] == []


async def test_a_token_is_checked_without_a_look_up(client: httpx.AsyncClient) -> None:
    signed_in = await sign_in(client, "jwt")
    exchange = await exchange_of(client, await client.get("/lab/api/jwt/hello", headers=bearer(signed_in)))
    assert exchange["asked"] == []


async def test_the_labs_cookies_stay_in_the_lab(client: httpx.AsyncClient) -> None:
    signed_in = await sign_in(client, "session")
    written = signed_in.headers["set-cookie"]
    assert written.startswith("lab_session_session=")
    assert "Path=/lab/api/session;" in written
    assert "HttpOnly" in written
    # A cookie of the server's own, in the same browser, is not the lab's.
    ours = {"Cookie": cookie(signed_in)["Cookie"].replace("lab_session_", "doorward_")}
    answer = await client.get("/lab/api/session/hello", headers=ours)
    assert "cookie" not in (await exchange_of(client, answer))["sent"]
    assert answer.status_code == 401


async def test_a_copied_cookie_opens_what_the_original_opens(client: httpx.AsyncClient) -> None:
    signed_in = await sign_in(client, "session")
    copied = {"X-Lab-Cookie": cookie(signed_in)["Cookie"].replace("lab_session_", "doorward_")}
    assert (await client.get("/lab/api/session/hello", headers=copied)).status_code == 200
    assert (await client.get("/lab/api/session/hello")).status_code == 401


async def test_a_service_that_checks_signatures_alone_does_not_notice_an_end(client: httpx.AsyncClient) -> None:
    signed_in = await sign_in(client, "jwt")
    token = {"strategy": "jwt", "token": signed_in.json()["access_token"]}
    await client.post("/lab/end", json={"strategy": "jwt", "session": signed_in.json()["session"]["id"]})
    told = (await client.post("/lab/plain", json=token)).json()
    assert told["accepts"]
    assert 800 < told["seconds_left"] <= 900
    await client.post("/lab/time", json={"seconds": 901})
    assert (await client.post("/lab/plain", json=token)).json() == {"accepts": False, "seconds_left": 0}
    assert (await client.post("/lab/plain", json={**token, "token": "a.b.c"})).json()["accepts"] is False


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/lab/end", {"strategy": "jwt", "session": "nobody's"}),
        ("/lab/end", {"strategy": "jwt"}),
        ("/lab/end", {"strategy": "none", "session": "x"}),
        ("/lab/time", {"seconds": "60"}),
        ("/lab/plain", []),
    ],
)
async def test_what_cannot_be_read_is_not_found(client: httpx.AsyncClient, path: str, body: object) -> None:
    assert (await client.post(path, json=body)).status_code == 404
    for query in ("/lab/exchange?number=x", "/lab/exchange?number=9999", "/lab/trail?none/x"):
        assert (await client.get(query)).status_code == 404


def test_the_labs_clock_is_never_set_back_and_leaps_no_further_than_it_may() -> None:
    clock = LabClock()
    clock.move(timedelta(minutes=1))
    clock.move(timedelta(minutes=-5))
    assert clock.ahead == timedelta(minutes=1)
    clock.move(timedelta(days=1000))
    assert clock.ahead == LONGEST_LEAP
