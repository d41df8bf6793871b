"""Connections that stay open, for as long as their session stands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from doorward.accounts.model import AccountChange
from doorward.assurance import Demands
from doorward.doorward import Doorward
from doorward.errors import (
    DoorwardError,
    InsufficientAuthentication,
    InvalidToken,
    NotPermitted,
    SessionEnded,
    StoreUnavailable,
    Unavailable,
)
from doorward.revocation.model import Kind, Revocation
from doorward.sessions import guards as module
from doorward.sessions.guards import Guard, Guards
from doorward.sessions.model import EndReason
from doorward.testing import FakeClock
from tests.sessions.deployments import (
    ACTOR,
    PASSWORD,
    meddled,
    opened_with_ada,
    present,
    refresh_token,
    sign_in,
    whoever,
)
from tests.sessions.test_reassessment import STRATEGIES, Ticks

pytestmark = pytest.mark.anyio

ANYBODY = Demands()
STALE = 60.0


class Away:
    """A store that answers nothing about sessions while it is away."""

    def __init__(self, auth: Doorward) -> None:
        self._answer: Callable[[str], Any] = auth.deployment.store.session_by_id
        self.is_away = False
        self.asked = 0

    async def session_by_id(self, session_id: str) -> Any:
        self.asked += 1
        if self.is_away:
            raise StoreUnavailable(detail="away")
        return await self._answer(session_id)


class World:
    def __init__(self, auth: Doorward, clock: FakeClock, ticks: Ticks) -> None:
        self.auth = auth
        self.store = Away(auth)
        self.guards = Guards(meddled(auth, session_by_id=self.store.session_by_id))
        self._clock = clock
        self._ticks = ticks

    def pass_time(self, seconds: float) -> None:
        self._clock.move(timedelta(seconds=seconds))
        self._ticks.now += seconds
        self.guards.sweep()

    async def guarded(self, demands: Demands = ANYBODY) -> Guard:
        return await self.guards.begin(await whoever(self.auth, await sign_in(self.auth)), demands)


async def settled(guard: Guard) -> DoorwardError | None:
    """Why the connection is over, or None if it may stay open, once nothing is being asked any more."""
    for _ in range(50):
        await asyncio.sleep(0)
    assert not guard.judging
    return guard.over.result() if guard.over.done() else None


@asynccontextmanager
async def a_world(clock: FakeClock, **options: Any) -> AsyncIterator[World]:
    ticks = Ticks()
    async with opened_with_ada("memory:", clock, ticks=ticks, role_scopes={"editor": ("write",)}, **options) as auth:
        assert auth._watching is not None
        auth._watching.cancel()
        world = World(auth, clock, ticks)
        yield world
        world.guards.close()
        await asyncio.sleep(0)


@pytest.fixture(params=STRATEGIES)
async def world(request: pytest.FixtureRequest, clock: FakeClock) -> AsyncIterator[World]:
    async with a_world(clock, strategy=request.param) as world:
        yield world


@pytest.fixture
async def hybrid(clock: FakeClock) -> AsyncIterator[World]:
    async with a_world(clock, strategy="hybrid") as world:
        yield world


async def test_the_end_of_its_session_closes_a_connection_and_no_other(world: World) -> None:
    guard, other = await world.guarded(), await world.guarded()
    await world.auth.end_session(guard.principal.session_id, account_id=None, actor=ACTOR)
    over = await settled(guard)
    assert isinstance(over, SessionEnded)
    assert over.reason == EndReason.SIGNED_OUT
    assert await settled(other) is None
    assert len(world.guards) == 1


async def test_what_another_process_has_ended_is_told_by_the_live_set(world: World) -> None:
    guard = await world.guarded()
    ending = world.auth.deployment.ending(EndReason.ADMIN, ACTOR)
    ended = await world.auth.deployment.store.end_session(guard.principal.session_id, ending)
    assert ended is not None
    assert await settled(guard) is None
    world.auth.deployment.live.merge(ended.revocations)
    assert isinstance(await settled(guard), SessionEnded)


async def test_changing_the_password_closes_all_connections_but_ones_own(hybrid: World) -> None:
    guard, other = await hybrid.guarded(), await hybrid.guarded()
    await hybrid.auth.change_password(
        guard.principal, current=PASSWORD, new=type(PASSWORD)("eleven grey owls hum in rows"), origin=ACTOR.origin
    )
    assert await settled(guard) is None
    assert isinstance(await settled(other), SessionEnded)


@pytest.mark.parametrize("demands", [Demands(roles={"editor"}), Demands(scopes={"write"})])
async def test_who_loses_a_role_that_was_demanded_is_cut_off(hybrid: World, demands: Demands) -> None:
    account = (await sign_in(hybrid.auth)).account.id
    await hybrid.auth.change_account(account, AccountChange(roles=("editor", "reader")), actor=ACTOR)
    guard, indifferent = await hybrid.guarded(demands), await hybrid.guarded()
    await hybrid.auth.change_account(account, AccountChange(roles=("editor",)), actor=ACTOR)
    assert await settled(guard) is None
    await hybrid.auth.change_account(account, AccountChange(roles=("reader",)), actor=ACTOR)
    assert isinstance(await settled(guard), NotPermitted)
    assert await settled(indifferent) is None
    assert indifferent.principal.roles == frozenset({"reader"})


async def test_a_refresh_closes_nothing_and_neither_does_the_end_of_the_access_token(hybrid: World) -> None:
    signed_in = await sign_in(hybrid.auth)
    guard = await hybrid.guards.begin(await whoever(hybrid.auth, signed_in), ANYBODY)
    await present(hybrid.auth, refresh_token(signed_in))
    assert await settled(guard) is None
    for _ in range(3):
        hybrid.pass_time(hybrid.auth.options.access_lifetime.total_seconds())
        assert await settled(guard) is None


async def test_a_session_that_runs_out_closes_its_connection(world: World) -> None:
    guard = await world.guarded()
    options = world.auth.options
    lives_for = {
        "session": options.session_idle,
        "jwt": options.access_lifetime,
        "hybrid": options.session_idle_remembered,
    }[options.strategy].total_seconds()
    world.pass_time(lives_for - 1)
    assert await settled(guard) is None
    world.pass_time(1)
    over = await settled(guard)
    assert isinstance(over, SessionEnded)
    assert over.reason == (EndReason.EXPIRED if options.strategy == "jwt" else EndReason.IDLE)


async def test_a_session_that_is_used_elsewhere_lives_on(clock: FakeClock) -> None:
    async with a_world(clock, strategy="session") as world:
        signed_in = await sign_in(world.auth)
        guard = await world.guards.begin(await whoever(world.auth, signed_in), ANYBODY)
        world.pass_time(world.auth.options.session_idle.total_seconds() - 10)
        await whoever(world.auth, signed_in)
        world.pass_time(20)
        assert await settled(guard) is None


async def test_an_end_that_nobody_told_is_found_before_it_may_be_forgotten(world: World) -> None:
    """A process that was cut off for so long never hears of a revocation that has died meanwhile."""
    guard = await world.guarded()
    ending = world.auth.deployment.ending(EndReason.ADMIN, ACTOR)
    await world.auth.deployment.store.end_session(guard.principal.session_id, ending)
    assert world.auth.options.access_lifetime < world.auth.options.revocations_live_for
    world.pass_time(world.auth.options.access_lifetime.total_seconds())
    assert isinstance(await settled(guard), SessionEnded)


async def test_a_revoked_key_closes_whatever_a_token_has_opened(world: World) -> None:
    guard = await world.guarded()
    dies_at = world.auth.deployment.clock() + timedelta(hours=1)
    world.auth.deployment.live.merge([Revocation(kind=Kind.KEY, id="stolen", dies_at=dies_at)])
    over = await settled(guard)
    assert isinstance(over, InvalidToken) is (guard.principal.carrier == "token")


# The store does not answer


async def test_a_store_that_is_away_cuts_off_nobody_of_whom_nothing_is_known(hybrid: World) -> None:
    guard = await hybrid.guarded()
    hybrid.store.is_away = True
    for _ in range(4):
        hybrid.pass_time(hybrid.auth.options.access_lifetime.total_seconds())
        assert await settled(guard) is None
    hybrid.store.is_away = False
    hybrid.pass_time(1)
    assert await settled(guard) is None


async def test_what_cannot_be_cleared_up_in_time_cuts_off(world: World) -> None:
    guard, other = await world.guarded(), await world.guarded()
    world.store.is_away = True
    await world.auth.end_session(guard.principal.session_id, account_id=None, actor=ACTOR)
    longest = world.auth.options.max_staleness.total_seconds()
    world.pass_time(longest)
    assert await settled(guard) is None
    world.pass_time(0.001)
    over = await settled(guard)
    assert isinstance(over, Unavailable)
    assert await settled(other) is None


async def test_a_store_that_comes_back_in_time_says_why(world: World) -> None:
    guard = await world.guarded()
    world.store.is_away = True
    await world.auth.end_session(guard.principal.session_id, account_id=None, actor=ACTOR)
    assert await settled(guard) is None
    world.store.is_away = False
    world.pass_time(1)
    assert isinstance(await settled(guard), SessionEnded)


async def test_a_session_that_may_have_run_out_is_not_left_open_for_good(world: World) -> None:
    guard = await world.guarded()
    world.store.is_away = True
    # After a machine's sleep, say: the doubt begins when somebody looks.
    world.pass_time(world.auth.options.session_absolute.total_seconds())
    assert await settled(guard) is None
    world.pass_time(world.auth.options.max_staleness.total_seconds() + 1)
    assert isinstance(await settled(guard), Unavailable)


async def test_whoever_demands_it_is_cut_off_while_nothing_recent_is_known(world: World) -> None:
    guard, patient = await world.guarded(Demands(revocation="immediate")), await world.guarded()
    world.pass_time(world.auth.options.max_staleness.total_seconds())
    assert await settled(guard) is None
    world.pass_time(0.001)
    assert isinstance(await settled(guard), StoreUnavailable)
    assert await settled(patient) is None


# Beginning


async def test_what_has_ended_is_not_opened_although_its_credential_was_good_a_moment_ago(world: World) -> None:
    principal = await whoever(world.auth, await sign_in(world.auth))
    ending = world.auth.deployment.ending(EndReason.ADMIN, ACTOR)
    await world.auth.deployment.store.end_session(principal.session_id, ending)
    with pytest.raises(SessionEnded):
        await world.guards.begin(principal, ANYBODY)
    assert len(world.guards) == 0


async def test_an_end_while_it_is_being_opened_is_not_missed(world: World) -> None:
    principal = await whoever(world.auth, await sign_in(world.auth))
    answer = world.store._answer

    async def ended_meanwhile(session_id: str) -> Any:
        seen = await answer(session_id)
        if world.store.asked == 1:
            await world.auth.end_session(session_id, account_id=None, actor=ACTOR)
        return seen

    world.store._answer = ended_meanwhile
    with pytest.raises(SessionEnded):
        await world.guards.begin(principal, ANYBODY)


async def test_what_changes_twice_while_it_is_being_opened_is_not_missed(hybrid: World) -> None:
    account = (await sign_in(hybrid.auth)).account.id
    await hybrid.auth.change_account(account, AccountChange(roles=("editor",)), actor=ACTOR)
    principal = await whoever(hybrid.auth, await sign_in(hybrid.auth))
    answer = hybrid.store._answer
    changes = [AccountChange(roles=("editor", "reader")), AccountChange(roles=("reader",))]

    async def changed_meanwhile(session_id: str) -> Any:
        seen = await answer(session_id)
        if changes:
            await hybrid.auth.change_account(account, changes.pop(0), actor=ACTOR)
        return seen

    hybrid.store._answer = changed_meanwhile
    with pytest.raises(NotPermitted):
        await hybrid.guards.begin(principal, Demands(roles={"editor"}))


async def test_how_fresh_the_proof_is_counts_at_the_beginning(world: World) -> None:
    demands = Demands(fresh=timedelta(minutes=5))
    signed_in = await sign_in(world.auth)
    principal = await whoever(world.auth, signed_in)
    guard = await world.guards.begin(principal, demands)
    world.pass_time(301)
    assert await settled(guard) is None
    with pytest.raises(InsufficientAuthentication):
        await world.guards.begin(principal, demands)


async def test_roles_are_the_stores_and_not_what_an_older_token_says(hybrid: World) -> None:
    account = (await sign_in(hybrid.auth)).account.id
    await hybrid.auth.change_account(account, AccountChange(roles=("editor",)), actor=ACTOR)
    principal = await whoever(hybrid.auth, await sign_in(hybrid.auth))
    await hybrid.auth.change_account(account, AccountChange(roles=()), actor=ACTOR)
    with pytest.raises(NotPermitted):
        await hybrid.guards.begin(principal, Demands(roles={"editor"}))


# Bounds


async def test_many_ends_at_once_do_not_keep_the_store_from_its_other_work(
    hybrid: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    principal = await whoever(hybrid.auth, await sign_in(hybrid.auth))
    open_ones = [await hybrid.guards.begin(principal, ANYBODY) for _ in range(3 * module.MOST_LOOK_UPS)]
    at_once, most = 0, 0
    answer = hybrid.store._answer

    async def counted(session_id: str) -> Any:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        return await answer(session_id)

    hybrid.store._answer = counted
    await hybrid.auth.end_sessions(principal.subject, actor=ACTOR)
    assert all([isinstance(await guard.over, SessionEnded) for guard in open_ones])
    assert most == module.MOST_LOOK_UPS


async def test_nothing_is_kept_of_a_connection_that_is_closed(world: World) -> None:
    guard = await world.guarded()
    world.guards.end(guard)
    world.guards.end(guard)
    assert len(world.guards) == 0
    assert world.guards._sweeping is None
    assert not world.guards._by_account
    await world.guarded()
    assert len(world.guards) == 1
    sweeping: object = vars(world.guards)["_sweeping"]
    assert sweeping is not None


async def test_a_mistake_of_ours_leaves_no_connection_open(world: World, caplog: pytest.LogCaptureFixture) -> None:
    guard = await world.guarded()

    async def broken(_session_id: str) -> Any:
        raise ZeroDivisionError

    world.store._answer = broken
    await world.auth.end_session(guard.principal.session_id, account_id=None, actor=ACTOR)
    assert isinstance(await settled(guard), Unavailable)
    assert "judging a connection failed" in caplog.text
