"""Real servers, and logging put back as it was."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

READY_WITHIN_SECONDS = 60
ENDS_WITHIN_SECONDS = 20
COMMAND = (sys.executable, "-c", "from doorward.cli import main; main()")


@dataclass(frozen=True, slots=True, kw_only=True)
class AServer:
    """A server process, ready."""

    process: subprocess.Popen[bytes]
    folder: Path
    address: str

    @property
    def banner(self) -> str:
        return (self.folder / "out").read_text()

    @property
    def log(self) -> str:
        return (self.folder / "err").read_text()

    def call(
        self, method: str, path: str, body: Any = None, *, bearer: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if bearer is not None:
            headers["Authorization"] = f"Bearer {bearer}"
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.address + path, data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, read(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, read(error.read())

    def text(self, path: str) -> str:
        with urllib.request.urlopen(self.address + path, timeout=10) as answer:
            return str(answer.read().decode())

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(ENDS_WITHIN_SECONDS)


def read(body: bytes) -> dict[str, Any]:
    return json.loads(body) if body else {}


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """Without settings of the developer's own."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("DOORWARD_")}
    return plain | {"DOORWARD_INSECURE_FAST_HASHING": "on"}


Start = Callable[..., AServer]


@pytest.fixture
def start(tmp_path: Path, environment: dict[str, str]) -> Iterator[Start]:
    with contextlib.ExitStack() as ends:

        def begin(*flags: str) -> AServer:
            return ends.enter_context(a_server(tmp_path, *flags, environment=environment))

        yield begin


@pytest.fixture
def start_apart(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[Start]:
    """Servers that share nothing but what the variables name."""
    with contextlib.ExitStack() as ends:

        def begin(**variables: str) -> AServer:
            folder = tmp_path_factory.mktemp("server")
            return ends.enter_context(a_server(folder, environment=environment | variables))

        yield begin


@contextlib.contextmanager
def a_server(folder: Path, *flags: str, environment: dict[str, str]) -> Iterator[AServer]:
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen(
            [*COMMAND, "serve", "--port", "0", *flags],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
    try:
        server = AServer(process=process, folder=folder, address=address_of(process, folder))
        wait_until_healthy(server)
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(ENDS_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def address_of(process: subprocess.Popen[bytes], folder: Path) -> str:
    until = time.monotonic() + READY_WITHIN_SECONDS
    while time.monotonic() < until and process.poll() is None:
        found = re.search(r"serves on (http://\S+)", (folder / "out").read_text())
        if found is not None:
            return found[1]
        time.sleep(0.02)
    pytest.fail(f"the server did not start: {(folder / 'err').read_text()}")


def wait_until_healthy(server: AServer) -> None:
    until = time.monotonic() + READY_WITHIN_SECONDS
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            if server.call("GET", "/healthz")[0] == 200:
                return
        time.sleep(0.02)
    pytest.fail("the server does not answer")


@pytest.fixture
def logging_put_back() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, hook = root.handlers[:], root.level, sys.excepthook
    raises = logging.raiseExceptions
    for name in ("uvicorn", "uvicorn.error"):
        # As uvicorn finds them: a server that ran in this process before may have set them up.
        theirs = logging.getLogger(name)
        theirs.disabled, theirs.propagate = False, True
        theirs.setLevel(logging.NOTSET)
    with warnings.catch_warnings():
        yield
    logging.captureWarnings(capture=False)
    root.handlers[:], sys.excepthook, logging.raiseExceptions = handlers, hook, raises
    root.setLevel(level)
