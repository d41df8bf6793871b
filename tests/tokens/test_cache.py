from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.tokens.cache import VerifiedTokens
from tests.tokens.minting import NOW, T, some_claims

TICK = timedelta(microseconds=1)
DEATH = NOW + timedelta(seconds=900)


@pytest.mark.parametrize(("now", "remembered"), [(DEATH - TICK, True), (DEATH, False), (DEATH + TICK, False)])
def test_a_token_is_never_remembered_past_its_life(now: datetime, remembered: bool) -> None:  # noqa: FBT001  # a column
    memory = VerifiedTokens(8)
    memory.put("token", some_claims(exp=T + 900), now=NOW)
    assert (memory.get("token", now=now) is not None) is remembered


@pytest.mark.parametrize(("now", "remembered"), [(NOW - TICK, False), (NOW, True), (NOW + TICK, True)])
def test_a_token_is_verified_anew_when_the_clock_was_set_back(now: datetime, remembered: bool) -> None:  # noqa: FBT001
    memory = VerifiedTokens(8)
    memory.put("token", some_claims(), now=NOW)
    assert (memory.get("token", now=now) is not None) is remembered


def test_a_token_is_remembered_and_another_is_not() -> None:
    memory = VerifiedTokens(8)
    memory.put("one", some_claims(sub="acc_1"), now=NOW)
    memory.put("two", some_claims(sub="acc_2"), now=NOW)
    found = [memory.get(token, now=NOW) for token in ("one", "two", "three", "One", "\ud800", "")]
    assert [each and each.claims.sub for each in found] == ["acc_1", "acc_2", None, None, None, None]


@given(st.integers(2, 9), st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=80))
def test_the_memory_is_bounded_and_never_answers_with_another_token(limit: int, calls: list[tuple[bool, int]]) -> None:
    memory, put = VerifiedTokens(limit), set()
    for is_put, number in calls:
        if is_put:
            memory.put(str(number), some_claims(ver=number), now=NOW)
            put.add(number)
        else:
            found = memory.get(str(number), now=NOW)
            assert found is None or (found.claims.ver == number and number in put)
        assert len(memory) <= limit


def test_what_is_used_stays_while_others_come_and_go() -> None:
    memory = VerifiedTokens(8)
    memory.put("used", some_claims(), now=NOW)
    for number in range(100):
        memory.put(str(number), some_claims(), now=NOW)
        assert memory.get("used", now=NOW) is not None
    assert memory.get("0", now=NOW) is None


@pytest.mark.parametrize("limit", [-1, 0, 1])
def test_a_memory_without_room_is_not_made(limit: int) -> None:
    with pytest.raises(ValueError, match="two"):
        VerifiedTokens(limit)
