"""What tests of the cache in Memcached share: several stores over one database and one cache."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

import pytest

from doorward.keyring import Keyring
from doorward.options import Options
from doorward.ports import Knowledge
from doorward.revocation.freshness import Ticks
from doorward.revocation.model import LiveSet
from doorward.secret import Secret
from doorward.sessions.model import Session, Started
from doorward.stores import memcached_connection, memcached_servers
from doorward.stores.memcached import CachedSqlStore
from doorward.stores.memcached_servers import Servers, parse_memcached
from doorward.stores.sql.runners import Runner, Statement
from doorward.stores.sql.sqlite import sqlite_runner
from doorward.testing import FakeClock, a_new_session, an_account, an_ending
from doorward.testing.store_suite.case import SOMEBODY
from tests.memcached import MemcachedServer

T = TypeVar("T")

PATIENCE = timedelta(minutes=5)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memcached is waited for: a machine that is busy is not to be taken for one that is gone."""
    monkeypatch.setattr(memcached_servers, "CONNECT_TIMEOUT", PATIENCE)
    monkeypatch.setattr(memcached_connection, "ANSWER_TIMEOUT", PATIENCE)


SECRET = Secret("a secret of the deployment, long enough")


@dataclass(slots=True, kw_only=True)
class Known:
    """What one process knows; its ticks go with the clock of the test."""

    ticks: Ticks
    is_fresh: bool = True
    live: LiveSet = field(default_factory=LiveSet)
    options: Options = field(default_factory=Options)
    keyring: Keyring = field(default_factory=lambda: Keyring([SECRET]))


def known_by(clock: FakeClock) -> Known:
    return Known(ticks=lambda: clock().timestamp())


class Watched:
    """A runner that counts look-ups, and after which something may happen before their results are used."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.look_ups = 0
        self.after_look_up: Callable[[], Awaitable[object]] | None = None
        self.open, self.close = runner.open, runner.close
        self.read, self.write, self.ping = runner.read, runner.write, runner.ping

    async def look_up(self, statement: Statement[T]) -> T:
        self.look_ups += 1
        result = await self._runner.look_up(statement)
        if self.after_look_up is not None:
            hook, self.after_look_up = self.after_look_up, None
            await hook()
        return result


@dataclass(slots=True, kw_only=True)
class Process:
    """A store, with what is behind it."""

    store: CachedSqlStore
    runner: Watched
    known: Known
    servers: Servers

    async def session(self, key: int = 1) -> Session | None:
        """The session as this process answers; what it keeps of it has arrived."""
        found = (await self.store.session(key)).session
        await self.settled()
        return found

    async def settled(self) -> None:
        """Answers come in the order of the questions."""
        assert await self.servers.look(b"nothing") is not None

    def name(self, key: int = 1) -> str:
        return self.store._name(self.known, key).decode()


@dataclass(slots=True, kw_only=True)
class Site:
    """Processes over one database."""

    place: str
    clock: FakeClock
    memcached: MemcachedServer
    stack: AsyncExitStack

    async def process(self, url: str | None = None) -> Process:
        runner = Watched(sqlite_runner(self.place, clock=self.clock))
        known = known_by(self.clock)
        servers = Servers(parse_memcached(url or self.memcached.url))
        knowledge: Callable[[], Knowledge | None] = lambda: known  # noqa: E731 -- typed: it may be None elsewhere
        store = CachedSqlStore(runner, servers, knowledge)
        await store.open()
        self.stack.push_async_callback(store.close)
        runner.look_ups = 0
        return Process(store=store, runner=runner, known=known, servers=servers)


@asynccontextmanager
async def a_site(place: str, clock: FakeClock, memcached: MemcachedServer) -> AsyncIterator[Site]:
    memcached.emptied()
    async with AsyncExitStack() as stack:
        yield Site(place=place, clock=clock, memcached=memcached, stack=stack)


async def signed_in(process: Process, number: int = 1, **changes: object) -> Session:
    """A session carried by a handle, of an account that is made with the first."""
    await process.store.create_account(an_account(), actor=SOMEBODY)
    new = a_new_session(number, **{"strategy": "session", "carrier": "cookie", **changes})
    started = await process.store.start_session(new, limit=None, replaces=(), ending=an_ending())
    assert isinstance(started, Started)
    return started.session


async def warm(*processes: Process, key: int = 1) -> None:
    """What the processes look up next is kept, and each knows the store's time."""
    for process in processes:
        process.store._noted = (process.known.ticks(), await process.store.now())
        await process.session(key)
        process.runner.look_ups = 0


SECOND = timedelta(seconds=1)
