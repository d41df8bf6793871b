"""``doorward serve`` as its users meet it: real processes, real sockets, the lines that it prints really run."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from doorward.http.message import LARGEST_BODY
from tests.server.conftest import a_server

COMMAND = (sys.executable, "-c", "from doorward.cli import main; main()")
ADA = {"email": "ada@example.com", "password": "a-long-walk-by-the-sea"}
PASSWORD = ADA["password"]

needs_curl = pytest.mark.skipif(
    shutil.which("curl") is None or shutil.which("bash") is None, reason="needs curl and bash"
)

Start = Callable[..., Any]


@pytest.fixture(scope="module")
def one_server(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[Any]:
    with a_server(tmp_path_factory.mktemp("server"), environment=environment) as server:
        yield server


def sign_in(server: Any) -> dict[str, Any]:
    assert server.call("POST", "/v1/accounts", ADA)[0] == 201
    status, answer = server.call("POST", "/v1/sessions", ADA)
    assert status == 201
    return dict(answer)


def lines_to_try(banner: str) -> str:
    return banner.partition("# sign up")[2]


@needs_curl
@pytest.mark.parametrize("strategy", ["session", "jwt", "hybrid"])
def test_the_lines_that_it_prints_work(start: Start, tmp_path: Path, strategy: str) -> None:
    server = start("--strategy", strategy)
    assert str(tmp_path / "doorward.db") in server.banner
    assert str(tmp_path / "doorward.secret") in server.banner
    assert strategy in server.banner
    script = "set -e -o pipefail\n" + lines_to_try(server.banner)
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    answers, decoder, text = [], json.JSONDecoder(), done.stdout.strip()
    while text:
        answer, end = decoder.raw_decode(text)
        answers.append(answer)
        text = text[end:].strip()
    assert answers[0]["account"]["email"] == ADA["email"]
    assert answers[-1]["account"]["email"] == ADA["email"]
    assert answers[-1]["session"]["current"] is True


def test_it_counts_logs_and_ends_on_being_told_to(start: Start) -> None:
    server = start()
    token = sign_in(server)["access_token"]
    assert server.call("GET", "/v1/sessions/current?secret=hunter2", bearer=token)[0] in {200, 422}
    assert server.call("GET", "/v1/nothing/hunter2")[0] == 404
    metrics = server.text("/metrics")
    assert 'doorward_operations_total{operation="sign_in",status="201"} 1.0' in metrics
    assert server.end() == 0
    requests = [entry for line in server.log.splitlines() if (entry := json.loads(line))["event"] == "request"]
    assert {"sign_up", "sign_in"} <= {entry["operation"] for entry in requests}
    assert all(entry["milliseconds"] >= 0 and entry["status"] for entry in requests)
    for secret in (token, PASSWORD, ADA["email"], "hunter2", (server.folder / "doorward.secret").read_text().strip()):
        assert secret not in server.log
        assert secret not in metrics


def test_data_and_sessions_outlive_a_restart(start: Start) -> None:
    first = start()
    port = first.address.rpartition(":")[2]
    token = sign_in(first)["access_token"]
    assert first.end() == 0
    second = start("--port", port)
    assert second.call("GET", "/v1/sessions/current", bearer=token)[0] == 200


def test_a_session_that_the_command_line_ends_is_over_in_the_running_server(
    start: Start, tmp_path: Path, environment: dict[str, str]
) -> None:
    server = start()
    answer = sign_in(server)
    token, session = answer["access_token"], answer["session"]["id"]
    assert server.call("GET", "/v1/sessions/current", bearer=token)[0] == 200
    ended = subprocess.run(
        [*COMMAND, "sessions", "end", session],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, "Ended: 1 session.\n"), ended.stderr
    until = time.monotonic() + 10
    status, problem = 200, {}
    while status == 200 and time.monotonic() < until:
        time.sleep(0.05)
        status, problem = server.call("GET", "/v1/sessions/current", bearer=token)
    assert (status, problem["code"], problem["reason"]) == (401, "session_ended", "admin")


def test_several_workers_share_sessions_keys_and_metrics(start: Start) -> None:
    server = start("--workers", "2")
    token = sign_in(server)["access_token"]
    for _ in range(20):  # each on a connection of its own, so that both workers are asked
        assert server.call("GET", "/v1/sessions/current", bearer=token)[0] == 200
    text = server.text("/metrics")
    assert 'doorward_operations_total{operation="read_current_session",status="200"} 20.0' in text
    assert server.end() == 0
    assert "Traceback" not in server.log


def test_what_is_too_large_or_too_odd_does_not_end_it_and_who_stalls_does_not_keep_it(start: Start) -> None:
    server = start()
    host, _, port = server.address.removeprefix("http://").partition(":")
    odd = [
        b"\x00\xff\xfe\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X-Long: " + b"a" * 400_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X-Many: 1\r\n" * 40_000 + b"\r\n",
        b"GET /" + b"a" * 400_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n"
        + b"X-Trailer: 1\r\n" * 40_000
        + b"\r\n",
    ]
    for request in odd:
        answer = exchange(host, int(port), request)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer[:200]
    with socket.create_connection((host, int(port)), timeout=10) as stalled:
        stalled.sendall(b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{")
        assert server.call("GET", "/healthz")[0] == 200
        assert server.end(signal.SIGINT) == 0
    assert "Traceback" not in server.log


@pytest.mark.parametrize(
    ("spaces", "status"), [(65_500, 401), (LARGEST_BODY, 401), (LARGEST_BODY + 1, 413), (70_000, 413)]
)
def test_a_body_of_64_kib_is_read_and_a_larger_one_is_told_so(one_server: Any, spaces: int, status: int) -> None:
    host, _, port = one_server.address.removeprefix("http://").partition(":")
    body = json.dumps(ADA).encode().ljust(spaces)
    head = b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:30_000], body[30_000:]))
    for request in (
        head + b"Content-Length: %d\r\n\r\n" % len(body) + body,
        head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked + b"0\r\n\r\n",
    ):
        assert exchange(host, int(port), request).startswith(b"HTTP/1.1 %d " % status)
        # On one connection, a head behind the body: it is answered as well.
        second = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Fill: " + b"f" * 6000 + b"\r\n\r\n"
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(request + second)
            assert statuses(connection, 2) == [status, 200]


def statuses(connection: socket.socket, count: int) -> list[int]:
    answered = b""
    while answered.count(b"HTTP/1.1 ") < count and (part := connection.recv(65_536)):
        answered += part
    return [int(part[:3]) for part in answered.split(b"HTTP/1.1 ")[1:]]


def exchange(host: str, port: int, request: bytes) -> bytes:
    """What is answered, or nothing where the connection is cut while we still send."""
    answer = b""
    with socket.create_connection((host, port), timeout=10) as connection:
        try:
            connection.sendall(request)
            while part := connection.recv(65_536):
                answer += part
                if b"\r\n\r\n" in answer:
                    break
        except ConnectionError:
            pass
    return answer
