from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.keys.model import Algorithm, KeyState, StoredKey
from doorward.keys.rules import (
    KNOWN_AFTER,
    UNSCHEDULED,
    plan_rotation,
    published_keys,
    scheduled_key_of,
    signing_key_of,
    state_of,
    verifying_keys,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)
DAY = timedelta(days=1)
OVERLAP = timedelta(seconds=900 + 2 * 60)


def a_key(kid: str = "k", **changes: Any) -> StoredKey:
    defaults: dict[str, Any] = {
        "kid": kid,
        "algorithm": Algorithm.ES256,
        "wrapped": "jwe",
        "public": {"kty": "EC", "kid": kid},
        "created_at": NOW - DAY,
        "activates_at": NOW - DAY,
    }
    return StoredKey(**(defaults | changes))


def kids(keys: tuple[StoredKey, ...]) -> list[str]:
    return [key.kid for key in keys]


WHOLE_LIFE = a_key(activates_at=NOW, retiring_at=NOW + DAY, retired_at=NOW + DAY + OVERLAP)


@pytest.mark.parametrize(
    ("now", "state"),
    [
        (NOW - TICK, KeyState.PENDING),
        (NOW, KeyState.ACTIVE),
        (NOW + TICK, KeyState.ACTIVE),
        (NOW + DAY - TICK, KeyState.ACTIVE),
        (NOW + DAY, KeyState.RETIRING),
        (NOW + DAY + TICK, KeyState.RETIRING),
        (NOW + DAY + OVERLAP - TICK, KeyState.RETIRING),
        (NOW + DAY + OVERLAP, KeyState.RETIRED),
        (NOW + DAY + OVERLAP + TICK, KeyState.RETIRED),
    ],
)
def test_a_key_is_pending_then_active_then_retiring_then_retired(now: datetime, state: KeyState) -> None:
    assert state_of(WHOLE_LIFE, now=now) is state


def test_a_key_whose_end_is_not_known_stays_active() -> None:
    assert state_of(a_key(), now=NOW + 10_000 * DAY) is KeyState.ACTIVE


@pytest.mark.parametrize("activates_at", [NOW - DAY, NOW, NOW + DAY])
def test_a_key_that_was_retired_early_never_signs_nor_verifies(activates_at: datetime) -> None:
    key = a_key(activates_at=activates_at, retiring_at=NOW, retired_at=NOW)
    for now in (NOW, NOW + DAY, NOW + 2 * DAY):
        assert state_of(key, now=now) is KeyState.RETIRED
        assert (signing_key_of([key], now=now), verifying_keys([key], now=now)) == (None, ())


def test_the_newest_active_key_signs() -> None:
    keys = [a_key("b", activates_at=NOW), a_key("a"), a_key("next", activates_at=NOW + TICK)]
    for order in (keys, keys[::-1]):
        chosen = [signing_key_of(order, now=now) for now in (NOW - TICK, NOW, NOW + TICK)]
        assert [key.kid if key else None for key in chosen] == ["a", "b", "next"]


def test_without_an_active_key_none_signs() -> None:
    assert signing_key_of([], now=NOW) is None
    assert signing_key_of([a_key(activates_at=NOW + TICK), a_key(retiring_at=NOW)], now=NOW) is None


@pytest.mark.rfc("7517", "5")
def test_the_key_set_has_the_current_the_next_and_the_recently_retired() -> None:
    keys = [
        a_key("next", activates_at=NOW + DAY),
        a_key("gone", activates_at=NOW - 9 * DAY, retiring_at=NOW - DAY, retired_at=NOW),
        a_key("recent", activates_at=NOW - 5 * DAY, retiring_at=NOW - TICK, retired_at=NOW + TICK),
        a_key("current"),
    ]
    assert kids(published_keys(keys, now=NOW)) == ["recent", "current", "next"]


def test_a_symmetric_key_verifies_and_is_never_published() -> None:
    key = a_key(algorithm=Algorithm.HS256, public=None)
    assert kids(verifying_keys([key], now=NOW)) == ["k"]
    assert published_keys([key], now=NOW) == ()


def test_a_rotation_activates_the_pending_key_that_was_published_first() -> None:
    keys = [
        a_key("current"),
        a_key("later", activates_at=NOW + DAY, created_at=NOW),
        a_key("first", activates_at=NOW + 2 * DAY, created_at=NOW - DAY),
    ]
    plan = plan_rotation(keys, now=NOW, overlap=OVERLAP)
    assert (plan.activate, plan.retire) == ("first", ("current",))
    assert (plan.retiring_at, plan.retired_at) == (NOW, NOW + OVERLAP)


@pytest.mark.parametrize(
    ("age", "after"), [(KNOWN_AFTER + TICK, timedelta(0)), (KNOWN_AFTER, timedelta(0)), (KNOWN_AFTER - TICK, TICK)]
)
def test_a_key_signs_no_earlier_than_every_server_knows_it(age: timedelta, after: timedelta) -> None:
    keys = [a_key("current"), a_key("next", activates_at=UNSCHEDULED, created_at=NOW - age)]
    plan = plan_rotation(keys, now=NOW, overlap=OVERLAP)
    assert (plan.retiring_at, plan.retired_at) == (NOW + after, NOW + after + OVERLAP)
    assert not plan.is_done


def test_a_key_that_has_to_be_made_for_it_is_known_everywhere_before_it_signs() -> None:
    assert plan_rotation([a_key()], now=NOW, overlap=OVERLAP).retiring_at == NOW + KNOWN_AFTER
    # Where no key signs there is nothing to wait for.
    assert plan_rotation([], now=NOW, overlap=OVERLAP).retiring_at == NOW


def test_a_rotation_that_is_under_way_is_not_begun_again() -> None:
    soon = NOW + KNOWN_AFTER
    under_way = [a_key("current", retiring_at=soon), a_key("next", activates_at=soon, created_at=NOW)]
    assert plan_rotation(under_way, now=NOW, overlap=OVERLAP).is_done
    assert not plan_rotation([a_key("another"), *under_way], now=NOW, overlap=OVERLAP).is_done


def test_a_rotation_without_a_pending_key_asks_for_a_fresh_one() -> None:
    assert plan_rotation([a_key()], now=NOW, overlap=OVERLAP).activate is None
    assert plan_rotation([], now=NOW, overlap=OVERLAP).retire == ()


def test_a_rotation_leaves_alone_what_is_retiring_or_retired() -> None:
    keys = [a_key("retiring", retiring_at=NOW), a_key("retired", retiring_at=NOW, retired_at=NOW), a_key("active")]
    assert plan_rotation(keys, now=NOW, overlap=OVERLAP).retire == ("active",)


def test_a_rotation_retires_every_active_key() -> None:
    assert plan_rotation([a_key("a"), a_key("b")], now=NOW, overlap=OVERLAP).retire == ("a", "b")


@given(st.lists(st.integers(0, 3000), max_size=8), st.integers(60, 900), st.integers(0, 60))
def test_no_token_issued_in_time_is_refused_because_of_a_rotation(gaps: list[int], lifetime: int, skew: int) -> None:
    """Whenever keys are rotated, the key that signed a token verifies until the token dies, skew included."""
    overlap = timedelta(seconds=lifetime + 2 * skew)
    now, keys = NOW, {"0": a_key("0", activates_at=NOW)}
    issued: list[tuple[str, datetime]] = []
    for number, gap in enumerate(gaps, start=1):
        for moment in (now, now + timedelta(seconds=gap) - TICK):
            signer = signing_key_of(keys.values(), now=moment)
            if signer is not None and moment >= now:
                issued.append((signer.kid, moment))
        now += timedelta(seconds=gap)
        plan = plan_rotation(keys.values(), now=now, overlap=overlap)
        for kid in plan.retire:
            old = keys[kid]
            keys[kid] = a_key(
                kid, activates_at=old.activates_at, retiring_at=plan.retiring_at, retired_at=plan.retired_at
            )
        keys[str(number)] = a_key(str(number), activates_at=now)
    for kid, at in issued:
        last = at + timedelta(seconds=lifetime + skew) - TICK
        assert kid in kids(verifying_keys(keys.values(), now=last))


def test_what_is_stored_does_not_show_the_wrapped_key() -> None:
    assert "jwe" not in repr(a_key())


def test_a_key_that_is_scheduled_is_told_from_one_that_waits_for_a_rotation() -> None:
    waiting, soon, later = (
        a_key("w", activates_at=UNSCHEDULED),
        a_key("s", activates_at=NOW + TICK),
        a_key("l", activates_at=NOW + DAY),
    )
    assert scheduled_key_of([waiting, later, soon], now=NOW) == soon
    assert scheduled_key_of([waiting], now=NOW) is None
    assert scheduled_key_of([soon], now=NOW + TICK) is None  # it is active
