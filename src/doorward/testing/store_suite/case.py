"""What the cases of the suite share."""

# ruff: noqa: S101 -- a suite of tests asserts

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest

from doorward.audit.model import Action, Actor
from doorward.ports import Page, Store
from doorward.rotation.model import Presentation, RefreshPolicy, Taken
from doorward.sessions.model import Session, Sighting, Started
from doorward.testing.clock import FakeClock
from doorward.testing.factories import IDLE, a_new_session, an_account, an_ending

T = TypeVar("T")

TICK = timedelta(microseconds=1)
REST = timedelta(seconds=30)
WHENEVER = datetime(9999, 1, 1, tzinfo=UTC)
"""Later than any clock shows: for housekeeping that trusts the store's."""
POLICY = RefreshPolicy(
    grace=timedelta(seconds=10), rest=REST, window=timedelta(seconds=300), idle=IDLE, idle_remembered=IDLE
)
SOMEBODY = Actor(name="somebody")


class StoreCase:
    """One kind of store, made new for each test."""

    forgets_by_itself: ClassVar[bool] = False
    """Whether sessions whose time has come are removed by the engine, and not by housekeeping."""

    def make_store(self, clock: FakeClock, tmp_path: Path) -> Store:
        """A new, empty store that is not open yet and takes its time from ``clock``."""
        raise NotImplementedError

    async def at_once(self, *operations: Callable[[], Coroutine[Any, Any, T]]) -> Sequence[T]:
        """Run operations at the same time, as nearly as the store's host can."""
        return await asyncio.gather(*(operation() for operation in operations))

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    async def store(self, anyio_backend: str, clock: FakeClock, tmp_path: Path) -> AsyncIterator[Store]:  # noqa: ARG002 -- anyio runs it
        store = self.make_store(clock, tmp_path)
        await store.open()
        yield store
        await store.close()


async def sign_up(store: Store, number: int = 1, **changes: Any) -> None:
    assert await store.create_account(an_account(number, **changes), actor=SOMEBODY)


async def start(store: Store, number: int = 1, *, limit: int | None = None, **changes: Any) -> Session:
    """Start a session of an account that is there."""
    started = await store.start_session(a_new_session(number, **changes), limit=limit, replaces=(), ending=an_ending())
    assert isinstance(started, Started)
    return started.session


async def rotated(store: Store, session: Session) -> Session:
    """The session once its current generation has made the next."""
    taken = await store.rotate(presentation(session), POLICY, actor=SOMEBODY)
    assert isinstance(taken, Taken)
    return taken.session


def presentation(session: Session, **changes: Any) -> Presentation:
    """The current refresh token of a session, presented."""
    fields = {"key": session.key, "generation": session.generation, "secret_hash": session.secret_hash, **changes}
    return Presentation(**fields)


async def row(store: Store, session: Session) -> Session:
    """The session as the store holds it."""
    found = (await store.session(session.key)).session
    assert found is not None
    return found


async def actions(store: Store, *, session: str | None = None) -> list[Action]:
    """What the trail tells, in the order in which it happened."""
    return [event.action for event in reversed(await store.trail(Page(limit=200), session=session))]


def told_by(seen: Sighting) -> tuple[object, ...]:
    """What a look-up has to tell: a store may keep no more of the account than its owner is, beside a session."""
    account = seen.account
    owner = None if account is None else (account.id, account.roles, account.version, account.disabled_at)
    return seen.session, owner, seen.at
