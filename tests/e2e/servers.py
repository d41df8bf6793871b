"""A real server that can be killed and started again at the same address."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx

COMMAND = (sys.executable, "-c", "from doorward.cli import main; main()")
ROOT = Path(__file__).parents[2]
READY_WITHIN_SECONDS = 60
SECRET = "the secret of a deployment in tests"
ADA = {"email": "ada@example.com", "password": "seven green kettles whistle at dawn"}


class Server:
    """``doorward serve``, over a SQLite file unless the settings name another database.

    Args:
        folder: of its own: where the database and what the server prints are.
        settings: by their names without ``DOORWARD_``.
    """

    def __init__(self, folder: Path, **settings: str) -> None:
        self.database = folder / "doorward.db"
        self._folder = folder
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        plain = {name: value for name, value in os.environ.items() if not name.startswith("DOORWARD_")}
        given = {
            "DATABASE": f"sqlite:///{self.database}",
            "INSECURE_FAST_HASHING": "on",
            "RATE_LIMITS": "off",
            "SECRET": SECRET,
        }
        settings = {f"DOORWARD_{name}": value for name, value in (given | settings).items()}
        self._environment = plain | settings
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start, and come back once it answers."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220 -- to start it takes no time; what does is awaited below
                [*COMMAND, "serve", "--port", str(self.port)],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + READY_WITHIN_SECONDS
        async with httpx.AsyncClient(base_url=self.address) as client:
            while time.monotonic() < until and self._process.poll() is None:
                try:
                    if (await client.get("/readyz")).status_code == 200:
                        return
                except httpx.TransportError:
                    await asyncio.sleep(0.02)
        raise AssertionError(f"the server did not start:\n{(self._folder / 'log').read_text()[-4000:]}")

    def kill(self) -> None:
        """``kill -9``: no word of warning, nothing flushed."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The process stands still, as on a virtual machine that is paused; what is sent to it waits in its sockets."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def command(self, *arguments: str) -> Any:
        """What a command of the operator says in JSON."""
        done = subprocess.run(
            [*COMMAND, *arguments],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            timeout=READY_WITHIN_SECONDS,
        )
        return json.loads(done.stdout)

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """No file of the server's grows any more, whoever runs the test."""
        assert self._process is not None
        full = self.database.with_name(self.database.name + "-wal").stat().st_size
        before = resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (full, before[1]))
        try:
            yield
        finally:
            resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, before)

    def read(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """What is in the database."""
        with closing(sqlite3.connect(self.database)) as connection:
            return list(connection.execute(statement, parameters))

    def write(self, statement: str, *parameters: object) -> None:
        """Change what is in the database."""
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute(statement, parameters)

    def made_generations(self, session_id: str) -> list[int]:
        """The generations of a session in the order in which the trail says that they were made."""
        made = self.read(
            "SELECT json_extract(detail, '$.generation'), json_extract(detail, '$.current') FROM doorward_audit_event"
            " WHERE session = ? AND action IN ('refresh.rotated', 'refresh.recovered') ORDER BY id",
            session_id,
        )
        return [rotated if rotated is not None else recovered for rotated, recovered in made]

    def actions(self, session_id: str) -> set[str]:
        found = self.read("SELECT DISTINCT action FROM doorward_audit_event WHERE session = ?", session_id)
        return {action for (action,) in found}


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


async def sign_up(client: httpx.AsyncClient) -> None:
    assert (await client.post("/v1/accounts", json=ADA)).status_code == 201


async def sign_in(client: httpx.AsyncClient, **fields: str) -> httpx.Response:
    answer = await client.post("/v1/sessions", json={**ADA, **fields})
    assert answer.status_code == 201, answer.text
    return answer


async def present(client: httpx.AsyncClient, token: str, *, key: str | None = None) -> httpx.Response:
    return await client.post(
        "/v1/token",
        data={"grant_type": "refresh_token", "refresh_token": token},
        headers={"Idempotency-Key": key} if key is not None else {},
    )


async def current(client: httpx.AsyncClient, access_token: str) -> httpx.Response:
    return await client.get("/v1/sessions/current", headers={"Authorization": f"Bearer {access_token}"})
