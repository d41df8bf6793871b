"""A process notices that it stood still."""

from __future__ import annotations

import pytest

from doorward.pulse import BEATS_EVERY, NOTICED, REMEMBERED_FOR, Pulse

LATE = (BEATS_EVERY + NOTICED).total_seconds()
KEPT = REMEMBERED_FOR.total_seconds()


class Ticks:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
def pulse(ticks: Ticks) -> Pulse:
    pulse = Pulse(ticks)
    pulse.start()
    return pulse


@pytest.mark.parametrize(
    ("gap", "stall"), [(0.0, 0.0), (1.0, 0.0), (LATE, 0.0), (LATE + 0.01, LATE + 0.01), (60.0, 60.0)]
)
def test_a_gap_between_beats_is_a_stall_before_and_after_the_next_beat(
    pulse: Pulse, ticks: Ticks, gap: float, stall: float
) -> None:
    ticks.now += gap
    assert pulse.stall_before(ticks.now) == pytest.approx(stall)
    pulse.beat()
    assert pulse.stall_before(ticks.now) == pytest.approx(stall)


@pytest.mark.parametrize(("later", "stall"), [(0.0, 12.0), (KEPT, 12.0), (KEPT + 0.01, 0.0)])
def test_a_stall_is_remembered_as_long_as_a_request_may_have_waited_for_its_end(
    pulse: Pulse, ticks: Ticks, later: float, stall: float
) -> None:
    ticks.now += 12
    pulse.beat()
    until = ticks.now + later
    while ticks.now < until:
        ticks.now = min(ticks.now + 1, until)
        pulse.beat()
    assert pulse.stall_before(ticks.now) == pytest.approx(stall)


def test_stalls_that_follow_each_other_add_up(pulse: Pulse, ticks: Ticks) -> None:
    for _ in range(3):
        ticks.now += 4
        pulse.beat()
    assert pulse.stall_before(ticks.now) == pytest.approx(12)


def test_what_was_before_a_process_began_is_no_stall(pulse: Pulse, ticks: Ticks) -> None:
    ticks.now += 60
    pulse.start()
    assert pulse.stall_before(ticks.now) == 0
    pulse.stop()
    ticks.now += 60
    assert pulse.stall_before(ticks.now) == 0
