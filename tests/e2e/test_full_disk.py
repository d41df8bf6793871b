"""A disk that is full under SQLite: whoever needs to write is told to come back, and nothing is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.servers import ADA, Server, current, present, sign_in, sign_up

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture
async def server(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Server]:
    # Without a grace nothing rests: every presentation rotates, and has to be written.
    server = Server(tmp_path, REFRESH_GRACE="0")
    await server.start()
    yield server
    server.kill()


async def test_a_full_disk_is_503_until_there_is_room_and_signs_nobody_out(server: Server) -> None:
    async with httpx.AsyncClient(base_url=server.address, timeout=60) as client:
        await sign_up(client)
        signed_in, other = (await sign_in(client)).json(), (await sign_in(client)).json()
        rotated = (await present(client, signed_in["refresh_token"])).json()
        with server.full_disk():
            for _ in range(3):
                for refused in (
                    await present(client, rotated["refresh_token"], key="attempt-1"),
                    await present(client, other["refresh_token"]),
                    await client.post("/v1/sessions", json=ADA),
                ):
                    assert refused.status_code == 503, refused.text
                    assert int(refused.headers["Retry-After"]) >= 1
            # Whatever only reads goes on, and what was not done is not believed to be.
            for tokens in (rotated, other):
                assert (await current(client, tokens["access_token"])).status_code == 200
            ending = await client.delete(
                "/v1/sessions/current", headers={"Authorization": f"Bearer {other['access_token']}"}
            )
            assert ending.status_code == 503
            assert (await current(client, other["access_token"])).status_code == 200
        # It recovers by itself, with everything that was committed and nothing that was not.
        again = await present(client, rotated["refresh_token"], key="attempt-1")
        assert again.status_code == 200, again.text
        assert server.made_generations(signed_in["session"]["id"]) == [1, 2]
        assert server.made_generations(other["session"]["id"]) == []
        assert (await present(client, other["refresh_token"])).status_code == 200
        assert (await client.get("/readyz")).status_code == 200
        assert server.read("SELECT count(*) FROM doorward_session WHERE ended_at IS NULL") == [(2,)]
        assert server.read("PRAGMA integrity_check") == [("ok",)]
        await sign_in(client)
