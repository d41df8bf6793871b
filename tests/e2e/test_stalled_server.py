"""Over real HTTP: a server that stood still while a refresh token lay in its socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.servers import Server, current, present, sign_in, sign_up

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.xdist_group("stalled-server")]

STOPPED_SECONDS = 2.2
"""Longer than a server without a grace may have kept a request waiting and still judge it."""


@pytest.fixture(scope="module")
def servers() -> Iterator[list[Server]]:
    started: list[Server] = []
    yield started
    for server in started:
        server.kill()


@pytest.fixture(scope="module")
async def pair(
    anyio_backend: str,
    tmp_path_factory: pytest.TempPathFactory,
    servers: list[Server],
) -> tuple[Server, Server]:
    """Two servers on one database.  Without a grace whatever is presented again is reuse at once."""
    folder = tmp_path_factory.mktemp("pair")
    folders = [folder / "a", folder / "b"]
    for folder in folders:
        folder.mkdir()
    here = Server(folders[0], REFRESH_GRACE="0", LOST_REPLY_WINDOW="0")
    there = Server(folders[1], REFRESH_GRACE="0", LOST_REPLY_WINDOW="0", DATABASE=f"sqlite:///{here.database}")
    for server in (here, there):
        servers.append(server)
        await server.start()
    async with httpx.AsyncClient(base_url=here.address) as client:
        await sign_up(client)
    return here, there


def sent(server: Server, token: str) -> socket.socket:
    """A request that has arrived at a server's socket, which nobody reads."""
    body = f"grant_type=refresh_token&refresh_token={token}"
    head = "POST /v1/token HTTP/1.1\r\nHost: a.example\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    connection = socket.create_connection(("127.0.0.1", server.port))
    connection.sendall(f"{head}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    return connection


@pytest.mark.rfc("9700", "4.14.2")
async def test_a_server_that_stood_still_does_not_take_its_own_delay_for_theft(pair: tuple[Server, Server]) -> None:
    here, there = pair
    async with httpx.AsyncClient(base_url=here.address) as client:
        signed_in = (await sign_in(client)).json()
        with there.stopped():
            connection = sent(there, signed_in["refresh_token"])
            # The client has no answer, goes to the other server, and uses what it is given.
            refreshed = (await present(client, signed_in["refresh_token"])).json()
            assert (await current(client, refreshed["access_token"])).status_code == 200
            await asyncio.sleep(STOPPED_SECONDS)
        with connection, connection.makefile("rb") as answer:
            status, *rest = await asyncio.to_thread(answer.read().decode().splitlines)
        assert status.startswith("HTTP/1.1 503")
        assert any(line.lower().startswith("retry-after:") for line in rest)
        assert (await current(client, refreshed["access_token"])).status_code == 200
        assert (await present(client, refreshed["refresh_token"])).status_code == 200
        assert "refresh.reused" not in here.actions(signed_in["session"]["id"])
        # On time again, it judges as ever.
        late = await present(client, signed_in["refresh_token"])
        assert late.json()["error"] == "invalid_grant"


async def test_a_request_whose_connection_is_closed_is_not_presented(pair: tuple[Server, Server]) -> None:
    here, there = pair
    async with httpx.AsyncClient(base_url=there.address) as client:
        signed_in = (await sign_in(client)).json()
        with there.stopped():
            sent(there, signed_in["refresh_token"]).close()
        assert (await client.get("/healthz")).status_code == 200
        assert (await present(client, signed_in["refresh_token"])).status_code == 200
        assert here.made_generations(signed_in["session"]["id"]) == [1]
        assert here.actions(signed_in["session"]["id"]) == {"session.started", "refresh.rotated"}
