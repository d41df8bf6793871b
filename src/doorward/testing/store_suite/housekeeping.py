"""What a store does with itself, and what it removes when its time has come."""

# ruff: noqa: S101 -- a suite of tests asserts

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from doorward.ports import Page, Removed, Store
from doorward.revocation.model import Kind, Revocation
from doorward.testing.clock import NOON, FakeClock
from doorward.testing.factories import IDLE, a_signing_key, an_ending
from doorward.testing.store_suite.case import TICK, WHENEVER, StoreCase, sign_up, start

KEPT = timedelta(days=2)
FOR_EVER = timedelta(days=3650)


async def remove(
    store: Store,
    *,
    sessions: timedelta = FOR_EVER,
    audit: timedelta = FOR_EVER,
    until: datetime = WHENEVER,
    batch: int = 500,
) -> Removed:
    return await store.remove_expired(session_retention=sessions, audit_retention=audit, until=until, batch=batch)


@pytest.mark.anyio
class HousekeepingCases(StoreCase):
    async def test_it_answers_and_tells_the_time(self, store: Store, clock: FakeClock) -> None:
        await store.ping()
        assert await store.now() == clock()

    async def test_it_has_a_name_that_stays(self, store: Store) -> None:
        assert store.identity
        assert store.identity == store.identity

    async def test_the_first_secret_is_remembered_until_it_is_replaced(self, store: Store) -> None:
        assert await store.secret_check("one") == "one"
        assert await store.secret_check("two") == "one"
        assert await store.secret_check("two", replaces=["three"]) == "one"
        assert await store.secret_check("two", replaces=["three", "one"]) == "two"
        assert await store.secret_check("two") == "two"

    @pytest.mark.parametrize(("after", "removed"), [(KEPT - TICK, 0), (KEPT, 1), (KEPT + TICK, 1)])
    async def test_an_ended_session_is_kept_for_the_retention(
        self, store: Store, clock: FakeClock, after: timedelta, removed: int
    ) -> None:
        await sign_up(store)
        session = await start(store, idle=timedelta(days=10))
        await store.end_session(session.id, an_ending())
        clock.move(after)
        removed = 0 if self.forgets_by_itself else removed
        assert (await remove(store, sessions=KEPT)).sessions == removed
        assert ((await store.session_by_id(session.id)).session is None) is bool(removed)

    @pytest.mark.parametrize(("after", "removed"), [(KEPT - TICK, 0), (KEPT, 1), (KEPT + TICK, 1)])
    async def test_an_expired_session_is_kept_for_the_retention(
        self, store: Store, clock: FakeClock, after: timedelta, removed: int
    ) -> None:
        await sign_up(store)
        await start(store)
        clock.move(IDLE + after)
        assert (await remove(store, sessions=KEPT)).sessions == (0 if self.forgets_by_itself else removed)

    async def test_dead_revocations_go_and_live_ones_stay(self, store: Store, clock: FakeClock) -> None:
        live = Revocation(kind=Kind.TOKEN, id="live", dies_at=NOON + 2 * TICK)
        await store.revoke([live, Revocation(kind=Kind.TOKEN, id="dead", dies_at=NOON + TICK)])
        clock.move(TICK)
        assert (await remove(store)).revocations == 1
        assert (await store.revocations()).revocations == (live,)

    async def test_retired_keys_go_after_the_retention(self, store: Store, clock: FakeClock) -> None:
        live, retired = a_signing_key(1), a_signing_key(2, retired_at=NOON)
        await store.change_keys([], [live, retired], [])
        clock.move(KEPT - TICK)
        assert (await remove(store, sessions=KEPT)).keys == 0
        clock.move(TICK)
        assert (await remove(store, sessions=KEPT)).keys == 1
        assert list(await store.keys()) == [live]

    async def test_the_trail_is_kept_for_its_own_retention(self, store: Store, clock: FakeClock) -> None:
        await sign_up(store)
        clock.move(KEPT - TICK)
        assert (await remove(store, audit=KEPT)).audit_events == 0
        clock.move(TICK)
        assert (await remove(store, audit=KEPT)).audit_events == 1
        assert list(await store.trail(Page())) == []

    @pytest.mark.parametrize(("until", "removed"), [(-TICK, 0), (timedelta(0), 1), (TICK, 1)])
    async def test_a_clock_that_jumped_ahead_removes_nothing_after_the_instant_that_is_trusted(
        self, store: Store, clock: FakeClock, until: timedelta, removed: int
    ) -> None:
        await sign_up(store)
        session = await start(store, idle=timedelta(days=10))
        await store.end_session(session.id, an_ending())
        retired = a_signing_key(2, retired_at=NOON)
        await store.change_keys([], [retired], [])
        dies_at = NOON + KEPT
        await store.revoke([Revocation(kind=Kind.TOKEN, id="live", dies_at=dies_at)])
        clock.step(KEPT + timedelta(hours=1))
        batch = await remove(store, sessions=KEPT, audit=KEPT, until=dies_at + until)
        # The end of the session left a revocation of its own, which had died long before.
        ours = 0 if self.forgets_by_itself else removed
        assert (batch.sessions, batch.revocations - 1, batch.keys) == (ours, removed, removed)
        assert bool(batch.audit_events) is bool(removed)

    async def test_a_batch_is_bounded_and_says_whether_there_is_more(self, store: Store, clock: FakeClock) -> None:
        await sign_up(store)
        for number in range(1, 6):
            await start(store, number)
        clock.move(IDLE + KEPT)
        if self.forgets_by_itself:
            removed = [await remove(store, audit=KEPT, batch=4) for _ in range(2)]
            assert [(batch.audit_events, batch.more) for batch in removed] == [(4, True), (2, False)]
            return
        removed = [await remove(store, sessions=KEPT, batch=2) for _ in range(3)]
        assert [(batch.sessions, batch.more) for batch in removed] == [(2, True), (2, True), (1, False)]
        assert await remove(store, sessions=KEPT, batch=2) == Removed()
