"""What a verifier does next, edge by edge; test_machine.py has the histories."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.revocation.model import Kind, LiveSet, Revocation
from doorward.verifier.issuer_clock import IssuerClock
from doorward.verifier.replica import COVERED, LONGEST_LIFE, LONGEST_SNAPSHOT, Replica, State, Topic, Unchanged
from doorward.verifier.tally import Tally
from doorward.wire.feed import (
    DIGEST_MARGIN,
    Event,
    Frame,
    Heartbeat,
    KeysChanged,
    MalformedFeed,
    Reading,
    Revoked,
    Snapshot,
    etag_of,
)
from tests.verifier.world import NOON

SECOND = timedelta(seconds=1)
READING = Reading(as_of=NOON, now=NOON)


def an_entry(name: str = "s1", *, dies_in: timedelta = timedelta(minutes=17), value: int = 1) -> Revocation:
    return Revocation(kind=Kind.SESSION, id=name, value=value, dies_at=NOON + dies_in)


def heartbeat_of(*entries: Revocation, at: float = 0) -> Heartbeat:
    now = NOON + timedelta(seconds=at)
    digests = LiveSet(entries).digest(after=now + DIGEST_MARGIN)
    return Heartbeat(reading=Reading(as_of=now, now=now), digests=digests)


class Told:
    def __init__(self) -> None:
        self.trouble: dict[Topic, str] = {}

    def __call__(self, topic: Topic, trouble: str | None) -> None:
        if trouble is None:
            self.trouble.pop(topic, None)
        else:
            self.trouble[topic] = trouble


def a_replica(**changes: Any) -> Replica:
    options: dict[str, Any] = {
        "max_staleness": 6 * SECOND,
        "clock_skew": 60 * SECOND,
        "chance": lambda: 1.0,
        "tell": Told(),
    }
    return Replica(**options | changes)


def receive(replica: Replica, frame: Frame, *, at: float = 0, name: str | None = None) -> None:
    replica.receive(Event(frame=frame, id=name), at=at, wall=NOON + timedelta(seconds=at))


def answer(replica: Replica, given: Heartbeat | Unchanged, *, at: float, took: float = 0) -> None:
    replica.asking(at=at - took)
    replica.answered(given, asked_at=at - took, at=at, wall=NOON + timedelta(seconds=at))


def state(replica: Replica, *, at: float) -> State:
    return replica.state(at=at, wall=NOON + timedelta(seconds=at))


def a_warm_replica(*entries: Revocation, **changes: Any) -> Replica:
    replica = a_replica(**changes)
    replica.connecting(at=0)
    receive(replica, Snapshot(revocations=entries, reading=READING), name="f-1")
    return replica


# Freshness


def test_it_is_cold_until_a_snapshot_is_complete() -> None:
    replica = a_replica()
    replica.connecting(at=0)
    assert state(replica, at=0) is State.COLD
    receive(replica, Snapshot(revocations=(an_entry(),)))
    assert state(replica, at=0) is State.COLD
    receive(replica, Snapshot(revocations=(), reading=READING))
    assert state(replica, at=0) is State.FRESH
    assert len(replica.live) == 1


def test_a_snapshot_is_as_old_as_its_request_and_as_its_server_says() -> None:
    replica = a_replica()
    replica.connecting(at=0)
    receive(replica, Snapshot(revocations=(), reading=Reading(as_of=NOON - SECOND, now=NOON)), at=3)
    assert state(replica, at=5) is State.FRESH
    assert state(replica, at=5.01) is State.STALE


def test_a_digest_that_agrees_makes_fresh_from_when_it_was_asked_for() -> None:
    replica = a_warm_replica(an_entry())
    answer(replica, heartbeat_of(an_entry(), at=4), at=4, took=1)
    assert replica.fresh_until() == 3 + 6


def test_a_digest_that_does_not_change_is_answered_without_it() -> None:
    replica = a_warm_replica(an_entry())
    assert replica.asking(at=1) is None
    answer(replica, heartbeat_of(an_entry(), at=1), at=1)
    assert replica.asking(at=2) == etag_of(heartbeat_of(an_entry(), at=1).digests)
    answer(replica, Unchanged(reading=heartbeat_of(at=3).reading), at=3)
    assert replica.fresh_until() == 3 + 6


def test_as_last_time_says_nothing_where_there_was_no_last_time() -> None:
    replica = a_warm_replica()
    answer(replica, Unchanged(reading=heartbeat_of(at=3).reading), at=3)
    assert replica.fresh_until() == 6


def test_a_heartbeat_makes_nothing_fresh() -> None:
    replica = a_warm_replica(an_entry())
    receive(replica, heartbeat_of(an_entry(), at=5), at=5)
    assert replica.fresh_until() == 6


def test_a_heartbeat_that_differs_has_the_digests_asked_for_soon() -> None:
    replica = a_warm_replica()
    replica.asking(at=0)
    receive(replica, heartbeat_of(an_entry(), at=0.1), at=0.1)
    assert replica.ask_at == pytest.approx(0.6)


def test_the_digests_are_asked_for_each_third_of_the_bound_at_the_latest() -> None:
    replica = a_replica()
    replica.asking(at=10)
    assert replica.ask_at == 12


@pytest.mark.parametrize(("gap", "covered"), [(COVERED, True), (COVERED + SECOND, False)])
def test_a_gap_that_digests_may_not_cover_needs_a_snapshot(gap: timedelta, *, covered: bool) -> None:
    replica, at = a_warm_replica(), gap.total_seconds()
    answer(replica, heartbeat_of(at=at), at=at)
    assert (state(replica, at=at) is State.FRESH) is covered
    assert replica.must_reconnect(at=at + 10) is not covered


def test_an_answer_whose_time_stands_still_was_kept_on_the_way() -> None:
    told = Told()
    replica = a_warm_replica(tell=told)
    old = heartbeat_of(at=2)
    answer(replica, old, at=2)
    answer(replica, old, at=5)
    assert replica.fresh_until() == 2 + 6
    assert Topic.DIGEST in told.trouble


def test_a_replayed_snapshot_makes_nothing_fresh() -> None:
    replica = a_warm_replica()
    replica.disconnected("cut", at=5)
    replica.connecting(at=20)
    receive(replica, Snapshot(revocations=(), reading=READING), at=20)
    assert state(replica, at=20) is State.STALE


# Differences


def test_one_difference_may_be_on_its_way_and_two_ask_for_a_snapshot() -> None:
    told = Told()
    replica = a_warm_replica(tell=told)
    answer(replica, heartbeat_of(an_entry(), at=1), at=1)
    assert replica.ask_at == 1.5
    assert not replica.must_reconnect(at=100)
    answer(replica, heartbeat_of(an_entry(), at=1.5), at=1.5)
    assert replica.fresh_until() == 6
    assert replica.must_reconnect(at=2)
    assert Topic.DIGEST in told.trouble
    replica.disconnected("dropped", at=2)
    assert replica.connect_at == 2
    assert replica.connecting(at=2) is None
    receive(replica, Snapshot(revocations=(an_entry(),), reading=heartbeat_of(at=2).reading), at=2)
    answer(replica, heartbeat_of(an_entry(), at=3), at=3)
    assert told.trouble == {}


def test_snapshots_for_digests_that_never_agree_come_ever_more_slowly() -> None:
    replica, at, waits = a_warm_replica(), 0.0, []
    for _ in range(12):
        answer(replica, heartbeat_of(an_entry(), at=at), at=at)
        answer(replica, heartbeat_of(an_entry(), at=at), at=at)
        wait = next(n / 10 for n in range(1000) if replica.must_reconnect(at=at + n / 10 + 0.001))
        waits.append(wait)
        at += wait + 0.01
        replica.disconnected("dropped", at=at)
        replica.connecting(at=at)
        receive(replica, Snapshot(revocations=(), reading=heartbeat_of(at=at).reading), at=at)
    assert waits[:5] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6])
    assert waits[-1] >= 0.1
    assert max(waits) <= 10


def test_a_snapshot_on_its_way_is_not_interrupted_for_another() -> None:
    replica = a_replica()
    replica.connecting(at=0)
    answer(replica, heartbeat_of(an_entry(), at=1), at=1)
    answer(replica, heartbeat_of(an_entry(), at=2), at=2)
    assert not replica.must_reconnect(at=20)
    late = LONGEST_SNAPSHOT.total_seconds()
    answer(replica, heartbeat_of(an_entry(), at=late), at=late)
    assert replica.must_reconnect(at=late + 10)


def test_whoever_holds_more_than_the_server_holds_enough() -> None:
    replica = a_warm_replica(an_entry("s1"))
    receive(replica, Revoked(revocations=(an_entry("s2"),)), at=1)
    answer(replica, heartbeat_of(an_entry("s1"), at=2), at=2)
    assert replica.fresh_until() == 2 + 6


# The stream


def test_it_resumes_where_it_was() -> None:
    replica = a_warm_replica()
    receive(replica, Revoked(revocations=()), name="f-2")
    receive(replica, heartbeat_of())
    replica.disconnected("cut", at=1)
    assert replica.connecting(at=2) == "f-2"


def test_reconnecting_waits_twice_as_long_each_time_up_to_ten_seconds() -> None:
    replica, at, waits = a_replica(), 0.0, []
    for _ in range(10):
        replica.connecting(at=at)
        replica.disconnected("refused", at=at)
        assert replica.connect_at is not None
        waits.append(replica.connect_at - at)
        at = replica.connect_at
    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10, 10])
    assert replica.reconnects == 10


@given(st.floats(0, 1), st.integers(0, 40))
def test_the_wait_is_drawn_from_all_of_its_length(chance: float, failures: int) -> None:
    replica = a_replica(chance=lambda: chance)
    for _ in range(failures):
        replica.connecting(at=0)
        replica.disconnected("refused", at=0)
    replica.connecting(at=0)
    replica.disconnected("refused", at=0)
    assert replica.connect_at == pytest.approx(chance * min(0.1 * 2**failures, 10))


def test_a_stream_that_lasted_makes_the_next_wait_short() -> None:
    replica = a_replica()
    for _ in range(5):
        replica.connecting(at=0)
        replica.disconnected("refused", at=0)
    replica.connecting(at=0)
    replica.disconnected("cut", at=10)
    assert replica.connect_at == pytest.approx(10.1)


@pytest.mark.parametrize(("plea", "wait"), [(0, 0.1), (5, 5), (1_000_000, 60)])
def test_a_server_that_asks_for_time_is_given_some(plea: int, wait: float) -> None:
    replica = a_replica()
    replica.connecting(at=0)
    replica.disconnected("the issuer answers 503", at=0, plea=timedelta(seconds=plea))
    assert replica.connect_at == pytest.approx(wait)


def test_changed_keys_are_told_of() -> None:
    replica = a_replica()
    receive(replica, KeysChanged())
    assert replica.keys_changed


# Bounds


def test_an_entry_that_lives_for_longer_than_any_token_is_refused_with_all_of_its_frame() -> None:
    replica = a_warm_replica()
    longest = LONGEST_LIFE
    receive(replica, Revoked(revocations=(an_entry("s1", dies_in=longest),)))
    with pytest.raises(MalformedFeed):
        receive(replica, Revoked(revocations=(an_entry("s2"), an_entry("s3", dies_in=longest + SECOND))))
    assert [entry.id for entry in replica.live] == ["s1"]


def test_beyond_the_limit_nothing_is_kept_and_nothing_counts_as_fresh() -> None:
    told = Told()
    replica = a_replica(limit=2, tell=told)
    replica.connecting(at=0)
    receive(replica, Snapshot(revocations=tuple(an_entry(f"s{n}") for n in range(3)), reading=READING))
    assert len(replica.live) == 2
    assert state(replica, at=0) is State.COLD
    assert Topic.LIMIT in told.trouble
    replica.expire(at=0, wall=NOON)
    assert len(replica.live) == 2


def test_an_entry_that_is_known_is_joined_though_the_set_is_full() -> None:
    replica = a_warm_replica(an_entry("s1"), limit=1)
    receive(replica, Revoked(revocations=(an_entry("s1", value=7),)))
    assert replica.live.sessions == {"s1": 7}


def test_entries_are_let_go_when_both_clocks_say_so() -> None:
    replica = a_warm_replica(an_entry(dies_in=60 * SECOND))
    early = NOON + 59 * SECOND
    replica.expire(at=60, wall=early)
    replica.expire(at=59, wall=NOON + timedelta(days=1))
    assert len(replica.live) == 1
    replica.expire(at=60, wall=NOON + 60 * SECOND)
    assert len(replica.live) == 0


def test_both_clocks_an_hour_ahead_let_nothing_go() -> None:
    replica, hour = a_warm_replica(an_entry(dies_in=60 * SECOND)), 3600
    replica.expire(at=0, wall=NOON)
    answer(replica, heartbeat_of(an_entry(dies_in=60 * SECOND), at=hour + 1), at=1)
    answer(replica, heartbeat_of(an_entry(dies_in=60 * SECOND), at=hour + 2), at=2)
    for at in range(2, 50):
        replica.expire(at=at, wall=NOON + (hour + at) * SECOND)
    assert len(replica.live) == 1


def test_a_heartbeat_from_the_future_lets_nothing_go() -> None:
    replica = a_warm_replica(an_entry())
    receive(replica, heartbeat_of(at=10**6), at=1)
    answer(replica, heartbeat_of(an_entry(), at=10**6), at=1)
    replica.expire(at=1, wall=NOON + SECOND)
    assert len(replica.live) == 1
    answer(replica, heartbeat_of(an_entry(), at=2), at=2)
    answer(replica, heartbeat_of(an_entry(), at=4), at=4)
    assert state(replica, at=4) is State.FRESH


# Digests


@given(
    st.lists(
        st.builds(
            an_entry,
            st.sampled_from("abcdef"),
            dies_in=st.integers(200, 2000).map(lambda seconds: timedelta(seconds=seconds)),
            value=st.integers(1, 5),
        ),
        max_size=30,
    ),
    st.data(),
)
def test_the_digests_of_any_moment_have_been_held_and_others_have_not(entries: list[Revocation], data: Any) -> None:
    live, tally = LiveSet(), Tally()
    moments = [live.digest(after=NOON)]
    for entry in entries:
        before = live.get(entry.kind, entry.id)
        live.merge([entry])
        after = live.get(entry.kind, entry.id)
        assert after is not None
        tally.note(before, after)
        moments.append(live.digest(after=NOON))
    assert all(tally.has_held(moment) for moment in moments)
    foreign = LiveSet([*live, an_entry("foreign", dies_in=300 * SECOND)]).digest(after=NOON)
    assert not tally.has_held(foreign)


def test_the_digests_of_minutes_that_are_over_are_forgotten() -> None:
    tally = Tally()
    entry = an_entry(dies_in=90 * SECOND)
    tally.note(None, entry)
    tally.expire(now=NOON + 119 * SECOND)
    assert tally.has_held(digest_of(entry))
    tally.expire(now=NOON + 120 * SECOND)
    assert not tally.has_held(digest_of(entry))


def digest_of(*entries: Revocation) -> dict[int, str]:
    return LiveSet(entries).digest(after=NOON - timedelta(minutes=2))


# The issuer's clock


def a_clock(said: Iterable[tuple[float, float]] = ()) -> IssuerClock:
    clock = IssuerClock(skew=60 * SECOND)
    for at, shown in said:
        clock.note(NOON + timedelta(seconds=shown), asked_at=at, at=at, wall=NOON + timedelta(seconds=at))
    return clock


@pytest.mark.parametrize(("behind", "ahead"), [(59, False), (60, False), (61, True)])
def test_the_issuers_clock_may_be_ahead_by_the_skew_and_no_more(behind: int, *, ahead: bool) -> None:
    clock, wall = a_clock([(0, 0)]), NOON + timedelta(seconds=100 - behind)
    assert clock.is_ahead(at=100, wall=wall) is ahead
    assert (wall.timestamp() - 100 < clock.offset()) is ahead


@pytest.mark.parametrize("way", [0, 5])
@pytest.mark.parametrize(("left", "doubted"), [(0, False), (1e-6, True), (5, True)])
def test_a_clock_by_which_a_token_lives_is_doubted_where_its_entry_had_died_before_the_first_answer(
    way: float, left: float, *, doubted: bool
) -> None:
    clock = IssuerClock(skew=60 * SECOND)
    # Given at noon, when the entry has just died; heard, however late, by a clock that accepts the token for so long.
    exp = NOON - 2 * 60 * SECOND
    wall = exp + 60 * SECOND - timedelta(seconds=left)
    clock.note(NOON, asked_at=0, at=way, wall=wall)
    assert clock.is_ahead(at=way, wall=wall) is doubted


def test_a_delayed_answer_does_not_set_the_issuers_clock_back() -> None:
    clock = a_clock([(0, 0)])
    timely = clock.note(NOON + SECOND, asked_at=1, at=9, wall=NOON + 9 * SECOND)
    assert timely
    assert clock.over(at=10, wall=NOON + 99 * SECOND) == NOON + 10 * SECOND


def test_an_issuers_clock_that_was_set_back_is_believed_from_its_second_answer_on() -> None:
    clock = a_clock([(0, 0)])
    assert not clock.note(NOON - 30 * SECOND, asked_at=2, at=2, wall=NOON)
    assert clock.note(NOON - 28 * SECOND, asked_at=4, at=4, wall=NOON)
    assert clock.over(at=4, wall=NOON) == NOON - 28 * SECOND


def test_an_answer_that_is_sent_again_and_again_is_never_timely_however_soon_it_comes() -> None:
    clock = a_clock([(0, 0)])
    assert not clock.note(NOON, asked_at=60, at=60, wall=NOON + 60 * SECOND)
    assert not clock.note(NOON, asked_at=60.01, at=60.02, wall=NOON + 60 * SECOND)


def test_what_time_it_is_there_is_not_known_before_it_has_said_so() -> None:
    clock = a_clock()
    assert clock.over(at=0, wall=NOON) is None
    assert clock.ahead_by(at=0, wall=NOON) is None
    assert not clock.is_ahead(at=0, wall=NOON)
