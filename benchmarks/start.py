"""Start and size: importing the verifier, serving the first request, memory, and what an installation takes."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from benchmarks.installed import has_node_peers, has_python_peers, versions_in_node, versions_in_python
from benchmarks.installed_size import node_size, python_size
from benchmarks.measuring import ROOT, Measured, Part, Round, Run, in_turns, publish, tell
from benchmarks.serving import NODE_PEERS, PEERS, Way, asgi, node, node_binary, serving, wrk, wsgi
from benchmarks.signing_in import by_doorward, credential
from doorward.stores import migrate

ABOUT = """
- **Importing**: by a fresh process each time, from its first statement on, so without the interpreter's own start; what
  was compiled is kept, and the files have been read before. Django is set up with its sessions and, with simplejwt,
  REST Framework.
- **Serving the first request**: from starting the process until a request is answered, on SQLite. Everybody makes the
  tables in an empty database first, and the peers' applications sign a user up besides (a password hashed); *again*
  finds tables and keys there.
- **Memory** is what a server's processes hold, pages that they share counted once: after the first request, and after
  many for whoever is signed in. As many as that were answered in a minute at most stands beside it. The applications
  are those of [requests over HTTP](requests.md), one process each; gunicorn's is two.
- **Installed**: the files of a package and of all that it asks for, without what Python compiles from them.
"""

MEBIBYTE = 1024 * 1024
_SITE_PACKAGES = Path(sysconfig.get_paths()["purelib"])
_TIMED = "import time; begun = time.perf_counter()\n{}\nprint(1e3 * (time.perf_counter() - begun))"
_DJANGO = """
import django
from django.conf import settings
apps = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"]
settings.configure(INSTALLED_APPS=apps, SECRET_KEY="a key for benchmarks alone")
django.setup()
import django.contrib.auth.middleware, django.contrib.sessions.middleware
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured.

    Args:
        rounds: of each import and each start.
        requests: that memory is told after.
        seconds: how long they may take.
    """

    rounds: int = 7
    requests: int = 1_000_000
    seconds: int = 60


QUICK = Plan(rounds=1, requests=10_000, seconds=3)


def has_peers() -> bool:
    """Whether all of them are installed."""
    return has_python_peers() and has_node_peers()


# Importing


def imports() -> dict[str, Sequence[str]]:
    """Commands that print milliseconds."""

    def python(code: str, binary: str | Path = sys.executable) -> Sequence[str]:
        return (str(binary), "-c", _TIMED.format(code))

    ways = {
        "doorward.Verifier": python("from doorward import Verifier"),
        "doorward.Doorward": python("from doorward import Doorward"),
    }
    if not has_peers():
        return ways
    peers = {
        "PyJWT": "import jwt",
        "fastapi-users": "import fastapi_users",
        "Django": _DJANGO,
        "simplejwt": _DJANGO + "import rest_framework_simplejwt.authentication",
    }
    script = "const begun = performance.now(); await import('better-auth'); console.log(performance.now() - begun)"
    ways |= {name: python(code, PEERS) for name, code in peers.items()}
    return {**ways, "better-auth": (node_binary(), "--input-type=module", "-e", script)}


async def importing(plan: Plan) -> Part:
    rounds: dict[str, Round] = {name: partial(_printed, command) for name, command in imports().items()}
    return await in_turns("Importing", rounds, rounds=plan.rounds, unit="ms")


async def _printed(command: Sequence[str]) -> float:
    done = subprocess.run(  # noqa: ASYNC221 -- nothing else is to happen meanwhile
        command, cwd=NODE_PEERS, env=_compiling(), capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def _compiling() -> dict[str, str]:
    """Surroundings in which what is compiled is kept, whatever they are here."""
    return {**os.environ, **_COMPILED}


_COMPILED = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(ROOT / ".dev" / "compiled")}


# Serving


def serve(name: str, **settings: str) -> Way:
    """``doorward serve``: with a database that is there, or one that it makes."""
    way = by_doorward().way
    return replace(way, name=name, settings={**way.settings, **_COMPILED, **settings})


def peers() -> list[Way]:
    if not has_peers():
        return []
    ways = [
        asgi("fastapi-users", "with_fastapi_users", way="database", peer=True),
        wsgi("Django's sessions", "with_django", way="sessions", peer=True),
        wsgi("simplejwt", "with_django", way="simplejwt", peer=True),
        node("better-auth", "signing_in.mjs"),
    ]
    return [replace(way, settings={**way.settings, **_COMPILED}) for way in ways]


async def readiness(folder: Path, plan: Plan) -> Part:
    """Milliseconds until the first request is answered."""
    database = f"sqlite:///{folder / 'there.db'}"
    migrate(database)
    ways = [serve("doorward serve"), serve("doorward serve, again", DOORWARD_DATABASE=database), *peers()]
    rounds: dict[str, Round] = {way.name: partial(_until_ready, way) for way in ways}
    return await in_turns("Serving the first request", rounds, rounds=plan.rounds, unit="ms")


async def _until_ready(way: Way) -> float:
    begun = time.perf_counter()
    with serving([way]):
        return 1e3 * (time.perf_counter() - begun)


# Memory


def memory(plan: Plan) -> Part:
    """MiB of each server, one after the other, idle and after requests."""
    bare = [asgi(f"bare ASGI, {name}", "bare", way=way) for name, way in (("alone", "none"), ("Doorward", "hybrid"))]
    found = []
    for way in (by_doorward().way, *bare, *peers()):
        tell(f"memory of {way.name}")
        with serving([way]) as servers:
            server, ours = servers[way.name], way.name == by_doorward().way.name
            headers = credential(by_doorward(), server) if ours else server.headers
            path = by_doorward().me if ours else "/me"
            assert server.ask(path, headers)[0] == 200
            idle = server.memory() / MEBIBYTE
            asked = _ask(f"http://127.0.0.1:{server.port}{path}", headers, plan)
            after = server.memory() / MEBIBYTE
        name = "doorward serve" if ours else way.name
        found.append(Measured(name=f"{name}, idle", rounds=(idle,), beside={"requests": 1}, to=f"{name}, idle"))
        found.append(Measured(name=f"{name}, after", rounds=(after,), beside={"requests": asked}, to=f"{name}, idle"))
    return Part(title="Memory", measured=tuple(found), unit="MiB")


def _ask(address: str, headers: Mapping[str, str], plan: Plan) -> int:
    """Ask until there were so many, or time is over; how many."""
    asked, until = 0, time.monotonic() + plan.seconds
    while asked < plan.requests and time.monotonic() < until:
        asked += wrk(address, seconds=1, headers=headers)["requests"]
    return asked


# Installed


def installed() -> Part:
    sizes = {
        name: python_size(name, _SITE_PACKAGES)
        for name in ("doorward", "doorward[accounts]", "doorward[server]", "doorward[all]")
    }
    if has_peers():
        theirs = PEERS.parents[1] / _SITE_PACKAGES.relative_to(Path(sys.prefix))
        names = ("pyjwt[crypto]", "fastapi-users[sqlalchemy]", "django", "djangorestframework-simplejwt")
        sizes |= {name: python_size(name, theirs) for name in names}
        sizes["better-auth"] = node_size("better-auth", NODE_PEERS)
    ways = (Measured(name=name, rounds=(size / MEBIBYTE,)) for name, size in sizes.items())
    return Part(title="Installed", measured=tuple(ways), unit="MiB")


async def measured(folder: Path, plan: Plan) -> list[Part]:
    parts = [await importing(plan), await readiness(folder, plan)]
    if shutil.which("wrk") is None:
        print("Not installed: wrk; memory is not measured.", file=sys.stderr)
    else:
        parts.append(await asyncio.to_thread(memory, plan))
    return [*parts, installed()]


def main(run: Run) -> None:
    with tempfile.TemporaryDirectory(prefix="doorward-benchmark-") as folder:
        parts = asyncio.run(measured(Path(folder), QUICK if run.quick else Plan()))
    publish_parts(run, parts)


def publish_parts(run: Run, parts: Sequence[Part]) -> None:
    packages = ("doorward", "uvicorn", "gunicorn")
    versions = versions_in_python("pyjwt", "fastapi-users", "django", "djangorestframework-simplejwt")
    versions |= versions_in_node("better-auth", "express")
    publish(run, "start", title="Start and size", about=ABOUT, parts=parts, packages=packages, versions=versions)
