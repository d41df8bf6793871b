"""Which time removals go by: a table of jumps, and that nothing is lost by one."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from doorward.errors import SessionEnded
from doorward.revocation.model import Kind
from doorward.testing import FakeClock
from doorward.testing.clock import NOON
from doorward.trusted_time import CONFIRMED_AFTER, NOTICED, UNCONFIRMED_MARGIN, Timekeeper, decide_trusted_time
from doorward.trusted_time import first_look as look
from tests.sessions.deployments import ACTOR, opened_with_ada, sign_in

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
NOTHING = timedelta(0)


@pytest.mark.parametrize(
    ("step", "stood", "trusted"),
    [
        pytest.param(NOTHING, NOTHING, NOTHING, id="a clock that nobody sets"),
        pytest.param(NOTICED, NOTHING, NOTHING, id="no more than an answer may take"),
        pytest.param(HOUR, NOTHING, NOTHING, id="an hour ahead"),
        pytest.param(HOUR, CONFIRMED_AFTER - SECOND, NOTHING, id="an hour ahead for nearly an hour"),
        pytest.param(HOUR, CONFIRMED_AFTER, HOUR, id="an hour ahead for an hour"),
        pytest.param(-HOUR, NOTHING, -HOUR, id="set back"),
        pytest.param(-SECOND, NOTHING, -SECOND, id="set back by a second"),
    ],
)
def test_a_clock_that_was_set_ahead_is_trusted_when_it_has_stood_for_an_hour(
    step: timedelta, stood: timedelta, trusted: timedelta
) -> None:
    known, ticks = look(NOON, ticks=0.0), 0
    # A look every ten minutes, as well as exactly at the end.
    for ticks in [*range(0, int(stood.total_seconds()), 600), int(stood.total_seconds())]:
        known = decide_trusted_time(known, NOON + step + timedelta(seconds=ticks), ticks=float(ticks))
    drift = timedelta(seconds=0.001 * ticks)
    expected = NOON + trusted + stood + NOTICED
    assert expected <= known.at(float(ticks)) <= expected + drift


def test_a_second_jump_begins_the_hour_anew() -> None:
    known = look(NOON, ticks=0.0)
    for ticks, step in ((0, HOUR), (3000, 2 * HOUR), (3700, 2 * HOUR)):
        known = decide_trusted_time(known, NOON + step + timedelta(seconds=ticks), ticks=float(ticks))
    assert known.at(3700.0) < NOON + timedelta(seconds=3720)


def test_steps_too_small_to_be_noticed_do_not_add_up() -> None:
    known = look(NOON, ticks=0.0)
    for ticks in range(100):
        known = decide_trusted_time(known, NOON + ticks * 5 * SECOND, ticks=float(ticks))
    assert known.at(99.0) < NOON + 110 * SECOND


def test_a_process_that_has_just_begun_removes_only_what_expired_a_day_ago(clock: FakeClock) -> None:
    timekeeper = Timekeeper()
    for moved, margin in (
        (NOTHING, UNCONFIRMED_MARGIN),
        (CONFIRMED_AFTER - SECOND, UNCONFIRMED_MARGIN),
        (SECOND, NOTHING),
    ):
        clock.move(moved)
        assert timekeeper.removable_until(clock(), ticks=clock.ticks()) == clock() - margin


def test_a_jump_is_logged_once_and_so_is_its_end(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    timekeeper = Timekeeper()

    def looked(times: int) -> list[str]:
        caplog.clear()
        for _ in range(times):
            clock.move(SECOND)
            timekeeper.trust(clock(), ticks=clock.ticks())
        return [record.getMessage().partition(",")[0] for record in caplog.records]

    caplog.set_level(logging.WARNING, logger="doorward.trusted_time")
    assert looked(3) == []
    clock.step(HOUR)
    assert looked(3) == ["the clock jumped ahead by 3600 s"]
    clock.step(-HOUR)
    assert looked(3) == ["the clock is back where it was before it jumped"]
    clock.step(-HOUR)
    assert looked(3) == ["the clock was set back by 3600 s"]


@pytest.mark.anyio
async def test_a_revoked_token_stays_refused_when_the_clock_was_an_hour_ahead_for_a_minute(
    database: str, clock: FakeClock
) -> None:
    async with opened_with_ada(database, clock, ticks=clock.ticks, issuer="https://a.example") as auth:
        signed_in = await sign_in(auth)
        access = signed_in.credentials.access_token
        assert access is not None
        # Long enough that this process removes by its clock.
        for _ in range(3):
            clock.move(CONFIRMED_AFTER / 2)
            await auth.read_changes()
        signed_in = await sign_in(auth)
        access = signed_in.credentials.access_token
        assert access is not None
        await auth.end_session(signed_in.session.id, account_id=None, actor=ACTOR)
        clock.step(HOUR)
        for _ in range(6):
            clock.move(timedelta(seconds=10))
            await auth.read_changes()
            assert (await auth.remove_expired()).revocations == 0
        clock.step(-HOUR)
        with pytest.raises(SessionEnded):
            await auth.authenticate(bearer=access.text)
        await auth.read_changes()
        assert signed_in.session.id in {
            entry.id for entry in (await auth.deployment.store.revocations()).revocations if entry.kind is Kind.SESSION
        }
