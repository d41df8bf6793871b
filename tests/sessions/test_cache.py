"""Cookie sessions answered from memory: as right as a look-up while what is known of revocations is fresh."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from doorward.accounts.model import AccountChange
from doorward.doorward import Doorward
from doorward.errors import NotAuthenticated, SessionEnded, StoreUnavailable
from doorward.memory import Memory
from doorward.principal import Principal
from doorward.secret import Secret
from doorward.sessions.flow import authenticate_handle
from doorward.sessions.model import EndReason, SignedIn
from doorward.sessions.recognition import recognise_handle
from doorward.sessions.rules import SEEN_AT_MOST_EVERY
from doorward.testing import FakeClock
from tests.sessions.deployments import (
    ACTOR,
    HOME,
    OTHER_PASSWORD,
    PASSWORD,
    meddled,
    opened,
    opened_with_ada,
    row_of,
    sign_in,
)

pytestmark = pytest.mark.anyio
TICK = timedelta(microseconds=1)


class Ticks:
    """A clock that nobody steps, in step with the one that is moved."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock, self._zero = clock, clock()
        self.moved = 0.0

    def __call__(self) -> float:
        return 1000.0 + (self._clock() - self._zero).total_seconds() + self.moved


@asynccontextmanager
async def a_site(database: str, clock: FakeClock, **options: Any) -> AsyncIterator[Doorward]:
    """Always fresh, unless its ticks are moved: no test depends on how fast it runs."""
    given = {"strategy": "session", "ticks": Ticks(clock), **options}
    async with opened_with_ada(database, clock, **given) as auth:
        yield auth


def handle_of(signed_in: SignedIn) -> Secret:
    assert signed_in.credentials.handle is not None
    return signed_in.credentials.handle


def is_fresh(auth: Doorward) -> bool:
    return auth.deployment.is_fresh


async def never(*_: Any, **__: Any) -> Any:
    raise StoreUnavailable(detail="the store was asked")


async def from_memory(auth: Doorward, signed_in: SignedIn) -> Principal:
    """Raises StoreUnavailable where the store would be asked."""
    return await authenticate_handle(meddled(auth, session=never), handle_of(signed_in))


async def remembered(auth: Doorward, **fields: Any) -> SignedIn:
    signed_in = await sign_in(auth, **fields)
    await auth.authenticate(handle=handle_of(signed_in))
    return signed_in


async def test_the_same_cookie_is_looked_up_once(database: str, clock: FakeClock) -> None:
    async with a_site(database, clock) as auth:
        signed_in = await sign_in(auth)
        looked_up = await auth.authenticate(handle=handle_of(signed_in))
        assert await from_memory(auth, signed_in) == looked_up


@pytest.mark.parametrize(("later", "known"), [(SEEN_AT_MOST_EVERY - TICK, True), (SEEN_AT_MOST_EVERY, False)])
async def test_it_is_remembered_until_its_use_is_to_be_written(
    clock: FakeClock, later: timedelta, *, known: bool
) -> None:
    async with a_site("memory:", clock) as auth:
        signed_in = await remembered(auth)
        clock.move(later)
        await auth.read_changes()
        if known:
            await from_memory(auth, signed_in)
            return
        with pytest.raises(StoreUnavailable):
            await from_memory(auth, signed_in)
        await auth.authenticate(handle=handle_of(signed_in))
        assert (await row_of(auth, signed_in)).last_seen_at == clock()


async def test_it_is_never_remembered_past_its_own_end(clock: FakeClock) -> None:
    limits = {
        "session_idle": timedelta(seconds=60),
        "session_idle_remembered": timedelta(seconds=60),
        "session_absolute": timedelta(seconds=70),
        "lost_reply_window": timedelta(0),
    }
    async with a_site("memory:", clock, **limits) as auth:
        signed_in = await sign_in(auth)
        for _ in range(13):
            clock.move(timedelta(seconds=5))
            await auth.read_changes()
            await auth.authenticate(handle=handle_of(signed_in))
        clock.move(timedelta(seconds=5))
        await auth.read_changes()
        with pytest.raises(SessionEnded, match="expired"):
            await auth.authenticate(handle=handle_of(signed_in))


@pytest.mark.parametrize("step", [timedelta(seconds=-1), timedelta(hours=1)])
async def test_where_the_clock_was_stepped_the_store_is_asked(clock: FakeClock, step: timedelta) -> None:
    async with a_site("memory:", clock, ticks=lambda: 1000.0) as auth:
        signed_in = await remembered(auth)
        clock.move(step)
        with pytest.raises(StoreUnavailable):
            await from_memory(auth, signed_in)


async def test_what_ends_in_this_process_is_refused_with_the_next_request(database: str, clock: FakeClock) -> None:
    async with a_site(database, clock) as auth:
        one, two = await remembered(auth), await remembered(auth)
        await auth.end_session(one.session.id, account_id=None, reason=EndReason.ADMIN, actor=ACTOR)
        with pytest.raises(SessionEnded, match="admin"):
            await auth.authenticate(handle=handle_of(one))
        await from_memory(auth, two)
        await auth.end_sessions(two.account.id, actor=ACTOR)
        with pytest.raises(SessionEnded, match="signed_out"):
            await auth.authenticate(handle=handle_of(two))


async def test_an_old_handle_is_forgotten_when_the_password_changes(database: str, clock: FakeClock) -> None:
    async with a_site(database, clock) as auth:
        signed_in = await remembered(auth)
        principal = await auth.authenticate(handle=handle_of(signed_in))
        new = await auth.change_password(principal, current=PASSWORD, new=OTHER_PASSWORD, origin=HOME)
        assert new is not None
        with pytest.raises(NotAuthenticated):
            await auth.authenticate(handle=handle_of(signed_in))
        assert await auth.authenticate(handle=new)


async def test_other_roles_are_seen_at_once(database: str, clock: FakeClock) -> None:
    async with a_site(database, clock) as auth:
        signed_in = await remembered(auth)
        await auth.change_account(signed_in.account.id, AccountChange(roles=("editor",)), actor=ACTOR)
        assert (await auth.authenticate(handle=handle_of(signed_in))).roles == {"editor"}
        assert (await from_memory(auth, signed_in)).roles == {"editor"}
        await auth.change_account(signed_in.account.id, AccountChange(disabled=True), actor=ACTOR)
        with pytest.raises(SessionEnded, match="account_disabled"):
            await auth.authenticate(handle=handle_of(signed_in))


async def test_whoever_is_not_fresh_asks_the_store_and_learns_what_others_have_ended(
    sqlite: str, clock: FakeClock
) -> None:
    ticks = Ticks(clock)
    async with (
        a_site(sqlite, clock, ticks=ticks) as auth,
        opened(sqlite, clock, strategy="session", blocking=True) as elsewhere,
    ):
        signed_in = await remembered(auth)
        assert auth._watching is not None
        auth._watching.cancel()  # nobody reads in between
        await elsewhere.end_session(signed_in.session.id, account_id=None, reason=EndReason.ADMIN, actor=ACTOR)
        ticks.moved += auth.options.max_staleness.total_seconds()
        assert is_fresh(auth)
        await from_memory(auth, signed_in)
        ticks.moved += 0.001
        assert not is_fresh(auth)
        with pytest.raises(SessionEnded, match="admin"):
            await auth.authenticate(handle=handle_of(signed_in))


async def test_a_host_without_a_watch_remembers_nothing(clock: FakeClock) -> None:
    async with a_site("memory:", clock, blocking=True) as auth:
        signed_in = await remembered(auth)
        assert len(auth.deployment.cookies) == 0
        with pytest.raises(StoreUnavailable):
            await from_memory(auth, signed_in)


async def test_what_is_no_session_is_not_remembered(clock: FakeClock) -> None:
    async with a_site("memory:", clock) as auth:
        for text in ("", "nonsense", "dws_" + "A" * 32, "\ud800"):
            with pytest.raises(NotAuthenticated):
                await auth.authenticate(handle=Secret(text))
        assert len(auth.deployment.cookies) == 0


async def test_a_memory_is_bounded_and_keeps_what_is_used(clock: FakeClock) -> None:
    async with a_site("memory:", clock) as auth:
        cache: Memory[Any] = Memory(4)
        object.__setattr__(auth.deployment, "cookies", cache)
        used = await remembered(auth)
        for _ in range(10):
            await remembered(auth)
            await from_memory(auth, used)
            assert len(cache) <= 4


@pytest.mark.parametrize(("seconds", "held"), [(-0.001, False), (0.0, True), (59.999, True), (60.0, False)])
async def test_both_clocks_have_to_agree(clock: FakeClock, seconds: float, *, held: bool) -> None:
    async with a_site("memory:", clock) as auth:
        signed_in, here = await remembered(auth), auth.deployment
        text, now, ticks = handle_of(signed_in).reveal(), here.seconds(), here.ticks()
        auth.deployment.freshness.note(asked_at=ticks + 1000.0)
        assert recognise_handle(here, text) is not None
        for later in (
            replace(here, seconds=lambda: now + seconds),
            replace(here, ticks=lambda: ticks + seconds),
        ):
            assert (recognise_handle(later, text) is not None) is held
