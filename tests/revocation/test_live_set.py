"""The live set: what every request is checked against (docs/concepts/revocation.md)."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from doorward.blocking import run_blocking
from doorward.doorward import Doorward
from doorward.ports import Snapshot, Store
from doorward.revocation.flow import read_revocations
from doorward.revocation.hub import Hub
from doorward.revocation.model import BUCKET, ENDED, Kind, LiveSet, Revocation
from doorward.revocation.rules import EDGE
from doorward.secret import Secret

TICK = timedelta(microseconds=1)
EPOCH = datetime(2026, 1, 1, 12, tzinfo=UTC)
LONG_AGO = EPOCH - timedelta(days=1)

# Few names and few instants, so that entries meet.
entries = st.builds(
    Revocation,
    kind=st.sampled_from(Kind),
    id=st.sampled_from(["a", "b", "c", ""]),
    value=st.integers(1, 4),
    dies_at=st.integers(0, 600).map(lambda seconds: EPOCH + timedelta(seconds=seconds)),
)
several = st.lists(entries, max_size=12)


def content(live: LiveSet) -> dict[tuple[Kind, str], Revocation]:
    return {(entry.kind, entry.id): entry for entry in live}


def joined(*parts: Iterable[Revocation]) -> LiveSet:
    live = LiveSet()
    for part in parts:
        live.merge(part)
    return live


def an_entry(name: str = "a", *, kind: Kind = Kind.SESSION, value: int = ENDED, dies_in: float = 600) -> Revocation:
    return Revocation(kind=kind, id=name, value=value, dies_at=EPOCH + timedelta(seconds=dies_in))


# Joining


@given(several, several)
def test_joining_does_not_depend_on_the_order(one: list[Revocation], other: list[Revocation]) -> None:
    assert content(joined(one, other)) == content(joined(other, one))


@given(several, several, several)
def test_joining_does_not_depend_on_who_joined_whom_first(
    one: list[Revocation], two: list[Revocation], three: list[Revocation]
) -> None:
    assert content(joined(joined(one, two), three)) == content(joined(one, joined(two, three)))


@given(several)
def test_joining_again_changes_nothing(one: list[Revocation]) -> None:
    assert content(joined(one, one, reversed(one))) == content(joined(one))


@given(several)
def test_each_entry_is_the_pointwise_maximum_of_all_that_arrived_under_its_name(arrived: list[Revocation]) -> None:
    for (kind, name), entry in content(LiveSet(arrived)).items():
        same = [each for each in arrived if (each.kind, each.id) == (kind, name)]
        assert entry.value == max(each.value for each in same)
        assert entry.dies_at == max(each.dies_at for each in same)


@given(several, several)
def test_what_is_revoked_stays_so_whatever_is_joined_to_it(before: list[Revocation], after: list[Revocation]) -> None:
    live = LiveSet(before)
    known = content(live)
    live.merge(after)
    for place, entry in known.items():
        assert content(live)[place].value >= entry.value
        assert content(live)[place].dies_at >= entry.dies_at


# Leaving


@pytest.mark.parametrize(
    ("passed", "left"),
    [(timedelta(seconds=60) - TICK, 1), (timedelta(seconds=60), 0), (timedelta(seconds=60) + TICK, 0)],
)
def test_an_entry_leaves_at_its_own_death(passed: timedelta, left: int) -> None:
    live = LiveSet([an_entry(dies_in=60)])
    assert live.expire(now=EPOCH + passed) == 1 - left
    assert len(live) == left
    assert ("a" in live.sessions) is bool(left)


@given(several, st.integers(-10, 700))
def test_exactly_the_dead_leave_and_every_look_up_agrees(arrived: list[Revocation], seconds: int) -> None:
    live, now = LiveSet(arrived), EPOCH + timedelta(seconds=seconds)
    expected = {place: entry for place, entry in content(live).items() if entry.dies_at > now}
    assert live.expire(now=now) == len(content(LiveSet(arrived))) - len(expected)
    assert content(live) == expected
    for kind, table in zip(Kind, (live.sessions, live.accounts, live.tokens, live.keys), strict=True):
        assert table == {name: entry.value for (each, name), entry in expected.items() if each is kind}


@given(several, several, st.integers(0, 700))
def test_letting_the_dead_go_early_or_late_makes_no_difference_to_the_living(
    one: list[Revocation], other: list[Revocation], seconds: int
) -> None:
    # Entries of one name differ in value only where they differ in kind of cause; a raised one lives at least as long.
    now = EPOCH + timedelta(seconds=seconds)
    one, other = ([replace(entry, value=1) for entry in part] for part in (one, other))
    early = LiveSet(one)
    early.expire(now=now)
    early.merge(other)
    early.expire(now=now)
    late = joined(one, other)
    late.expire(now=now)
    assert content(early) == content(late)


class AStoreThatReads:
    """What a read of the store returns."""

    identity = "the same as ever"

    def __init__(self, *read: Revocation) -> None:
        self._snapshot = Snapshot(revocations=read, as_of=EPOCH, identity=self.identity)

    async def revocations(self) -> Snapshot:
        return self._snapshot


def read_into(live: LiveSet, *read: Revocation) -> datetime:
    """Read a store that holds these."""
    auth = Doorward("memory:", secret=Secret("a secret of the deployment, long enough"), blocking=True)
    run_blocking(auth.open())
    try:
        hub = Hub(name="hub", ticks=lambda: 0.0, most_readers=0)
        hub.live = live
        store = cast("Store", AStoreThatReads(*read))
        return run_blocking(read_revocations(replace(auth.deployment, store=store, hub=hub)))
    finally:
        run_blocking(auth.close())


def test_a_read_that_misses_what_was_announced_while_it_was_under_way_takes_nothing_away() -> None:
    live = LiveSet([an_entry("announced", dies_in=EDGE.total_seconds())])
    assert read_into(live, an_entry("read")) == EPOCH
    assert set(live.sessions) == {"announced", "read"}


def test_a_read_lets_go_what_has_died_by_the_stores_clock() -> None:
    live = LiveSet([an_entry("dead", dies_in=0), an_entry("dying", dies_in=0.000001)])
    read_into(live)
    assert set(live.sessions) == {"dying"}


# Asking


def test_an_empty_set_revokes_nothing() -> None:
    assert LiveSet().revokes(session="s", account="a", version=0, token="t") is None


@pytest.mark.parametrize(
    ("entry", "by"),
    [
        (an_entry("s"), Kind.SESSION),
        (an_entry("a", kind=Kind.ACCOUNT, value=1), Kind.ACCOUNT),
        (an_entry("t", kind=Kind.TOKEN), Kind.TOKEN),
    ],
)
def test_a_token_is_revoked_by_its_session_its_account_or_its_own_id(entry: Revocation, by: Kind) -> None:
    live = LiveSet([entry])
    assert live.revokes(session="s", account="a", version=0, token="t") is by
    assert live.revokes(session="other", account="other", version=0, token="other") is None


@pytest.mark.parametrize("kind", list(Kind))
def test_the_name_of_one_kind_is_not_taken_for_that_of_another(kind: Kind) -> None:
    live = LiveSet([an_entry("x", kind=kind, value=1)])
    asked = {"session": "-", "account": "-", "token": "-"}
    for field in asked:
        by = live.revokes(**{**asked, field: "x"}, version=0)
        assert by is (kind if field == kind.value else None)


@pytest.mark.parametrize(("version", "by"), [(4, Kind.ACCOUNT), (5, None), (6, None)])
def test_an_account_entry_names_the_least_version_that_is_accepted(version: int, by: Kind | None) -> None:
    live = LiveSet([an_entry("a", kind=Kind.ACCOUNT, value=5)])
    assert live.revokes(session="s", account="a", version=version, token="t") is by


def test_the_highest_version_of_an_account_wins_whenever_it_arrived() -> None:
    raised, late = (an_entry("a", kind=Kind.ACCOUNT, value=value) for value in (5, 3))
    for live in (LiveSet([raised, late]), LiveSet([late, raised])):
        assert len(live) == 1
        assert live.revokes(session="s", account="a", version=4, token="t") is Kind.ACCOUNT


# Digests


@given(st.lists(entries, max_size=12), st.randoms(use_true_random=False))
def test_a_digest_depends_neither_on_the_order_nor_on_repetition(
    arrived: list[Revocation], chance: random.Random
) -> None:
    shuffled = [*arrived, *arrived]
    chance.shuffle(shuffled)
    assert LiveSet(shuffled).digest(after=LONG_AGO) == LiveSet(arrived).digest(after=LONG_AGO)


@given(several, several)
@example([an_entry("a"), an_entry("b")], [an_entry("a"), an_entry("c")])
def test_sets_that_differ_have_digests_that_differ(one: list[Revocation], other: list[Revocation]) -> None:
    here, there = LiveSet(one), LiveSet(other)
    assert (here.digest(after=LONG_AGO) == there.digest(after=LONG_AGO)) is (content(here) == content(there))


@pytest.mark.parametrize(
    "other",
    [
        an_entry("b"),
        an_entry("a", kind=Kind.TOKEN),
        an_entry("a", value=2),
        an_entry("a", dies_in=601),
    ],
)
def test_a_digest_sees_every_field(other: Revocation) -> None:
    assert LiveSet([an_entry()]).digest(after=LONG_AGO) != LiveSet([other]).digest(after=LONG_AGO)


def test_an_entry_is_in_the_bucket_of_the_minute_that_it_dies_in() -> None:
    minute = int(EPOCH.timestamp()) // 60
    live = LiveSet([an_entry("a", dies_in=0), an_entry("b", dies_in=59.999999), an_entry("c", dies_in=60)])
    assert list(live.digest(after=LONG_AGO)) == [minute, minute + 1]


def test_a_bucket_is_left_out_once_it_has_begun() -> None:
    live = LiveSet([an_entry(dies_in=90)])
    begins = EPOCH + BUCKET
    assert live.digest(after=begins - TICK)
    assert not live.digest(after=begins)


@given(several, st.integers(0, 600), st.floats(0, 60), st.floats(0, 60))
def test_two_clocks_that_let_go_at_different_times_agree_on_the_buckets_ahead(
    arrived: list[Revocation], seconds: int, behind: float, ahead: float
) -> None:
    # Each server has expired by its own clock; neither has reached a bucket that begins after both.
    now = EPOCH + timedelta(seconds=seconds)
    here, there = LiveSet(arrived), LiveSet(arrived)
    here.expire(now=now - timedelta(seconds=behind))
    there.expire(now=now + timedelta(seconds=ahead))
    after = now + timedelta(seconds=60)
    assert here.digest(after=after) == there.digest(after=after)


def test_an_entry_that_dies_changes_only_the_digest_of_its_own_bucket() -> None:
    live = LiveSet([an_entry("a", dies_in=30), an_entry("b", dies_in=90), an_entry("c", dies_in=150)])
    before = live.digest(after=LONG_AGO)
    live.expire(now=EPOCH + timedelta(seconds=30))
    after = live.digest(after=LONG_AGO)
    assert after.items() <= before.items()
    assert len(before) - len(after) == 1


# Size


def test_endings_of_one_account_by_its_version_are_one_entry() -> None:
    live = LiveSet(an_entry("a", kind=Kind.ACCOUNT, value=value) for value in range(1, 1001))
    assert len(live) == 1


def test_a_set_that_has_died_is_empty_everywhere() -> None:
    live = LiveSet(an_entry(str(number), kind=kind, value=1) for number in range(50) for kind in Kind)
    assert live.expire(now=EPOCH + timedelta(seconds=600)) == 200
    assert [live.sessions, live.accounts, live.tokens, live.keys, list(live)] == [{}, {}, {}, {}, []]
