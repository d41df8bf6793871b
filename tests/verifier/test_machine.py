"""The verifier's replica under networks that delay and cut, clocks that step, machines that sleep."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from tests.verifier.mistakes import MISTAKES, Mistake
from tests.verifier.world import World

SECOND = timedelta(seconds=1)
servers = st.integers(0, 1)
mistakes = pytest.mark.parametrize("mistake", MISTAKES.values(), ids=list(MISTAKES))


class FeedMachine(RuleBasedStateMachine):
    """Each rule lets something happen; the world itself checks the bound at every step."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.world.wait(3 * SECOND)

    @rule(announced=st.sets(servers), late=st.sampled_from([0, 0, 0, 2, 20]))
    def end(self, announced: set[int], late: int) -> None:
        self.world.end(late=late * SECOND, announced=tuple(announced))

    @rule(name=st.sampled_from(["ada", "bob"]), announced=st.sets(servers))
    def end_account(self, name: str, announced: set[int]) -> None:
        self.world.end_account(name, announced=tuple(announced))

    @precondition(lambda self: self.world.committed)
    @rule(data=st.data(), number=servers)
    def announce_again(self, data: st.DataObject, number: int) -> None:
        self.world.announce(data.draw(st.sampled_from(self.world.committed)), number)

    @rule()
    def repeat(self) -> None:
        self.world.repeat_in_flight()

    @rule()
    def reorder(self) -> None:
        self.world.reorder_in_flight()

    @rule(seconds=st.sampled_from([1, 10, 600]))
    def put_back(self, seconds: int) -> None:
        self.world.put_back(seconds * SECOND)

    @rule(count=st.integers(2, 20))
    def end_many(self, count: int) -> None:
        for _ in range(count):
            self.world.end(announced=(self.world.chance.randrange(2),))
            self.world.step()

    @rule(seconds=st.sampled_from([0.25, 1, 3, 8, 20]))
    def wait(self, seconds: float) -> None:
        self.world.wait(seconds * SECOND)

    @rule(seconds=st.sampled_from([0.05, 0.05, 0.5, 2, 4, 15]), of_stream=st.booleans())
    def delay(self, seconds: float, *, of_stream: bool) -> None:
        if of_stream:
            self.world.stream_way = seconds * SECOND
        else:
            self.world.way = seconds * SECOND

    @rule(stream=st.booleans(), questions=st.booleans())
    def partition(self, *, stream: bool, questions: bool) -> None:
        self.world.stream_up, self.world.questions_up = stream, questions

    @rule()
    def cut(self) -> None:
        self.world.cut()

    @rule(number=servers)
    def crash(self, number: int) -> None:
        self.world.crash(number)

    @rule(number=servers)
    def restart(self, number: int) -> None:
        self.world.restart(number)

    @rule(number=servers, reaches=st.booleans())
    def reach(self, number: int, *, reaches: bool) -> None:
        self.world.servers[number].reaches_store = reaches

    @rule(number=st.none() | servers)
    def balance(self, number: int | None) -> None:
        self.world.balanced = number

    @rule(minutes=st.sampled_from([1, 9, 14, 16, 60]))
    def sleep(self, minutes: int) -> None:
        self.world.sleep(timedelta(minutes=minutes))

    @rule(minutes=st.sampled_from([-60, -10, -0.5, 0, 0, 0.5, 10, 60]))
    def step_the_clock(self, minutes: float) -> None:
        self.world.wall_offset = timedelta(minutes=minutes)
        self.world.check()

    @precondition(lambda self: self.world.committed)
    @rule()
    def heal(self) -> None:
        self.world.heal()
        self.world.check_converged()


def test_no_ended_session_is_accepted_after_the_bound_and_every_reader_converges() -> None:
    run_state_machine_as_test(FeedMachine, settings=settings(max_examples=60, stateful_step_count=25, deadline=None))


@mistakes
def test_the_history_of_a_mistake_holds_without_it(mistake: Mistake) -> None:
    mistake.told(mistake.world(sound=True))


@mistakes
def test_a_mistake_shows_in_its_history(mistake: Mistake) -> None:
    with pytest.raises(AssertionError):
        mistake.told(mistake.world(sound=False))
