from __future__ import annotations

from datetime import timedelta

import pytest

from doorward.revocation.freshness import Freshness

MOST = timedelta(seconds=5)


def test_cold_is_never_fresh() -> None:
    assert Freshness().staleness(now=0.0) is None
    assert not Freshness().is_fresh(now=0.0, max_staleness=timedelta.max)


@pytest.mark.parametrize(("now", "fresh"), [(14.999, True), (15.0, True), (15.001, False)])
def test_what_is_known_ages_from_when_it_was_asked_for(now: float, fresh: bool) -> None:  # noqa: FBT001
    known = Freshness()
    known.note(asked_at=10.0)
    assert known.is_fresh(now=now, max_staleness=MOST) is fresh


def test_an_answer_that_was_old_where_it_was_given_is_as_old_here() -> None:
    known = Freshness()
    known.note(asked_at=10.0, lag=timedelta(seconds=4))
    assert known.staleness(now=11.0) == timedelta(seconds=5)


def test_an_answer_from_the_future_makes_nothing_younger() -> None:
    known = Freshness()
    known.note(asked_at=10.0, lag=timedelta(hours=-1))
    assert known.staleness(now=10.0) == timedelta(0)
    assert known.staleness(now=11.0) == timedelta(seconds=1)


def test_an_older_answer_that_comes_late_takes_nothing_back() -> None:
    known = Freshness()
    known.note(asked_at=10.0)
    known.note(asked_at=8.0)
    assert known.staleness(now=10.0) == timedelta(0)
