"""Checking a request over HTTP: the same small application without authentication, with Doorward, and with peers."""

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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measuring import ROOT, Part, Round, Run, in_turns, publish, tell

ABOUT = """
One small application, `GET /` for anybody and `GET /me` for whoever is signed in, as a real server: one process, on
loopback, asked for `/me` over 32 connections that stay open, by a client that sends the next request once the last is
answered (`wrk`, in C, one thread). Every way sends the same credential with every request. The ways of one framework
run side by side and are measured in turns; **the ratio is to the same application without authentication**, asked
without a credential.

- **ASGI** applications are served by uvicorn with uvloop and httptools, **WSGI** applications by gunicorn with one
  worker of four threads.
- **Doorward** has its defaults, on SQLite: revocation is checked on every request, and `session` is an opaque cookie.
- **PyJWT by hand** is FastAPI's tutorial with ES256: no revocation, no user looked up.
- **fastapi-users** looks the user up in its database (SQLite) on every request, and under `database` the token too.
- **Flask-JWT-Extended** is HS256 by its defaults: no revocation, no user looked up.
- **Django's sessions** look up session and user in its database (SQLite); **simplejwt**, under Django REST Framework,
  is HS256 and looks the user up.

"of a core" is how many requests the server answers in one second of its own time on a core: what else the machine does
counts less there.

**What the profile said, and what was done.** A request object with every header in it, built origins for a rule that a
GET does not need, and four coroutines took 7 µs of the 26 that uvicorn and a bare application take; FastAPI took as
much again to solve a dependency that was there for its document alone. Now two headers are read and memory is asked by
a plain call; whatever it does not recognise goes the long way, by the same rules as before. Of what is left, most is
two clocks, the freshness of what is known of revocations, the revocations themselves and the look into memory: none of
it can go without weakening a rule. *A token that is not read* shows what a server takes to hand one over to an
application that ignores it. Under FastAPI most of what is left is FastAPI's own price of one dependency.

What this does not show: more than one process, TLS, a proxy, a database that is not in the same process, and sessions
so many that they are not remembered; for those see [the hot path](hot_path.md).
"""

READY_WITHIN_SECONDS = 60
ENDS_WITHIN_SECONDS = 10
CONNECTIONS = 32
STRATEGIES = ("session", "jwt", "hybrid")

HERE = Path(__file__).parent
PEERS = ROOT / ".dev" / f"peers-{sys.version_info.major}.{sys.version_info.minor}" / "bin" / "python"
_ASGI = ("-m", "uvicorn", "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning")
_WSGI = ("-m", "gunicorn", "--worker-class", "gthread", "--workers", "1", "--threads", "4", "--keep-alive", "75")


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One application.

    Args:
        name: for people.
        module: whose ``app`` is served.
        way: which of the ways that the module knows.
        peer: whether it runs in the environment of the peers.
    """

    name: str
    module: str
    way: str = ""
    peer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Framework:
    """Ways to authenticate under one framework, the first of them without."""

    name: str
    server: Sequence[str]
    ways: Sequence[Way]


def _framework(name: str, server: Sequence[str], module: str, *peers: Way) -> Framework:
    doorward = [Way(name=f"Doorward, {strategy}", module=module, way=strategy) for strategy in STRATEGIES]
    return Framework(
        name=name, server=server, ways=(Way(name="no authentication", module=module, way="none"), *doorward, *peers)
    )


BARE = _framework("Bare ASGI", _ASGI, "bare", Way(name="a token that is not read", module="bare", way="unread"))
FASTAPI = _framework(
    "FastAPI",
    _ASGI,
    "on_fastapi",
    Way(name="PyJWT by hand", module="pyjwt_by_hand", peer=True),
    Way(name="fastapi-users, JWT", module="with_fastapi_users", way="jwt", peer=True),
    Way(name="fastapi-users, database", module="with_fastapi_users", way="database", peer=True),
)
FLASK = _framework(
    "Flask", _WSGI, "on_flask", Way(name="Flask-JWT-Extended", module="with_flask_jwt_extended", peer=True)
)
DJANGO = _framework(
    "Django",
    _WSGI,
    "on_django",
    Way(name="Django's sessions", module="with_django", way="sessions", peer=True),
    Way(name="simplejwt", module="with_django", way="simplejwt", peer=True),
)
FRAMEWORKS = (BARE, FASTAPI, FLASK, DJANGO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured.

    Args:
        rounds: of each way.
        seconds: how long one takes; wrk counts in whole ones.
    """

    rounds: int = 5
    seconds: int = 1


QUICK = Plan(rounds=1)


# Servers


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that answers.

    Args:
        port: on loopback.
        pid: of its first process.
        headers: that a signed-in caller sends.
    """

    port: int
    pid: int
    headers: Mapping[str, str]

    @property
    def address(self) -> str:
        """What is measured."""
        return f"http://127.0.0.1:{self.port}/me"

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


def _family(pid: int) -> Iterator[int]:
    yield pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield from _family(int(child))


def _ticks(pid: int) -> int:
    # After the name, which may hold anything, in parentheses.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


@contextmanager
def serving(framework: Framework, ways: Sequence[Way]) -> Iterator[dict[str, Server]]:
    """Servers for some ways, all at once, each in a folder of its own, until the block is left."""
    with ExitStack() as stack:
        started = [stack.enter_context(_started(framework, way)) for way in ways]
        servers = {way.name: wait() for way, wait in zip(ways, started, strict=True)}
        for way in ways:
            _see_that_it_authenticates(way, servers[way.name])
        yield servers


@contextmanager
def _started(framework: Framework, way: Way) -> Iterator[Any]:
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="doorward-benchmark-") as folder:
        credential, log = Path(folder) / "credential", Path(folder) / "log"
        own = {"WAY": way.way, "CREDENTIAL": str(credential), "PYTHONPATH": os.pathsep.join(map(str, _modules(way)))}
        where = ("--bind", f"127.0.0.1:{port}") if framework.server is _WSGI else ("--port", str(port))
        with log.open("wb") as output:
            process = subprocess.Popen(
                [PEERS if way.peer else sys.executable, *framework.server, *where, f"{way.module}:app"],
                cwd=folder,
                env=os.environ | own,
                stdout=output,
                stderr=output,
            )

        def wait() -> Server:
            _until_it_answers(process, port, log)
            headers = dict([credential.read_text().split(": ", 1)]) if credential.exists() else {}
            return Server(port=port, pid=process.pid, headers=headers)

        try:
            yield wait
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(ENDS_WITHIN_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _modules(way: Way) -> list[Path]:
    return [HERE / "peers", HERE / "applications"] if way.peer else [HERE / "applications"]


def _until_it_answers(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    waiting_until = time.monotonic() + READY_WITHIN_SECONDS
    while time.monotonic() < waiting_until and process.poll() is None:
        try:
            if Server(port=port, pid=process.pid, headers={}).ask("/", {})[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"the server does not answer:\n{log.read_text()}")


def _see_that_it_authenticates(way: Way, server: Server) -> None:
    """What lets everybody in, or nobody, is not worth measuring."""
    status, who = server.ask("/me", server.headers)
    assert status == 200, (way, status)
    assert who.keys() == {"account", "session"}, (way, who)
    if server.headers and way.way != "unread":
        assert server.ask("/me", {})[0] == 401, way


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# Load


@dataclass(slots=True, kw_only=True)
class Load:
    """What wrk found at one server, round by round."""

    server: Server
    seconds: int
    found: list[dict[str, float]] = field(default_factory=list)

    async def measure(self) -> float:
        """Requests a second, once."""
        before = self.server.core_seconds()
        report = await asyncio.to_thread(self._run)
        spent = self.server.core_seconds() - before
        self.found.append(
            {
                "of a core": report["requests"] / spent if spent else float("nan"),
                "p50 (µs)": report["p50"],
                "p99 (µs)": report["p99"],
            }
        )
        return report["requests"] * 1_000_000 / report["duration"]

    def _run(self) -> dict[str, int]:
        headers = [part for name, value in self.server.headers.items() for part in ("-H", f"{name}: {value}")]
        load = ("-t", "1", "-c", str(CONNECTIONS), "-d", f"{self.seconds}s", "-s", str(HERE / "report.lua"))
        done = subprocess.run(
            ["wrk", *load, *headers, self.server.address],
            text=True,
            capture_output=True,
            check=True,
            timeout=self.seconds + 30,
        )
        report: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
        assert not report["wrong"], f"{report['wrong']} of {report['requests']} requests went wrong"
        return report

    def beside(self) -> dict[str, float]:
        """The medians of what was found beside requests a second; the first round does not count."""
        return {what: median(each[what] for each in self.found[1:]) for what in self.found[0]}


async def measured(framework: Framework, ways: Sequence[Way], plan: Plan) -> Part:
    """The ways of one framework, in turns."""
    tell(f"{framework.name}: starting {len(ways)} servers")
    with serving(framework, ways) as servers:
        loads = {name: Load(server=server, seconds=plan.seconds) for name, server in servers.items()}
        rounds: dict[str, Round] = {name: load.measure for name, load in loads.items()}

        def beside(name: str) -> Mapping[str, float]:
            return loads[name].beside()

        return await in_turns(framework.name, rounds, rounds=plan.rounds, beside=beside)


def main(run: Run) -> None:
    missing = [what for what, there in {"wrk": shutil.which("wrk"), "the peers": PEERS.exists()}.items() if not there]
    if missing:
        print(f"Not installed: {' and '.join(missing)}; requests are not measured.", file=sys.stderr)
        return
    plan = QUICK if run.quick else Plan()
    parts = [asyncio.run(measured(framework, framework.ways, plan)) for framework in FRAMEWORKS]
    publish_parts(run, parts, versions_of_peers())


_VERSIONS_OF = ("fastapi-users", "flask-jwt-extended", "djangorestframework-simplejwt", "pyjwt", "sqlalchemy")


def versions_of_peers() -> dict[str, str]:
    """As they are in the environment of the peers."""
    script = (
        "import json, sys; from importlib.metadata import version; print(json.dumps([*map(version, sys.argv[1:])]))"
    )
    told = subprocess.run([PEERS, "-c", script, *_VERSIONS_OF], text=True, capture_output=True, check=True).stdout
    return {f"{name} (peers)": each for name, each in zip(_VERSIONS_OF, json.loads(told), strict=True)}


def publish_parts(run: Run, parts: Sequence[Part], versions: Mapping[str, str]) -> None:
    packages = ("uvicorn", "uvloop", "httptools", "gunicorn", "starlette", "fastapi", "flask", "django")
    title = "Checking a request over HTTP"
    publish(run, "requests", title=title, about=ABOUT, parts=parts, packages=packages, versions=versions)
