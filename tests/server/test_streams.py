"""A server and commands whose standard streams are closed, full or read no further; a supervisor that is killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import COMMAND, ENDS_WITHIN_SECONDS, READY_WITHIN_SECONDS, AServer, wait_until_healthy

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
needs_shell = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


def a_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def shell(folder: Path, environment: dict[str, str], line: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a line in which ``"$@"`` is the command with these arguments."""
    command = ["bash", "-o", "pipefail", "-c", line, "bash", *COMMAND, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


@needs_full
@needs_shell
@pytest.mark.parametrize("redirected", [">/dev/full", ">&-", ">&- 2>&-", "2>/dev/full"])
def test_a_server_serves_though_nobody_can_read_what_it_says(
    tmp_path: Path, environment: dict[str, str], redirected: str
) -> None:
    port = a_free_port()
    variables = environment | {"DOORWARD_PORT": "tcp://10.0.0.1:80", "DOORWARD_SERVICE_HOST": "10.0.0.1"}
    with (tmp_path / "err").open("wb") as errors:
        process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" {redirected}', "bash", *COMMAND, "serve", "--port", str(port)],
            cwd=tmp_path,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
    try:
        server = AServer(process=process, folder=tmp_path, address=f"http://127.0.0.1:{port}")
        wait_until_healthy(server)
        assert server.call("POST", "/v1/accounts", {"email": "a@example.com", "password": "x"})[0] == 422
        assert server.end() == 0
    finally:
        process.kill()
        process.wait()
    log = server.log
    assert "Traceback" not in log
    if redirected in {">/dev/full", ">&-"}:
        [line] = [line for line in log.splitlines() if "Kubernetes" in line]
        assert json.loads(line)["variables"] == ["DOORWARD_PORT", "DOORWARD_SERVICE_HOST"]


@needs_full
@needs_shell
def test_a_command_ends_without_a_traceback_though_its_output_goes_nowhere(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    assert shell(tmp_path, environment, '"$@"', "migrate").returncode == 0
    full = shell(tmp_path, environment, '"$@" >/dev/full', "accounts", "list")
    assert (full.returncode, full.stderr) == (
        2,
        "doorward: standard output cannot be written to: No space left on device.\n",
    )
    for line in ('"$@" | true', '"$@" >&-', '"$@" >&- 2>&- <&-'):
        done = shell(tmp_path, environment, line, "accounts", "list")
        assert (line, done.returncode, done.stderr) == (line, 0, "")
    refused = shell(tmp_path, environment, '"$@" 2>/dev/full', "accounts", "disable", "nobody@example.com")
    assert (refused.returncode, refused.stderr) == (1, "")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_workers_end_with_their_supervisor_however_it_ends(start: Callable[..., Any]) -> None:
    server = start("--workers", "2")
    host, _, port = server.address.removeprefix("http://").partition(":")
    server.end(signal.SIGKILL)
    until = time.monotonic() + ENDS_WITHIN_SECONDS
    while is_listening(host, int(port)):
        assert time.monotonic() < until, "the workers live on"
        time.sleep(0.05)
    assert "the supervisor is gone" in server.log
    second = start("--workers", "2", "--port", port)
    assert second.call("GET", "/healthz")[0] == 200
    assert second.end() == 0


def is_listening(host: str, port: int) -> bool:
    with suppress(OSError), socket.create_connection((host, port), timeout=READY_WITHIN_SECONDS):
        return True
    return False


def test_a_stream_that_is_missing_is_opened_with_its_own_number() -> None:
    from doorward.cli.streams import open_missing_streams

    before = [os.fstat(number) for number in range(3)]
    open_missing_streams()
    assert [os.fstat(number).st_ino for number in range(3)] == [each.st_ino for each in before]
