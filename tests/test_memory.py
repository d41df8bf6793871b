"""The memory of credentials that were found right: bounded, and forgotten for good when that has changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.memory import Memory


def look(memory: Memory[int], text: str) -> int | None:
    found = memory.young.get(text)
    return memory.find_among_old(text) if found is None else found


@given(st.integers(2, 9), st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=80))
def test_it_is_bounded_and_never_answers_with_another(limit: int, calls: list[tuple[bool, int]]) -> None:
    memory, kept = Memory[int](limit), set()
    for is_kept, number in calls:
        if is_kept:
            memory.keep(str(number), number, among=memory.young)
            kept.add(number)
        else:
            found = look(memory, str(number))
            assert found is None or (found == number and number in kept)
        assert len(memory) <= limit


def test_what_was_kept_last_is_found_and_what_merely_looks_like_it_is_not() -> None:
    memory = Memory[int](8)
    memory.keep("one", 1, among=memory.young)
    memory.keep("two", 2, among=memory.young)
    assert [look(memory, text) for text in ("one", "two", "three", "One", "\ud800", "")] == [
        1,
        2,
        None,
        None,
        None,
        None,
    ]


def test_what_is_used_stays_while_others_come_and_go() -> None:
    memory = Memory[int](8)
    memory.keep("used", -1, among=memory.young)
    for number in range(100):
        memory.keep(str(number), number, among=memory.young)
        assert look(memory, "used") == -1
    assert look(memory, "0") is None


def test_what_was_checked_by_what_has_changed_meanwhile_is_not_remembered() -> None:
    memory = Memory[int](10)
    before = memory.young
    memory.forget_all()
    for number in range(100):
        memory.keep(f"t{number}", number, among=before)
    assert len(memory) == 0


def test_it_is_not_printed() -> None:
    memory = Memory[int](8)
    memory.keep("dws_secret", 1, among=memory.young)
    assert "dws_secret" not in repr(memory)


@pytest.mark.parametrize("limit", [-1, 0, 1])
def test_a_memory_without_room_is_not_made(limit: int) -> None:
    with pytest.raises(ValueError, match="two"):
        Memory[int](limit)
