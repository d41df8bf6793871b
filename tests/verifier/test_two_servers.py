"""A verifier whose stream is of one server and whose digests are of another agrees with both, and misses nothing."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.revocation.hub import MOST_RECENT, Hub
from doorward.revocation.model import Kind, Revocation
from doorward.verifier.replica import Replica
from doorward.wire.feed import (
    Event,
    Heartbeat,
    MalformedFeed,
    Revoked,
    Snapshot,
    parse_digests,
    parse_instant,
    write_digests,
)
from tests.verifier.world import NOON

ANSWERS = json.loads((Path(__file__).parents[2] / "vectors" / "feed.json").read_text())["answers"]
LIFE = timedelta(minutes=17)
START = 1_000.0


@dataclass
class Two:
    """Two servers, A with the stream and B with the digests, and a verifier; ``ticks`` is the time of all."""

    ticks: float = START
    resyncs: int = 0
    servers: list[Hub] = field(init=False)
    replica: Replica = field(init=False)

    def __post_init__(self) -> None:
        self.servers = [Hub(name=name, ticks=lambda: self.ticks) for name in "ab"]
        self.replica = Replica(
            max_staleness=timedelta(seconds=5),
            clock_skew=timedelta(seconds=60),
            chance=lambda: 1.0,
            tell=lambda _topic, _trouble: None,
        )
        for hub in self.servers:
            hub.read(as_of=self.now, asked_at=self.ticks)
        self.replica.connecting(at=self.ticks)
        reading = self.servers[0].reading
        self.receive(Event(frame=Snapshot(revocations=(), reading=reading), id="a-0"))

    @property
    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.ticks - START)

    def receive(self, event: Event) -> None:
        self.replica.receive(event, at=self.ticks, wall=self.now)

    def learn(self, at: int, *entries: Revocation) -> None:
        """A server learns of entries; A sends them on."""
        self.servers[at].live.merge(entries)
        if at == 0:
            self.receive(Event(frame=Revoked(revocations=entries)))

    def entry(self, name: str, *, age: float = 0, kind: Kind = Kind.SESSION, value: int = 1) -> Revocation:
        return Revocation(kind=kind, id=name, value=value, dies_at=self.now - timedelta(seconds=age) + LIFE)

    def read(self) -> None:
        for hub in self.servers:
            hub.read(as_of=self.now, asked_at=self.ticks)

    def ask(self, *, recent: bool = True) -> bool:
        """Ask B for its digests.  Returns whether the verifier became as fresh as the question."""
        answer = self.servers[1].digests if recent else self.servers[1].heartbeat
        return self.answer(parse_digests(write_digests(answer)))

    def answer(self, given: Heartbeat) -> bool:
        before = self.replica.fresh_until()
        self.replica.asking(at=self.ticks)
        self.replica.answered(given, asked_at=self.ticks, at=self.ticks, wall=self.now)
        self.resyncs += self.replica._resync_at is not None
        return self.replica.fresh_until() > before


def disagreements(a_second: int, *, recent: bool, questions: int = 40) -> float:
    """The share of questions that differ, where announcements take 1 to 4 ms and each server is as fast."""
    chance, two = random.Random(a_second), Two()
    seconds = questions * 0.1 + 1
    arrivals: list[tuple[float, int, Revocation | None]] = []
    for number in range(int(seconds * a_second)):
        at = START + chance.random() * seconds
        ended = Revocation(kind=Kind.SESSION, id=f"s{number}", dies_at=NOON + timedelta(seconds=at - START) + LIFE)
        arrivals += [(at + chance.uniform(0.001, 0.004), server, ended) for server in (0, 1)]
    arrivals += [(START + 0.7 + 0.1 * number, 2, None) for number in range(questions)]
    differed = 0
    for two.ticks, server, entry in sorted(arrivals, key=lambda each: each[:2]):
        if entry is not None:
            two.learn(server, entry)
        else:
            two.read()
            differed += not two.ask(recent=recent)
    return differed / questions


@pytest.mark.parametrize(("a_second", "before"), [(100, 0.0), (1_000, 0.4)])
def test_questions_to_another_server_than_that_of_the_stream_agree(a_second: int, before: float) -> None:
    assert disagreements(a_second, recent=False) >= before
    assert disagreements(a_second, recent=True) == 0


def test_an_entry_that_only_the_server_of_the_stream_knows_makes_no_difference() -> None:
    two = Two()
    two.ticks += 5
    two.learn(0, two.entry("a"))
    two.learn(1, two.entry("b"))
    two.read()
    assert not two.ask(recent=False)
    assert two.ask()


def test_a_recent_entry_that_the_stream_has_not_brought_is_held_once_the_answer_makes_fresh() -> None:
    two = Two()
    two.ticks += 5
    two.learn(1, two.entry("lost"))
    two.read()
    assert two.ask()
    assert two.replica.live.get(Kind.SESSION, "lost") is not None


def test_an_entry_that_is_no_longer_recent_and_is_missing_makes_nothing_fresh() -> None:
    two = Two()
    two.learn(1, two.entry("lost"))
    two.ticks += 3
    two.read()
    assert not two.ask()
    assert not two.ask()
    assert two.resyncs


def test_an_account_that_is_raised_again_and_again_is_never_missed() -> None:
    """Its entry is recent at each question: a digest that left it out would hide that it is missing."""
    two = Two()
    for version in range(1, 8):
        two.ticks += 0.5
        two.learn(1, two.entry("a", kind=Kind.ACCOUNT, value=version))
        two.read()
        assert two.ask()
        assert two.replica.live.accounts["a"] == version


def test_an_entry_for_which_there_is_no_room_makes_nothing_fresh() -> None:
    two = Two()
    two.replica._limit = 0
    two.ticks += 5
    two.learn(1, two.entry("a"))
    two.read()
    assert not two.ask()


def test_a_recent_entry_that_lives_too_long_is_garbage() -> None:
    two = Two()
    garbage = replace(two.entry("a"), dies_at=two.now + timedelta(days=3))
    answer = two.servers[1].digests
    assert answer.recent is not None
    with pytest.raises(MalformedFeed):
        two.answer(replace(answer, recent=replace(answer.recent, revocations=(garbage,))))


@pytest.mark.parametrize(("count", "listed"), [(MOST_RECENT, MOST_RECENT), (MOST_RECENT + 1, None)])
def test_an_answer_lists_a_bounded_number_of_recent_entries(count: int, listed: int | None) -> None:
    two = Two()
    two.servers[1].live.merge(two.entry(f"s{number}") for number in range(count))
    recent = two.servers[1].digests.recent
    assert (None if recent is None else len(recent.revocations)) == listed


@pytest.mark.parametrize("vector", ANSWERS, ids=lambda vector: vector["name"])
def test_an_answer_of_a_vector_agrees_or_not_as_it_says(vector: dict[str, Any]) -> None:
    two = Two()
    two.ticks += 1
    for entry in vector["holds"]:
        dies_at = parse_instant(entry["dies_at"])
        held = Revocation(kind=Kind(entry["kind"]), id=entry["id"], value=entry["value"], dies_at=dies_at)
        two.receive(Event(frame=Revoked(revocations=(held,))))
    given = parse_digests(vector["text"].encode())
    reading = replace(given.reading, as_of=two.now, now=two.now)
    assert two.answer(replace(given, reading=reading)) == vector["agrees"]


def test_heartbeats_and_a_verifier_that_knows_no_recent_entries_are_as_before() -> None:
    two = Two()
    two.ticks += 5
    two.learn(0, two.entry("a"))
    two.learn(1, two.entry("a"))
    two.read()
    assert two.servers[1].heartbeat.recent is None
    assert two.servers[1].digests.digests == two.servers[1].heartbeat.digests
    assert two.ask(recent=False)


names = st.integers(0, 5)
steps = st.one_of(
    st.tuples(st.just("end"), names, st.sampled_from(["a", "b", "both", "neither"]), st.floats(0, 3)),
    st.tuples(st.just("raise"), names, st.sampled_from(["a", "b", "both", "neither"]), st.floats(0, 3)),
    st.tuples(st.just("pass"), st.floats(0.01, 1) | st.floats(1, 70)),
    st.just(("ask",)),
)


@given(st.lists(steps, max_size=40))
def test_whoever_an_answer_makes_fresh_holds_all_that_its_server_held(history: list[tuple[object, ...]]) -> None:
    """Whatever arrives where, in which order, committed how late, and across any minute."""
    two, versions = Two(), dict.fromkeys(range(6), 0)
    for step in history:
        match step:
            case ("end", int(name), str(where), float(late)):
                entry = two.entry(f"s{name}", age=late)
            case ("raise", int(name), str(where), float(late)):
                versions[name] += 1
                entry = two.entry(f"a{name}", age=late, kind=Kind.ACCOUNT, value=versions[name])
            case ("pass", float(seconds)):
                two.ticks += seconds
                continue
            case _:
                two.read()
                if two.ask():
                    for held in two.servers[1].live:
                        # What dies within the margin is in no digest; a gap of that length takes a snapshot.
                        if held.dies_at > two.now + timedelta(minutes=4):
                            mine = two.replica.live.get(held.kind, held.id)
                            assert mine is not None
                            assert mine.value >= held.value
                            assert mine.dies_at >= held.dies_at
                continue
        for server in {"a": (0,), "b": (1,), "both": (0, 1), "neither": ()}[where]:
            two.learn(server, entry)
