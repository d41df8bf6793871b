"""Three servers on one store, five services: signed out at one, refused by all, whatever dies meanwhile."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from doorward.revocation.freshness import boot_seconds
from tests.e2e.balancer import Balancer
from tests.e2e.servers import ROOT, Server, current, sign_in, sign_up
from tests.e2e.watcher import AUDIENCE
from tests.postgres import PostgresServer
from tests.valkey import ValkeyServer

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SERVERS = 3
KINDS = ("threads", "asyncio", "threads", "asyncio", "threads")
REVOCATIONS = 30
MAX_STALENESS = 3.0
WITHIN_SECONDS = 60


class Service:
    """A watcher in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, kind: str, issuer: str, credential: str) -> Service:
        service = cls(
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.e2e.watcher", kind, issuer, credential, str(MAX_STALENESS)),
                cwd=ROOT,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
        )
        assert await service._told() == {"fresh": True}
        return service

    def watch(self, token: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(token.encode() + b"\n")

    async def refuses(self, ended: dict[str, float]) -> None:
        """All of these are refused, and none was accepted later than the bound allows.

        Args:
            ended: tokens, and an instant at which the end of each had committed.
        """
        left = dict(ended)
        async with asyncio.timeout(WITHIN_SECONDS):
            while left:
                told = await self._told()
                if "token" not in told:
                    continue  # for a moment it was not fresh
                committed_at = left.pop(told["token"])
                if told["accepted"] is not None:
                    assert told["accepted"] <= committed_at + MAX_STALENESS, told

    async def is_stale(self) -> None:
        """It accepts nothing any more, and refuses nothing either."""
        assert (await self._told()).keys() == {"stale"}

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    async def end(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate(b"")

    async def _told(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        async with asyncio.timeout(WITHIN_SECONDS):
            told: dict[str, Any] = json.loads(await self._process.stdout.readline())
        return told


class Fleet:
    """What a deployment is made of."""

    def __init__(self, balancer: Balancer, services: Sequence[Service], tokens: Sequence[str]) -> None:
        self.balancer = balancer
        self.servers = balancer.servers
        self.services = services
        self._tokens: Iterator[str] = iter(tokens)
        # A server ends a connection that has been idle for 5 s; which is not to happen while it is being used again.
        options: dict[str, Any] = {"timeout": WITHIN_SECONDS, "limits": httpx.Limits(keepalive_expiry=2)}
        self._clients = [httpx.AsyncClient(base_url=server.address, **options) for server in self.servers]

    async def sign_out(self, count: int, *, at: Sequence[int]) -> dict[str, float]:
        """Sign out so many, at these servers in turns, while every service goes on verifying their tokens."""
        tokens = [next(self._tokens) for _ in range(count)]
        for service in self.services:
            for token in tokens:
                service.watch(token)
        ended = {}
        for number, token in enumerate(tokens):
            client = self._clients[at[number % len(at)]]
            bearer = {"Authorization": f"Bearer {token}"}
            assert (await client.delete("/v1/sessions/current", headers=bearer)).status_code == 204
            ended[token] = boot_seconds()
        return ended

    async def refused_by_servers(self, ended: dict[str, float], *, at: Sequence[int]) -> None:
        async with asyncio.timeout(WITHIN_SECONDS):
            for client in (self._clients[number] for number in at):
                for token in ended:
                    while (await current(client, token)).status_code != 401:  # noqa: ASYNC110 -- another process
                        await asyncio.sleep(0.01)

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()


@pytest.fixture(params=["PostgreSQL", "Redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Where the servers keep what they share, as settings.

    With Redis accounts are in SQLite: then it is Redis by which servers tell each other, and not ``NOTIFY``.
    """
    if request.param == "PostgreSQL":
        postgres: PostgresServer = request.getfixturevalue("postgres")
        return {"DATABASE": postgres.emptied()}
    valkey: ValkeyServer = request.getfixturevalue("valkey")
    return {"DATABASE": f"sqlite:///{tmp_path / 'shared.db'}", "REDIS_URL": valkey.emptied()}


@pytest.fixture
async def fleet(tmp_path: Path, store: dict[str, str]) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        balancer = await stack.enter_async_context(Balancer())
        settings = {**store, "ISSUER": balancer.address, "AUDIENCE": AUDIENCE, "STRATEGY": "hybrid"}
        for number in range(SERVERS):
            folder = tmp_path / f"server-{number}"
            folder.mkdir()
            server = Server(folder, **settings)
            stack.callback(server.kill)
            balancer.servers.append(server)
        # One first, so that the others find it compiled and the schema made.
        first, *others = balancer.servers
        await first.start()
        added, *_ = await asyncio.gather(
            asyncio.to_thread(first.command, "verifiers", "add", "fleet", "--json"),
            *(server.start() for server in others),
        )
        tokens = await _signed_in(first)
        started = [Service.start(kind, balancer.address, added["credential"]) for kind in KINDS]
        services = await asyncio.gather(*started)
        for service in services:
            stack.push_async_callback(service.end)
        fleet = Fleet(balancer, services, tokens)
        stack.push_async_callback(fleet.close)
        yield fleet


async def _signed_in(server: Server) -> list[str]:
    async with httpx.AsyncClient(base_url=server.address, timeout=WITHIN_SECONDS) as client:
        await sign_up(client)
        return [(await sign_in(client)).json()["access_token"] for _ in range(REVOCATIONS)]


async def test_signed_out_at_one_is_refused_by_all_whoever_dies_or_sleeps_meanwhile(fleet: Fleet) -> None:
    everywhere = range(SERVERS)
    ended = await fleet.sign_out(10, at=everywhere)
    await asyncio.gather(*(service.refuses(ended) for service in fleet.services))
    await fleet.refused_by_servers(ended, at=everywhere)

    # A server dies, one service sleeps, and then nothing gets through to any of them: for longer than they may rely on
    # what they knew.
    dead, alive = 0, [1, 2]
    *awake, asleep = fleet.services
    fleet.servers[dead].kill()
    asleep.pause()
    fleet.balancer.cut_off()
    ended = await fleet.sign_out(10, at=alive)
    await fleet.refused_by_servers(ended, at=alive)
    await asyncio.gather(*(service.is_stale() for service in awake))
    await asyncio.sleep(max(max(ended.values()) + MAX_STALENESS - boot_seconds(), 0))
    asleep.go_on()
    await asleep.is_stale()
    fleet.balancer.let_through()
    await asyncio.gather(*(service.refuses(ended) for service in fleet.services))

    # What died comes back, knows what happened without it, and tells of what comes.
    await fleet.servers[dead].start()
    await fleet.refused_by_servers(ended, at=[dead])
    ended = await fleet.sign_out(10, at=[dead])
    await asyncio.gather(*(service.refuses(ended) for service in fleet.services))
    await fleet.refused_by_servers(ended, at=everywhere)
