"""What servers on one SQLite file notice of what the others revoke, tick by tick."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from doorward import watching
from doorward.accounts.model import AccountChange
from doorward.audit.model import Action, AuditEvent
from doorward.blocking import run_blocking
from doorward.doorward import Doorward
from doorward.errors import SessionEnded
from doorward.ports import Store
from doorward.revocation.model import Kind, Revocation
from doorward.secret import Secret
from doorward.sessions.model import Session
from doorward.stores import open_store
from doorward.stores.sql import sqlite_announcing
from doorward.stores.sql.sqlite_announcing import SqliteAnnouncements
from doorward.testing import FakeClock
from doorward.testing.factories import a_new_session, a_signing_key, an_account, an_ending
from doorward.testing.store_suite.case import POLICY, SOMEBODY, presentation, sign_up, start
from doorward.watching import Watch
from tests.sessions.deployments import ACTOR, EMAIL, HOME, PASSWORD, SECRET

pytestmark = pytest.mark.anyio

Heard = Sequence[Revocation] | None


@dataclass(slots=True)
class Ticks:
    """Lets a listener tick when it is told to."""

    heard: list[Heard] = field(default_factory=list)
    _next: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    _waits: asyncio.Event = field(default_factory=asyncio.Event)

    async def pause(self) -> None:
        self._waits.set()
        await self._next.acquire()

    async def until_it_waits(self) -> None:
        async with asyncio.timeout(30):
            await self._waits.wait()

    async def tick(self) -> list[Heard]:
        """What is heard in the next tick."""
        self._waits.clear()
        already = len(self.heard)
        self._next.release()
        await self.until_it_waits()
        return self.heard[already:]


@asynccontextmanager
async def listening(path: Path) -> AsyncIterator[Ticks]:
    ticks = Ticks()
    announcements = SqliteAnnouncements(path, pause=ticks.pause)
    task = asyncio.create_task(announcements.listen(ticks.heard.append))
    await ticks.until_it_waits()
    # What was committed before it listened is to be read.
    assert ticks.heard == [None]
    yield ticks
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.fixture
def path(template: Path, tmp_path: Path) -> Path:
    shutil.copy(template, tmp_path / "doorward.db")
    return tmp_path / "doorward.db"


@pytest.fixture
def sqlite(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture
async def store(anyio_backend: str, sqlite: str) -> AsyncIterator[Store]:
    store = open_store(sqlite)
    await store.open()
    await sign_up(store)
    yield store
    await store.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


Revoking = Callable[[Store, Session], Coroutine[Any, Any, object]]

DISABLED = AccountChange(disabled=True)
NEW_ROLES = AccountChange(roles=("admin",))
REVOKING: dict[str, tuple[Revoking, Kind]] = {
    "a session ends": (lambda store, session: store.end_session(session.id, an_ending()), Kind.SESSION),
    "all sessions end": (lambda store, session: store.end_sessions(session.account, an_ending()), Kind.ACCOUNT),
    "another session ends": (
        lambda store, session: store.end_sessions(session.account, an_ending(), keep="another"),
        Kind.SESSION,
    ),
    "an account is disabled": (
        lambda store, session: store.change_account(session.account, DISABLED, an_ending()),
        Kind.ACCOUNT,
    ),
    "roles change": (
        lambda store, session: store.change_account(session.account, NEW_ROLES, an_ending()),
        Kind.ACCOUNT,
    ),
    "the password changes": (
        lambda store, _: store.change_password(
            an_account(), Secret("n"), keep=None, new_secret_hash=None, ending=an_ending()
        ),
        Kind.ACCOUNT,
    ),
    "a session is replaced": (
        lambda store, session: store.start_session(
            a_new_session(9), limit=None, replaces=[session.key], ending=an_ending()
        ),
        Kind.SESSION,
    ),
    "one too many starts": (
        lambda store, _: store.start_session(a_new_session(9), limit=1, replaces=(), ending=an_ending()),
        Kind.SESSION,
    ),
}


@pytest.mark.parametrize("what", REVOKING)
async def test_what_is_revoked_is_heard_in_the_next_tick(store: Store, path: Path, what: str) -> None:
    revoke, kind = REVOKING[what]
    session = await start(store)
    async with listening(path) as ticks:
        await revoke(store, session)
        (heard,) = await ticks.tick()
        assert heard is not None
        assert sorted(heard, key=repr) == sorted((await store.revocations()).revocations, key=repr)
        assert [entry.kind for entry in heard] == [kind]
        assert await ticks.tick() == []


async def test_what_the_command_line_revokes_is_heard_too(store: Store, sqlite: str, path: Path) -> None:
    session = await start(store)
    other = open_store(sqlite, blocking=True)
    async with listening(path) as ticks:
        run_blocking(other.open())
        run_blocking(other.end_session(session.id, an_ending()))
        run_blocking(other.close())
        (heard,) = await ticks.tick()
        assert heard is not None
        assert [entry.id for entry in heard] == [session.id]


async def test_what_revokes_nothing_is_not_read(store: Store, path: Path) -> None:
    async with listening(path) as ticks:
        assert await ticks.tick() == []
        session = await start(store)
        await store.rotate(presentation(session), POLICY, actor=SOMEBODY)
        await store.touch(session.key, idle=POLICY.idle)
        assert await ticks.tick() == []


async def test_everything_is_read_where_keys_change(store: Store, path: Path) -> None:
    async with listening(path) as ticks:
        event = AuditEvent(action=Action.KEY_CREATED, actor=SOMEBODY)
        assert await store.change_keys(await store.keys(), [a_signing_key(1)], [event])
        assert await ticks.tick() == [None]


async def test_everything_is_read_where_too_much_has_happened(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_announcing, "MOST_EVENTS", 2)
    for number in (1, 2, 3):
        await start(store, number)
    async with listening(path) as ticks:
        await store.end_sessions(an_account().id, an_ending())
        assert await ticks.tick() == [None]


async def test_no_file_is_made_where_there_is_none(tmp_path: Path) -> None:
    file = tmp_path / "gone.db"
    with pytest.raises(FileNotFoundError):
        await SqliteAnnouncements(file)._listen_once(lambda _: None)
    assert not file.exists()


async def test_a_session_that_ends_in_one_server_is_refused_by_the_other_without_a_complete_read(
    sqlite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "DUE_EVERY", timedelta(hours=1))
    revoked, hear = asyncio.Event(), Watch._heard

    def heard(watch: Watch, revocations: Heard) -> None:
        hear(watch, revocations)
        if revocations and watch._deployment is other.deployment:
            revoked.set()

    monkeypatch.setattr(Watch, "_heard", heard)
    options: Any = {"strategy": "session", "insecure_fast_hashing": True, "rate_limits": False}
    async with Doorward(sqlite, secret=SECRET, **options) as one, Doorward(sqlite, secret=SECRET, **options) as other:
        await one.sign_up(email=EMAIL, password=PASSWORD, actor=ACTOR)
        signed_in = await one.sign_in(email=EMAIL, password=PASSWORD, origin=HOME)
        handle, session = signed_in.credentials.handle, signed_in.session
        await other.authenticate(handle=handle)
        await one.end_session(session.id, account_id=session.account, actor=ACTOR)
        async with asyncio.timeout(30):
            await revoked.wait()
        with pytest.raises(SessionEnded):
            await other.authenticate(handle=handle)


async def test_a_revocation_that_is_dead_when_it_is_heard_is_not_remembered(sqlite: str, clock: FakeClock) -> None:
    async with Doorward(sqlite, secret=SECRET, clock=clock) as auth:
        watch, live = auth._watching, auth.deployment.live
        assert watch is not None
        watch._heard([Revocation(kind=Kind.SESSION, id="dead", dies_at=clock())])
        assert "dead" not in live.sessions
        watch._heard([Revocation(kind=Kind.SESSION, id="alive", dies_at=clock() + timedelta(microseconds=1))])
        assert "alive" in live.sessions
