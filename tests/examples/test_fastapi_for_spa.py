"""The API for a page on another origin, as a real server, and as that page calls it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from doorward.testing import CookieClient

pytestmark = pytest.mark.anyio

EXAMPLES = Path(__file__).parents[2] / "examples"
PAGE = "https://app.example.com"
ADA = {"email": "ada@example.com", "password": "a walrus in seven teapots"}
REFRESH: dict[str, Any] = {"form": {"grant_type": "refresh_token"}}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        command = ["-m", "uvicorn", "fastapi_for_spa:app", "--app-dir", str(EXAMPLES), "--fd", str(listening.fileno())]
        folder = tmp_path_factory.mktemp("spa")
        process = subprocess.Popen(
            [sys.executable, *command, "--log-level", "warning"],
            cwd=folder,
            env={**os.environ, "ISSUER": address},
            pass_fds=[listening.fileno()],
        )
        try:
            until_ready(process, address)
            yield address
        finally:
            process.kill()
            process.wait()


def until_ready(process: subprocess.Popen[bytes], address: str) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(f"{address}/auth/readyz", timeout=10, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("the server did not start")


async def test_a_page_elsewhere_signs_in_calls_renews_and_signs_out(address: str) -> None:
    page = CookieClient(address, page=PAGE)
    assert (await page.post("/auth/v1/accounts", json=ADA)).status == 201

    asked = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    for path in ("/auth/v1/sessions", "/me"):
        allowed = await page.request("OPTIONS", path, headers={"origin": PAGE, **asked})
        assert allowed.status in {200, 204}
        assert allowed.values("access-control-allow-origin") == [PAGE]
        assert allowed.values("access-control-allow-credentials") == ["true"]

    signed_in = await page.post("/auth/v1/sessions", json={**ADA, "carrier": "cookie"})
    assert signed_in.values("access-control-allow-origin") == [PAGE]
    assert "refresh_token" not in signed_in.json()
    assert not page.readable_cookies

    token = signed_in.json()["access_token"]
    me = await page.get("/me", bearer=token, headers={"origin": PAGE})
    assert me.status == 200
    assert me.values("access-control-allow-origin") == [PAGE]

    renewed = await page.post("/auth/v1/token", **REFRESH)
    assert renewed.status == 200
    token = renewed.json()["access_token"]
    assert (await page.delete("/auth/v1/sessions/current", bearer=token)).status == 204
    refused = await page.get("/me", bearer=token, headers={"origin": PAGE})
    assert (refused.status, refused.json()["code"]) == (401, "session_ended")
    # The page may read why.
    assert refused.values("access-control-allow-origin") == [PAGE]


async def test_a_page_that_is_not_listed_gets_nothing(address: str) -> None:
    person = {**ADA, "email": "bob@example.com"}
    listed = CookieClient(address, page=PAGE)
    await listed.post("/auth/v1/accounts", json=person)
    assert (await listed.post("/auth/v1/sessions", json={**person, "carrier": "cookie"})).status == 201
    listed.page = "https://evil.example"
    for answer in (
        await listed.post("/auth/v1/token", **REFRESH),
        await listed.post("/auth/v1/sessions", json=person),
    ):
        assert (answer.status, answer.json()["code"]) == (403, "csrf_failed")
        assert not answer.values("access-control-allow-origin")
