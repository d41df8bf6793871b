"""Checking a request over HTTP: the same small application without authentication, with Doorward, and with peers."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.measuring import Part, Round, Run, in_turns, publish, tell
from benchmarks.serving import PEERS, Load, Server, Way, asgi, serving, wsgi

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

STRATEGIES = ("session", "jwt", "hybrid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Framework:
    """Ways to authenticate under one framework, the first of them without."""

    name: str
    ways: Sequence[Way]


def _framework(name: str, server: Callable[..., Way], module: str, *peers: Way) -> Framework:
    doorward = [server(f"Doorward, {strategy}", module, way=strategy) for strategy in STRATEGIES]
    return Framework(name=name, ways=(server("no authentication", module, way="none"), *doorward, *peers))


BARE = _framework("Bare ASGI", asgi, "bare", asgi("a token that is not read", "bare", way="unread"))
FASTAPI = _framework(
    "FastAPI",
    asgi,
    "on_fastapi",
    asgi("PyJWT by hand", "pyjwt_by_hand", peer=True),
    asgi("fastapi-users, JWT", "with_fastapi_users", way="jwt", peer=True),
    asgi("fastapi-users, database", "with_fastapi_users", way="database", peer=True),
)
FLASK = _framework("Flask", wsgi, "on_flask", wsgi("Flask-JWT-Extended", "with_flask_jwt_extended", peer=True))
DJANGO = _framework(
    "Django",
    wsgi,
    "on_django",
    wsgi("Django's sessions", "with_django", way="sessions", peer=True),
    wsgi("simplejwt", "with_django", way="simplejwt", peer=True),
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


def _see_that_it_authenticates(way: Way, server: Server) -> None:
    """What lets everybody in, or nobody, is not worth measuring."""
    status, who = server.ask("/me", server.headers)
    assert status == 200, (way, status)
    assert who.keys() == {"account", "session"}, (way, who)
    if server.headers and way.way != "unread":
        assert server.ask("/me", {})[0] == 401, way


async def measured(framework: Framework, ways: Sequence[Way], plan: Plan) -> Part:
    """The ways of one framework, in turns."""
    tell(f"{framework.name}: starting {len(ways)} servers")
    with serving(ways) as servers:
        for way in ways:
            _see_that_it_authenticates(way, servers[way.name])
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
