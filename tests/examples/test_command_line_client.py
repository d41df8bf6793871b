"""The command-line client: one credential, several processes, nobody signed out."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.servers import ADA, Server, sign_up

pytestmark = pytest.mark.anyio

CLIENT = Path(__file__).parents[2] / "examples" / "command_line_client.py"
# A keyring for a machine without a desktop: a file, as a backend of the library's.
BACKEND = """
import json, pathlib
from keyring.backend import KeyringBackend

class Keyring(KeyringBackend):
    priority = 1
    file = pathlib.Path(__file__).with_suffix(".json")
    def get_password(self, service, username):
        return json.loads(self.file.read_text()).get(service + username) if self.file.exists() else None
    def set_password(self, service, username, password):
        self.file.write_text(json.dumps({service + username: password}))
"""


class Client:
    """The program, started as often as one likes."""

    def __init__(self, server: Server, folder: Path, **environment: str) -> None:
        self.file = folder / "kept" / "credential.json"
        said = {"CLIENT_SERVER": server.address, "CLIENT_FILE": str(self.file), **environment}
        self._environment = {**os.environ, "PYTHONPATH": str(folder), **said}

    async def run(self, *arguments: str, typed: str = "") -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            CLIENT,
            *arguments,
            env=self._environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate(typed.encode())
        assert process.returncode is not None
        return process.returncode, said.decode().strip()

    async def sign_in(self) -> None:
        code, said = await self.run("sign-in", ADA["email"], typed=ADA["password"] + "\n")
        assert code == 0, said

    @property
    def kept(self) -> dict[str, Any]:
        kept: dict[str, Any] = json.loads(self.file.read_text())
        return kept

    def run_out(self) -> None:
        """The access token is about to run out."""
        self.file.write_text(json.dumps({**self.kept, "renew_at": 0}))


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    server = Server(tmp_path)
    await server.start()
    try:
        async with httpx.AsyncClient(base_url=server.address) as client:
            await sign_up(client)
        yield server
    finally:
        server.kill()


async def test_several_processes_share_one_credential(server: Server, tmp_path: Path) -> None:
    client = Client(server, tmp_path)
    assert await client.run("whoami") == (1, "Sign in first.")
    await client.sign_in()
    ((session,),) = server.read("SELECT id FROM doorward_session")
    first = client.kept
    client.run_out()
    answers = await asyncio.gather(*(client.run("whoami") for _ in range(4)))
    assert set(answers) == {(0, ADA["email"])}
    # One of them renewed it, and the others found it renewed.
    assert server.made_generations(session) == [1]
    assert client.kept["refresh_token"] != first["refresh_token"]
    assert not {"refresh.reused", "session.ended"} & server.actions(session)

    modes = {path.name: path.stat().st_mode & 0o777 for path in client.file.parent.iterdir()}
    assert set(modes.values()) == {0o600}, modes

    # Killed between the request and writing down its reply: what it had is good once more.
    client.file.write_text(json.dumps({**first, "renew_at": 0}))
    assert await client.run("whoami") == (0, ADA["email"])

    assert await client.run("sign-out") == (0, "signed out")
    assert await client.run("whoami") == (1, "Sign in first.")


async def test_the_credential_may_be_in_the_systems_keyring(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a_keyring.py").write_text(BACKEND)
    client = Client(server, tmp_path, CLIENT_KEYRING="1", PYTHON_KEYRING_BACKEND="a_keyring.Keyring")
    await client.sign_in()
    assert await client.run("whoami") == (0, ADA["email"])
    assert not client.file.exists()
    assert server.address in (tmp_path / "a_keyring.json").read_text()
