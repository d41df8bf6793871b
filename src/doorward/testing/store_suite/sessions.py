"""What a store does with sessions."""

# ruff: noqa: S101 -- a suite of tests asserts

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from doorward.accounts.model import AccountChange
from doorward.audit.model import Action, Origin
from doorward.ports import Page, Store
from doorward.revocation.model import Kind, Revocation
from doorward.sessions.model import Ended, EndReason, Session, Sighting, Started
from doorward.testing.clock import NOON, FakeClock
from doorward.testing.factories import IDLE, a_new_session, an_account, an_ending
from doorward.testing.store_suite.case import TICK, StoreCase, actions, row, sign_up, start, told_by

LIMITS = [(IDLE - TICK, True), (IDLE, False), (IDLE + TICK, False)]


@pytest.mark.anyio
class SessionCases(StoreCase):
    async def test_a_session_is_kept_as_it_began(self, store: Store, clock: FakeClock) -> None:
        await sign_up(store)
        new = a_new_session(
            key=2**63 - 1,
            label="Ada's \N{SNOWMAN} phone",
            origin=Origin(ip="2001:db8::1", user_agent=None),
            methods=("pwd", "otp"),
            strategy="session",
            carrier="cookie",
        )
        clock.move(TICK)
        started = await store.start_session(new, limit=None, replaces=(), ending=an_ending())
        assert started == Started(session=new.begun(at=clock()))
        seen = await store.session(new.key)
        expected = Sighting(session=new.begun(at=clock()), account=an_account(), at=clock())
        assert told_by(seen) == told_by(expected)
        assert told_by(await store.session_by_id(new.id)) == told_by(expected)
        assert await actions(store, session=new.id) == [Action.SESSION_STARTED]

    async def test_a_session_is_read_by_its_public_id_with_its_whole_account(
        self, store: Store, clock: FakeClock
    ) -> None:
        await sign_up(store, 1, name="Ada", roles=("admin",))
        await sign_up(store, 2)
        first, second = await start(store, 1), await start(store, 2, account=an_account(2).id)
        found = await self.at_once(*(partial(store.session_by_id, each.id) for each in (first, second, first)))
        ada, bob = an_account(1, name="Ada", roles=("admin",)), an_account(2)
        assert [(seen.session, seen.account) for seen in found] == [(first, ada), (second, bob), (first, ada)]
        assert {seen.at for seen in found} == {clock()}

    async def test_an_account_is_read_with_a_session_as_it_is_now(self, store: Store) -> None:
        await sign_up(store)
        session = await start(store)
        await store.change_account(an_account().id, AccountChange(name="Countess"), an_ending())
        seen = await store.session_by_id(session.id)
        assert (seen.session, seen.account) == (session, an_account(name="Countess"))

    async def test_a_session_that_has_ended_is_read_by_its_public_id_with_the_reason(self, store: Store) -> None:
        await sign_up(store)
        session = await start(store)
        await store.end_session(session.id, an_ending(EndReason.SIGNED_OUT))
        seen = await store.session_by_id(session.id)
        assert seen.session is not None
        assert (seen.session.ended_reason, seen.account) == (EndReason.SIGNED_OUT, an_account())

    async def test_what_is_read_at_once_is_answered_to_who_asked(self, store: Store) -> None:
        await sign_up(store, 1)
        await sign_up(store, 2)
        first, second = await start(store, 1), await start(store, 2, account=an_account(2).id)
        reads: list[Callable[[], Coroutine[Any, Any, object]]] = [
            partial(store.sessions_of, an_account(2).id),
            partial(store.account, an_account(1).id),
            partial(store.account_by_email, an_account(2).email_key),
            partial(store.sessions_of, an_account(1).id),
            partial(store.sessions_of, "nobody"),
            partial(store.account, "nobody"),
            partial(store.account_by_email, "nobody@example.com"),
        ]
        found = await self.at_once(*reads)
        assert found == [(second,), an_account(1), an_account(2), (first,), (), None, None]

    async def test_an_unknown_session_is_none(self, store: Store, clock: FakeClock) -> None:
        for seen in (await store.session(404), await store.session_by_id("nobody")):
            assert (seen.session, seen.account, seen.at) == (None, None, clock())

    async def test_idle_never_passes_the_absolute_end(self, store: Store) -> None:
        await sign_up(store)
        session = await start(store, idle=timedelta(days=2), absolute=timedelta(days=1))
        assert session.idle_expires_at == session.expires_at == NOON + timedelta(days=1)

    async def test_the_limit_ends_the_oldest(self, store: Store, clock: FakeClock) -> None:
        await sign_up(store)
        for number in (1, 2, 3):
            clock.move(TICK)
            await start(store, number)
        started = await store.start_session(a_new_session(4), limit=2, replaces=(), ending=an_ending())
        assert isinstance(started, Started)
        oldest = [a_new_session(1).id, a_new_session(2).id]
        assert [(entry.kind, entry.id) for entry in started.revocations] == [(Kind.SESSION, id_) for id_ in oldest]
        assert [session.key for session in await store.sessions_of(an_account().id)] == [4, 3]
        ended = (await store.session(1)).session
        assert ended is not None
        assert ended.ended_reason is EndReason.SESSION_LIMIT

    async def test_a_limit_of_one_is_single_device(self, store: Store) -> None:
        await sign_up(store)
        await start(store, 1, limit=1)
        await start(store, 2, limit=1)
        assert [session.key for session in await store.sessions_of(an_account().id)] == [2]

    async def test_the_limit_counts_neither_what_is_over_nor_other_accounts(
        self, store: Store, clock: FakeClock
    ) -> None:
        await sign_up(store, 1)
        await sign_up(store, 2)
        await start(store, 1)
        clock.move(IDLE)
        other = await start(store, 2, account=an_account(2).id)
        kept = await start(store, 3)
        started = await store.start_session(a_new_session(4), limit=2, replaces=(), ending=an_ending())
        assert isinstance(started, Started)
        assert started.revocations == ()
        assert await row(store, other) == other
        assert await row(store, kept) == kept

    async def test_what_was_sent_along_is_ended_first(self, store: Store) -> None:
        await sign_up(store, 1)
        await sign_up(store, 2)
        mine, foreign, kept = (
            await start(store, 1),
            await start(store, 2, account=an_account(2).id),
            await start(store, 3),
        )
        started = await store.start_session(
            a_new_session(4), limit=2, replaces=[mine.key, foreign.key, 404], ending=an_ending(EndReason.ADMIN)
        )
        assert isinstance(started, Started)
        assert {entry.id for entry in started.revocations} == {mine.id, foreign.id}
        assert {(await row(store, session)).ended_reason for session in (mine, foreign)} == {EndReason.SIGNED_OUT}
        assert await row(store, kept) == kept
        assert (await store.revocations()).revocations == started.revocations

    async def test_sessions_are_listed_newest_first_and_only_while_they_live(
        self, store: Store, clock: FakeClock
    ) -> None:
        await sign_up(store)
        for number in (1, 2, 3):
            clock.move(TICK)
            await start(store, number)
        await store.end_session(a_new_session(2).id, an_ending())
        assert [session.key for session in await store.sessions_of(an_account().id)] == [3, 1]
        assert list(await store.sessions_of("nobody")) == []

    @pytest.mark.parametrize(("after", "lives"), LIMITS)
    async def test_a_session_lives_until_its_idle_end(
        self, store: Store, clock: FakeClock, after: timedelta, *, lives: bool
    ) -> None:
        await sign_up(store)
        await start(store)
        clock.move(after)
        assert bool(await store.sessions_of(an_account().id)) is lives

    @pytest.mark.parametrize(("before_the_end", "lives"), [(TICK, True), (timedelta(0), False), (-TICK, False)])
    async def test_use_does_not_carry_a_session_past_its_absolute_end(
        self, store: Store, clock: FakeClock, before_the_end: timedelta, *, lives: bool
    ) -> None:
        await sign_up(store)
        session = await start(store, absolute=IDLE * 3 / 2)
        clock.move(IDLE - TICK)
        await store.touch(session.key, idle=IDLE)
        touched = await row(store, session)
        assert (touched.last_seen_at, touched.idle_expires_at) == (clock(), session.expires_at)
        clock.move(session.expires_at - clock() - before_the_end)
        assert bool(await store.sessions_of(an_account().id)) is lives

    @pytest.mark.parametrize(("after", "lives"), LIMITS)
    async def test_a_touch_never_revives(
        self, store: Store, clock: FakeClock, after: timedelta, *, lives: bool
    ) -> None:
        await sign_up(store)
        session = await start(store)
        clock.move(after)
        await store.touch(session.key, idle=IDLE)
        if lives:
            assert (await row(store, session)).idle_expires_at == clock() + IDLE
        else:
            assert await row(store, session) == session

    async def test_a_touch_never_revives_what_was_ended(self, store: Store) -> None:
        await sign_up(store)
        session = await start(store)
        await store.end_session(session.id, an_ending())
        before = await row(store, session)
        await store.touch(session.key, idle=IDLE)
        assert await row(store, session) == before

    async def test_a_touch_by_a_clock_that_was_set_back_takes_nothing_back(
        self, store: Store, clock: FakeClock
    ) -> None:
        await sign_up(store)
        session = await start(store)
        clock.move(-timedelta(hours=1))
        await store.touch(session.key, idle=IDLE)
        assert await row(store, session) == session

    async def test_an_end_says_why_and_is_revoked_and_told(self, store: Store, clock: FakeClock) -> None:
        await sign_up(store)
        session = await start(store)
        clock.move(timedelta(minutes=1))
        ending = an_ending(EndReason.ADMIN)
        over = await store.end_session(session.id, ending)
        gone = replace(session, ended_at=clock(), ended_reason=EndReason.ADMIN)
        entry = Revocation(kind=Kind.SESSION, id=session.id, dies_at=clock() + ending.remember_for)
        assert over == Ended(sessions=(gone,), revocations=(entry,))
        assert await row(store, session) == gone
        assert (await store.revocations()).revocations == (entry,)
        (event, _) = await store.trail(Page(), session=session.id)
        assert (event.action, event.actor) == (Action.SESSION_ENDED, ending.actor)
        assert event.detail["reason"] == "admin"

    async def test_what_is_over_is_not_ended_again(self, store: Store, clock: FakeClock) -> None:
        await sign_up(store)
        ended, idle = await start(store, 1), await start(store, 2)
        await store.end_session(ended.id, an_ending(EndReason.ADMIN))
        clock.move(IDLE)
        for session in (ended, idle):
            assert await store.end_session(session.id, an_ending()) is None
        assert (await row(store, ended)).ended_reason is EndReason.ADMIN
        assert await row(store, idle) == idle

    async def test_a_session_is_not_ended_on_behalf_of_another_account(self, store: Store) -> None:
        await sign_up(store, 1)
        await sign_up(store, 2)
        session = await start(store)
        assert await store.end_session(session.id, an_ending(), account_id=an_account(2).id) is None
        assert await row(store, session) == session
        assert await store.end_session(session.id, an_ending(), account_id=an_account(1).id) is not None

    async def test_the_others_end_each_by_its_own_entry(self, store: Store) -> None:
        await sign_up(store)
        sessions = [await start(store, number) for number in (1, 2, 3)]
        over = await store.end_sessions(an_account().id, an_ending(), keep=sessions[1].id)
        assert {session.key for session in over.sessions} == {1, 3}
        assert {(entry.kind, entry.id) for entry in over.revocations} == {
            (Kind.SESSION, session.id) for session in (sessions[0], sessions[2])
        }
        assert list(await store.sessions_of(an_account().id)) == [sessions[1]]
        assert await store.account(an_account().id) == an_account()

    async def test_all_end_by_one_entry_of_the_account(self, store: Store) -> None:
        await sign_up(store)
        sessions = [await start(store, number) for number in (1, 2)]
        ending = an_ending(EndReason.ADMIN)
        over = await store.end_sessions(an_account().id, ending)
        assert [session.key for session in over.sessions] == [1, 2]
        assert {session.ended_reason for session in over.sessions} == {EndReason.ADMIN}
        entry = Revocation(kind=Kind.ACCOUNT, id=an_account().id, value=1, dies_at=NOON + ending.remember_for)
        assert over.revocations == (entry,) == (await store.revocations()).revocations
        assert await store.account(an_account().id) == an_account(version=1)
        assert await self._ended_events(store, sessions) == 2

    async def test_ending_all_of_nobody_ends_nothing(self, store: Store) -> None:
        assert await store.end_sessions("nobody", an_ending()) == Ended()
        assert await store.end_sessions("nobody", an_ending(), keep="nothing") == Ended()

    async def test_ending_all_sessions_reaches_those_that_are_only_starting(self, store: Store) -> None:
        await sign_up(store)
        await store.end_sessions(an_account().id, an_ending())
        started = await store.start_session(a_new_session(), limit=None, replaces=(), ending=an_ending())
        assert not isinstance(started, Started)

    @pytest.mark.parametrize("limit", [1, 2, 5_000])
    async def test_sessions_of_all_accounts_that_began_before_an_instant_end_step_by_step(
        self, store: Store, clock: FakeClock, limit: int
    ) -> None:
        for number in (1, 2, 3):
            await sign_up(store, number)
        before = [await start(store, number, account=an_account(1 + number % 3).id) for number in range(1, 6)]
        await store.end_session(before[0].id, an_ending())
        clock.move(TICK)
        instant = clock() - TICK
        later = None if self.forgets_by_itself else await start(store, 6)
        ended, after = 0, None
        for _ in range(10):
            step = await store.end_begun_before(instant, an_ending(EndReason.ADMIN), after=after, limit=limit)
            ended, after = ended + step.ended, step.after
            if after is None:
                break
        assert (ended, after) == (4, None)
        reasons = {(await row(store, session)).ended_reason for session in before[1:]}
        assert reasons == {EndReason.ADMIN}
        assert (await row(store, before[0])).ended_reason is EndReason.SIGNED_OUT
        assert later is None or (await row(store, later)).ended_at is None
        # Nobody's account is closed by that.
        current = await store.account(an_account(1).id)
        assert current is not None
        await start(store, 7, account_version=current.version)

    async def _ended_events(self, store: Store, sessions: list[Session]) -> int:
        told = [await actions(store, session=session.id) for session in sessions]
        return sum(events.count(Action.SESSION_ENDED) for events in told)
