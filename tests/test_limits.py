"""How often may be tried what can be guessed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.audit.model import Origin
from doorward.errors import RateLimited
from doorward.limits import (
    FAILURES_PER_EMAIL,
    REFRESHES_PER_SESSION,
    SIGN_INS_PER_ADDRESS,
    SIGN_UPS_PER_ADDRESS,
    Allowed,
    AttemptLimiter,
    Bucket,
    Denied,
    Limits,
    Rate,
    decide_attempt,
    forgive_attempt,
    limits_for,
)
from doorward.options import Options

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
RATE = Rate(burst=3, every=10 * SECOND)


def allowed(limiter: AttemptLimiter, key: str, now: datetime = NOW) -> bool:
    try:
        limiter.spend(key, now)
    except RateLimited:
        return False
    return True


def count_allowed(limiter: AttemptLimiter, key: str, now: datetime = NOW, *, tries: int = 500) -> int:
    return sum(allowed(limiter, key, now) for _ in range(tries))


# Rules


def test_a_fresh_bucket_gives_its_burst_and_no_more() -> None:
    bucket = None
    for _ in range(3):
        decision = decide_attempt(bucket, now=NOW, rate=RATE)
        assert isinstance(decision, Allowed)
        bucket = decision.bucket
    assert decide_attempt(bucket, now=NOW, rate=RATE) == Denied(retry_after=10 * SECOND)


@pytest.mark.parametrize(
    ("after", "retry_after"),
    [
        (timedelta(0), 10 * SECOND),
        (4 * SECOND, 6 * SECOND),
        (10 * SECOND - TICK, TICK),
        (10 * SECOND, None),
        (10 * SECOND + TICK, None),
    ],
)
def test_an_attempt_comes_back_exactly_after_its_time(after: timedelta, retry_after: timedelta | None) -> None:
    decision = decide_attempt(Bucket(whole_at=NOW + 30 * SECOND), now=NOW + after, rate=RATE)
    assert (decision.retry_after if isinstance(decision, Denied) else None) == retry_after


def test_idling_saves_up_no_more_than_the_burst() -> None:
    limiter = AttemptLimiter(RATE)
    assert count_allowed(limiter, "k") == 3
    assert count_allowed(limiter, "k", NOW + timedelta(days=365)) == 3


def test_a_clock_that_was_set_back_denies_nobody_for_longer_than_the_burst_takes_to_come_back() -> None:
    assert isinstance(decide_attempt(Bucket(whole_at=NOW + 30 * SECOND), now=NOW, rate=RATE), Denied)
    for ahead in (timedelta(seconds=30, microseconds=1), timedelta(days=365)):
        assert isinstance(decide_attempt(Bucket(whole_at=NOW + ahead), now=NOW, rate=RATE), Allowed)


def test_a_denied_attempt_costs_nothing() -> None:
    limiter = AttemptLimiter(RATE)
    count_allowed(limiter, "k")
    assert allowed(limiter, "k", NOW + 10 * SECOND)


@given(st.lists(st.timedeltas(timedelta(0), timedelta(seconds=40)), max_size=60))
def test_no_history_gets_more_than_the_burst_and_what_came_back(pauses: list[timedelta]) -> None:
    now, bucket, taken = NOW, None, list[datetime]()
    for pause in pauses:
        now += pause
        decision = decide_attempt(bucket, now=now, rate=RATE)
        if isinstance(decision, Denied):
            assert isinstance(decide_attempt(bucket, now=now + decision.retry_after, rate=RATE), Allowed)
            assert decide_attempt(bucket, now=now + decision.retry_after - TICK, rate=RATE) == Denied(retry_after=TICK)
            continue
        bucket = decision.bucket
        taken.append(now)
    for first, since in enumerate(taken):
        for count, until in enumerate(taken[first:], start=1):
            assert count <= RATE.burst + (until - since) / RATE.every


def test_what_is_forgiven_is_one_attempt() -> None:
    assert forgive_attempt(Bucket(whole_at=NOW + 30 * SECOND), rate=RATE) == Bucket(whole_at=NOW + 20 * SECOND)


# Memory


def test_each_key_has_a_limit_of_its_own() -> None:
    limiter = AttemptLimiter(RATE)
    assert count_allowed(limiter, "one") == 3
    assert count_allowed(limiter, "other") == 3


def test_a_refusal_says_when_to_try_again() -> None:
    limiter = AttemptLimiter(RATE)
    count_allowed(limiter, "k")
    with pytest.raises(RateLimited) as refused:
        limiter.spend("k", NOW + 2 * SECOND)
    assert refused.value.retry_after == 8 * SECOND


def test_checking_spends_nothing() -> None:
    limiter = AttemptLimiter(RATE)
    for _ in range(10):
        limiter.check("k", NOW)
    assert count_allowed(limiter, "k") == 3
    with pytest.raises(RateLimited):
        limiter.check("k", NOW)
    limiter.check("k", NOW + 10 * SECOND)


def test_forgiving_gives_back_one_and_never_more_than_was_spent() -> None:
    limiter = AttemptLimiter(RATE)
    limiter.forgive("unknown")
    count_allowed(limiter, "k")
    limiter.forgive("k")
    assert count_allowed(limiter, "k") == 1
    for _ in range(10):
        limiter.forgive("k")
    assert count_allowed(limiter, "k") == 3


def test_the_key_unused_for_longest_is_dropped_where_there_are_too_many() -> None:
    limiter = AttemptLimiter(RATE, most_keys=2)
    for key in ("old", "kept"):
        count_allowed(limiter, key)
    assert not allowed(limiter, "old")  # a refusal is a use
    allowed(limiter, "new")
    assert len(limiter) == 2
    assert not allowed(limiter, "old")
    assert count_allowed(limiter, "kept") == 3


def test_an_attempt_that_is_allowed_is_a_use() -> None:
    limiter = AttemptLimiter(RATE, most_keys=2)
    for key in ("old", "kept", "old"):
        allowed(limiter, key)
    allowed(limiter, "new")
    assert count_allowed(limiter, "old") == 1


def test_memory_is_bounded_whatever_is_tried() -> None:
    limiter = AttemptLimiter(RATE, most_keys=100)
    for number in range(1_000):
        allowed(limiter, f"{number}\ud800")
    assert len(limiter) == 100


def test_the_memory_holds_no_key() -> None:
    limiter = AttemptLimiter(RATE)
    limiter.spend("ada@example.com", NOW)
    assert "ada@" not in repr(vars(limiter))
    assert AttemptLimiter(RATE)._name("k") != limiter._name("k")


def test_a_limiter_without_room_or_attempts_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least one"):
        AttemptLimiter(RATE, most_keys=0)
    with pytest.raises(ValueError, match="at least one"):
        AttemptLimiter(Rate(burst=0, every=SECOND))


def test_a_hundred_threads_at_once_get_the_burst_and_no_more() -> None:
    limiter = AttemptLimiter(Rate(burst=20, every=SECOND))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: count_allowed(limiter, "k", tries=10), range(100)))
    finally:
        sys.setswitchinterval(interval)
    assert sum(answers) == 20


# Which limit applies where

BURSTS = [
    (FAILURES_PER_EMAIL, 20, timedelta(minutes=1)),
    (SIGN_INS_PER_ADDRESS, 100, SECOND),
    (SIGN_UPS_PER_ADDRESS, 60, 5 * SECOND),
    (REFRESHES_PER_SESSION, 120, SECOND / 2),
]


@pytest.mark.parametrize(("rate", "burst", "every"), BURSTS)
def test_the_rates_are_those_that_are_documented(rate: Rate, burst: int, every: timedelta) -> None:
    assert rate == Rate(burst=burst, every=every)


def attempts(count: int, attempt: Callable[[int], None]) -> int:
    """How many of so many attempts were allowed."""
    done = 0
    for number in range(count):
        try:
            attempt(number)
        except RateLimited:
            continue
        done += 1
    return done


def the_limits() -> Limits:
    return limits_for(Options(), clock=lambda: NOW)


def test_failures_are_limited_by_email_wherever_they_come_from() -> None:
    limits = the_limits()
    assert attempts(50, lambda n: limits.before_sign_in(Origin(ip=f"192.0.2.{n}"), "ada@example.com")) == 20
    limits.before_sign_in(Origin(ip="192.0.2.99"), "eve@example.com")


def test_signing_in_rightly_never_meets_the_limit_of_failures() -> None:
    limits = the_limits()

    def sign_in(_: int) -> None:
        limits.before_sign_in(Origin(ip=None), "ada@example.com")
        limits.after_sign_in("ada@example.com")

    assert attempts(500, sign_in) == 500


def test_sign_ins_are_limited_by_address_whatever_the_email() -> None:
    limits = the_limits()
    assert attempts(200, lambda n: limits.before_sign_in(Origin(ip="192.0.2.1"), f"{n}@example.com")) == 100
    limits.before_sign_in(Origin(ip="192.0.2.2"), "ada@example.com")


def test_an_address_over_its_limit_spends_nothing_of_an_email() -> None:
    limits = the_limits()
    attempts(200, lambda n: limits.before_sign_in(Origin(ip="192.0.2.1"), f"{n}@example.com"))
    attempts(200, lambda _: limits.before_sign_in(Origin(ip="192.0.2.1"), "ada@example.com"))
    assert attempts(50, lambda n: limits.before_sign_in(Origin(ip=f"198.51.100.{n}"), "ada@example.com")) == 20


def test_sign_ups_and_refreshes_have_limits_of_their_own() -> None:
    limits = the_limits()
    assert attempts(200, lambda _: limits.before_sign_up(Origin(ip="192.0.2.1"))) == 60
    assert attempts(200, lambda _: limits.before_refresh("17")) == 120
    assert attempts(200, lambda _: limits.before_refresh("18")) == 120


def test_a_caller_without_an_address_is_not_limited_by_address() -> None:
    limits = the_limits()
    assert attempts(200, lambda _: limits.before_sign_up(Origin(ip=None))) == 200
    assert attempts(200, lambda n: limits.before_sign_in(Origin(ip=None), f"{n}@example.com")) == 200


def test_switched_off_nothing_is_limited() -> None:
    limits = limits_for(Options(rate_limits=False), clock=lambda: NOW)
    assert attempts(500, lambda _: limits.before_sign_in(Origin(ip="192.0.2.1"), "ada@example.com")) == 500
    assert attempts(500, lambda _: limits.before_refresh("17")) == 500
    limits.after_sign_in("ada@example.com")


def test_an_ipv6_subscriber_gets_no_second_burst_from_a_second_address() -> None:
    limits = the_limits()
    assert attempts(200, lambda n: limits.before_sign_up(Origin(ip=f"2001:db8::{n + 1:x}"))) == 60
