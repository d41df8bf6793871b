"""The one atomic statement of rotation, and what follows where it does not take (docs/concepts/rotation.md)."""

# ruff: noqa: S101 -- a suite of tests asserts

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doorward.accounts.model import AccountChange
from doorward.audit.model import Action, AuditEvent
from doorward.ports import Page, Store
from doorward.principal import Carrier
from doorward.revocation.model import Kind
from doorward.rotation.model import Healed, Presentation, Recovered, RefreshPolicy, Retried, Rotated, Taken
from doorward.rotation.rules import decide_refresh, next_generation
from doorward.secret import Secret
from doorward.sessions.model import EndReason, Session, Sighting
from doorward.testing.clock import NOON, FakeClock
from doorward.testing.factories import IDLE, an_account, an_ending
from doorward.testing.store_suite.case import (
    POLICY,
    REST,
    SOMEBODY,
    TICK,
    StoreCase,
    actions,
    presentation,
    rotated,
    row,
    sign_up,
    start,
    told_by,
)

REUSED = AuditEvent(action=Action.REFRESH_REUSED, actor=SOMEBODY)
RETRIED = AuditEvent(action=Action.REFRESH_RETRIED, actor=SOMEBODY)

_ages = st.sampled_from(
    [
        -timedelta(minutes=1),
        timedelta(0),
        TICK,
        *(
            edge + step
            for edge in (POLICY.grace, REST, POLICY.window, IDLE, 2 * IDLE)
            for step in (-TICK, timedelta(0), TICK)
        ),
    ]
)
_steps = st.tuples(_ages, st.integers(-2, 2), st.sampled_from([None, b"a" * 32, b"b" * 32]), st.booleans())
_numbers = count(1000)


@pytest.mark.anyio
class RotationCases(StoreCase):
    async def test_the_first_generation_makes_the_next_at_once(self, store: Store, clock: FakeClock) -> None:
        await sign_up(store)
        session = await start(store)
        presented = presentation(session, attempt=b"a" * 32)
        taken = await store.rotate(presented, POLICY, actor=SOMEBODY)
        expected = next_generation(session, presented, now=clock(), policy=POLICY)
        assert taken == Taken(session=expected, account=an_account(), at=clock())
        assert await row(store, session) == expected
        (event, _) = await store.trail(Page(), session=session.id)
        assert (event.action, event.actor, event.account) == (Action.REFRESH_ROTATED, SOMEBODY, session.account)
        assert event.detail["generation"] == 1

    @pytest.mark.parametrize(("age", "takes"), [(REST - TICK, False), (REST, True), (REST + TICK, True)])
    async def test_a_later_generation_rests_first(
        self, store: Store, clock: FakeClock, age: timedelta, *, takes: bool
    ) -> None:
        await sign_up(store)
        session = await rotated(store, await start(store))
        clock.move(age)
        await self._check(store, session, presentation(session), takes=takes)

    @pytest.mark.parametrize(
        "forged",
        [{"key": 404}, {"generation": 0}, {"generation": 2}, {"secret_hash": b"x" * 32}, {"secret_hash": b""}],
    )
    async def test_what_does_not_match_leaves_the_row_as_it_is(
        self, store: Store, clock: FakeClock, forged: dict[str, Any]
    ) -> None:
        await sign_up(store)
        session = await rotated(store, await start(store))
        clock.move(REST)
        await self._check(store, session, presentation(session, **forged), takes=False)

    @pytest.mark.parametrize(("age", "takes"), [(IDLE - TICK, True), (IDLE, False), (IDLE + TICK, False)])
    async def test_a_session_that_was_idle_for_too_long_does_not_rotate(
        self, store: Store, clock: FakeClock, age: timedelta, *, takes: bool
    ) -> None:
        await sign_up(store)
        session = await start(store)
        clock.move(age)
        await self._check(store, session, presentation(session), takes=takes)

    @pytest.mark.parametrize(
        ("carrier", "remembered", "idle"),
        [("cookie", False, IDLE), ("cookie", True, 3 * IDLE), ("token", False, 3 * IDLE), ("token", True, 3 * IDLE)],
    )
    async def test_rotation_extends_a_session_by_the_limit_that_it_is_under(
        self, store: Store, clock: FakeClock, carrier: Carrier, idle: timedelta, *, remembered: bool
    ) -> None:
        await sign_up(store)
        session = await start(store, carrier=carrier, remembered=remembered)
        assert session.remembered is remembered
        clock.move(REST)
        policy = replace(POLICY, idle_remembered=3 * IDLE)
        taken = await store.rotate(presentation(session), policy, actor=SOMEBODY)
        assert isinstance(taken, Taken)
        assert taken.session == await row(store, session)
        assert taken.session == next_generation(session, presentation(session), now=clock(), policy=policy)
        assert (taken.session.idle_expires_at, taken.session.remembered) == (clock() + idle, remembered)

    @pytest.mark.parametrize(("before_the_end", "takes"), [(TICK, True), (timedelta(0), False), (-TICK, False)])
    async def test_a_session_does_not_rotate_past_its_absolute_end(
        self, store: Store, clock: FakeClock, before_the_end: timedelta, *, takes: bool
    ) -> None:
        await sign_up(store)
        session = await start(store, absolute=IDLE * 3 / 2)
        clock.move(IDLE - TICK)
        session = await rotated(store, session)
        assert session.idle_expires_at == session.expires_at
        clock.move(session.expires_at - before_the_end - clock())
        await self._check(store, session, presentation(session), takes=takes)

    async def test_an_ended_session_does_not_rotate(self, store: Store) -> None:
        await sign_up(store)
        session = await start(store)
        await store.end_session(session.id, an_ending())
        await self._check(store, await row(store, session), presentation(session), takes=False)

    async def test_a_session_of_a_disabled_account_does_not_rotate(self, store: Store) -> None:
        await sign_up(store)
        session = await start(store)
        change = AccountChange(disabled=True)
        await store.change_account(an_account().id, change, an_ending(EndReason.ACCOUNT_DISABLED))
        await self._check(store, await row(store, session), presentation(session), takes=False)

    async def test_a_session_rotates_under_the_new_version_that_it_was_carried_to(self, store: Store) -> None:
        await sign_up(store)
        session = await start(store)
        await store.change_account(an_account().id, AccountChange(roles=("a",)), an_ending())
        taken = await store.rotate(presentation(session), POLICY, actor=SOMEBODY)
        assert isinstance(taken, Taken)
        assert (taken.session.account_version, taken.account.roles) == (1, ("a",))

    async def test_the_old_handle_does_not_rotate_once_the_password_has_changed(self, store: Store) -> None:
        await sign_up(store)
        session = await start(store)
        ending = an_ending(EndReason.PASSWORD_CHANGED)
        await store.change_password(an_account(), Secret("new"), keep=session, new_secret_hash=b"n" * 32, ending=ending)
        await self._check(store, await row(store, session), presentation(session), takes=False)
        assert not await store.replace_session(session, replace(session, acknowledged=True), RETRIED)
        assert await store.end_reused(session, an_ending(EndReason.REUSE), REUSED) is None

    async def test_rotating_forgets_what_a_recovery_put_aside_and_who_was_seen(
        self, store: Store, clock: FakeClock
    ) -> None:
        await sign_up(store)
        first = await rotated(store, await start(store))
        recovered = replace(first, generation=2, displaced=1, acknowledged=True, attempt=b"a" * 32, healed_in="here")
        assert await store.replace_session(first, recovered, RETRIED)
        clock.move(REST)
        session = await rotated(store, recovered)
        assert session == next_generation(recovered, presentation(recovered), now=clock(), policy=POLICY)
        assert (session.displaced, session.acknowledged, session.attempt) == (None, False, None)

    async def test_rotating_by_a_clock_that_was_set_back_takes_no_use_back(
        self, store: Store, clock: FakeClock
    ) -> None:
        await sign_up(store)
        session = await start(store)
        clock.move(-timedelta(minutes=1))
        after = await rotated(store, session)
        assert (after.last_seen_at, after.idle_expires_at) == (session.last_seen_at, session.idle_expires_at)

    async def test_replacing_writes_what_rotation_moves_and_tells_of_it(self, store: Store, clock: FakeClock) -> None:
        await sign_up(store)
        seen = await rotated(store, await start(store))
        clock.move(REST)
        to = replace(
            seen,
            generation=2,
            displaced=1,
            made_at=clock(),
            attempt=b"b" * 32,
            acknowledged=True,
            retried=True,
            healed_in="here",
            last_seen_at=clock(),
            idle_expires_at=clock() + IDLE,
        )
        assert await store.replace_session(seen, to, RETRIED)
        assert await row(store, seen) == to
        assert (await actions(store))[-1] is Action.REFRESH_RETRIED

    async def test_replacing_takes_back_no_use_that_was_noted_meanwhile(self, store: Store, clock: FakeClock) -> None:
        await sign_up(store)
        seen = await start(store)
        clock.move(REST)
        await store.touch(seen.key, idle=IDLE)
        assert await store.replace_session(seen, replace(seen, acknowledged=True), RETRIED)
        now = await row(store, seen)
        assert (now.last_seen_at, now.idle_expires_at) == (clock(), clock() + IDLE)

    async def test_what_is_replaced_is_dated_by_the_statement_and_not_by_the_look(
        self, store: Store, clock: FakeClock
    ) -> None:
        await sign_up(store)
        seen = await rotated(store, await start(store))
        looked_at = clock() + REST
        clock.move(REST + POLICY.grace)
        to = replace(seen, generation=2, made_at=looked_at, first_at=looked_at)
        assert await store.replace_session(seen, to, RETRIED)
        after = await row(store, seen)
        assert (after.made_at, after.first_at) == (clock(), clock())

    async def test_what_was_judged_within_a_time_is_not_written_after_it(self, store: Store, clock: FakeClock) -> None:
        await sign_up(store)
        seen = await start(store)
        until = clock() + POLICY.grace
        clock.move(POLICY.grace + TICK)
        assert not await store.replace_session(seen, replace(seen, retried=True), RETRIED, until=until)
        assert await row(store, seen) == seen
        clock.move(-TICK)
        assert await store.replace_session(seen, replace(seen, retried=True), RETRIED, until=until)
        assert (await row(store, seen)).retried

    @pytest.mark.parametrize(
        "otherwise", [{"generation": 5}, {"made_at": NOON + TICK}, {"acknowledged": True}, {"key": 404}]
    )
    async def test_a_row_that_is_not_as_seen_is_neither_replaced_nor_ended(
        self, store: Store, otherwise: dict[str, Any]
    ) -> None:
        await sign_up(store)
        session = await start(store)
        before = await actions(store)
        seen = replace(session, **otherwise)
        assert not await store.replace_session(seen, replace(seen, generation=9), RETRIED)
        assert await store.end_reused(seen, an_ending(EndReason.REUSE), REUSED) is None
        assert await row(store, session) == session
        assert await actions(store) == before
        assert (await store.revocations()).revocations == ()

    async def test_what_is_over_is_neither_replaced_nor_ended_as_reused(self, store: Store, clock: FakeClock) -> None:
        await sign_up(store)
        ended, idle = await start(store, 1), await start(store, 2)
        await store.end_session(ended.id, an_ending())
        clock.move(IDLE)
        for session in (ended, idle):
            before = await row(store, session)
            assert not await store.replace_session(session, replace(session, generation=1), RETRIED)
            assert await store.end_reused(session, an_ending(EndReason.REUSE), REUSED) is None
            assert await row(store, session) == before

    async def test_a_reused_session_ends_alone(self, store: Store, clock: FakeClock) -> None:
        await sign_up(store)
        session, other = await start(store, 1), await start(store, 2)
        ending = an_ending(EndReason.REUSE)
        over = await store.end_reused(session, ending, replace(REUSED, session=session.id))
        gone = replace(session, ended_at=clock(), ended_reason=EndReason.REUSE)
        assert over is not None
        assert over.sessions == (gone,)
        assert [(entry.kind, entry.id) for entry in over.revocations] == [(Kind.SESSION, session.id)]
        assert (await store.revocations()).revocations == over.revocations
        assert await row(store, other) == other
        assert (await actions(store, session=session.id))[-2:] == [Action.REFRESH_REUSED, Action.SESSION_ENDED]

    async def test_only_the_current_generation_of_a_live_session_is_acknowledged(self, store: Store) -> None:
        await sign_up(store)
        session, ended = await start(store, 1), await start(store, 2)
        await store.end_session(ended.id, an_ending())
        for name, generation in ((session.id, 1), (ended.id, 0), ("nobody", 0)):
            await store.acknowledge(name, generation)
        assert await row(store, session) == session
        assert not (await row(store, ended)).acknowledged
        await store.acknowledge(session.id, 0)
        assert await row(store, session) == replace(session, acknowledged=True)
        assert not (await rotated(store, session)).acknowledged

    @given(history=st.lists(_steps, min_size=1, max_size=8), short=st.booleans())
    @settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
    async def test_it_takes_exactly_where_the_rules_say_rotated_and_writes_what_they_say(
        self,
        store: Store,
        clock: FakeClock,
        history: Sequence[tuple[timedelta, int, bytes | None, bool]],
        *,
        short: bool,
    ) -> None:
        await store.create_account(an_account(), actor=SOMEBODY)
        number = next(_numbers)
        session = await start(store, number, absolute=3 * IDLE) if short else await start(store, number)
        policy = replace(POLICY, heal_lost_writes=True)
        for age, distance, attempt, is_seen in history:
            clock.move(age)
            generation = max(0, (await row(store, session)).generation + distance)
            presented = presentation(session, generation=generation, attempt=attempt)
            await self._step(store, presented, policy)
            if is_seen:
                await store.acknowledge(session.id, (await row(store, session)).generation)

    async def _step(self, store: Store, presented: Presentation, policy: RefreshPolicy) -> None:
        """Present, compare with the rules, and apply what they decide."""
        before = await store.session(presented.key)
        assert before.session is not None
        decision = decide_refresh(
            before.session, before.account, presented, now=before.at, policy=policy, store_identity=store.identity
        )
        found = await store.rotate(presented, policy, actor=SOMEBODY)
        assert isinstance(found, Taken) == isinstance(decision, Rotated)
        if isinstance(decision, Rotated):
            assert found.session == decision.to == (await store.session(presented.key)).session
        else:
            assert isinstance(found, Sighting)
            assert told_by(found) == told_by(before) == told_by(await store.session(presented.key))
        if isinstance(decision, Retried | Recovered | Healed) and decision.to is not None:
            assert await store.replace_session(before.session, decision.to, RETRIED)
            assert (await store.session(presented.key)).session == decision.to

    async def _check(self, store: Store, session: Session, presented: Presentation, *, takes: bool) -> None:
        told = await actions(store)
        found = await store.rotate(presented, POLICY, actor=SOMEBODY)
        if takes:
            assert isinstance(found, Taken)
            assert found.session == await row(store, session)
            assert found.session.generation == session.generation + 1
        else:
            assert isinstance(found, Sighting)
            assert found.session == (session if presented.key == session.key else None)
            assert await row(store, session) == session
            assert await actions(store) == told
