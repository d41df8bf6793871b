"""The feed where it is given out: whoever reads it holds what the server holds (docs/concepts/revocation.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.errors import Busy, StoreUnavailable
from doorward.revocation.hub import Hub, Reader
from doorward.revocation.model import ENDED, Kind, LiveSet, Revocation
from doorward.wire.feed import DIGEST_MARGIN, Event, FeedReader, Heartbeat, KeysChanged, Revoked, Snapshot

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 3, 10, 0, tzinfo=UTC)


def an_entry(name: str, *, kind: Kind = Kind.SESSION, value: int = ENDED, dies_in: float = 1020) -> Revocation:
    return Revocation(kind=kind, id=name, value=value, dies_at=NOW + timedelta(seconds=dies_in))


def several(count: int, *, name: str = "s") -> list[Revocation]:
    return [an_entry(f"{name}{number}") for number in range(count)]


class Clockwork:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def a_hub(*, ticks: Clockwork | None = None, read: bool = True, **options: Any) -> Hub:
    ticks = ticks or Clockwork()
    hub = Hub(name="feed", ticks=ticks, **options)
    if read:
        hub.read(as_of=NOW, asked_at=ticks())
    return hub


async def events_of(reader: Reader) -> list[Event]:
    """What the next part holds."""
    return FeedReader().feed(await anext(reader))


async def until_quiet(reader: Reader) -> list[Event]:
    """All that there is to read now."""
    parser, found = FeedReader(), []
    while reader._frames or (reader._needs_snapshot and not reader._over):
        found += parser.feed(await anext(reader))
    return found


def held(events: Iterable[Event]) -> LiveSet:
    live = LiveSet()
    for event in events:
        if isinstance(event.frame, Snapshot | Revoked):
            live.merge(event.frame.revocations)
    return live


def content(live: LiveSet) -> set[Revocation]:
    return set(live)


# The snapshot


async def test_a_stream_begins_with_all_that_is_live() -> None:
    hub = a_hub()
    hub.live.merge(several(3))
    [event] = await events_of(hub.admit(None))
    assert isinstance(event.frame, Snapshot)
    assert set(event.frame.revocations) == content(hub.live)
    assert event.frame.reading is not None
    assert event.id == "feed-1"


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 2500])
async def test_a_large_snapshot_comes_in_frames_of_which_the_last_alone_is_complete(count: int) -> None:
    hub = a_hub()
    hub.live.merge(several(count))
    events = await until_quiet(hub.admit(None))
    frames = [event.frame for event in events]
    assert all(isinstance(frame, Snapshot) and len(frame.revocations) <= 1000 for frame in frames)
    assert len(frames) == max(-(-count // 1000), 1)
    assert [isinstance(frame, Snapshot) and frame.reading is not None for frame in frames][-1]
    assert [event.id is not None for event in events] == [False] * (len(events) - 1) + [True]
    assert content(held(events)) == content(hub.live)


def test_a_server_that_has_not_read_its_store_has_no_snapshot_and_no_digests() -> None:
    hub = a_hub(read=False)
    hub.live.merge(several(1))
    with pytest.raises(StoreUnavailable):
        hub.admit(None)
    with pytest.raises(StoreUnavailable):
        _ = hub.heartbeat
    assert hub.readers == 0


async def test_what_comes_while_a_snapshot_is_written_comes_after_it() -> None:
    hub = a_hub()
    hub.live.merge(several(3000))
    reader = hub.admit(None)
    first = asyncio.create_task(anext(reader))
    await asyncio.sleep(0)
    hub.live.merge([an_entry("late")])
    events = FeedReader().feed(await first) + await until_quiet(reader)
    assert content(held(events)) == content(hub.live)


async def test_whoever_comes_within_a_second_is_given_the_same_bytes_and_what_came_since() -> None:
    ticks = Clockwork()
    hub = a_hub(ticks=ticks)
    hub.live.merge(several(1500))
    early, late, later = hub.admit(None), hub.admit(None), hub.admit(None)
    await until_quiet(early)
    hub.live.merge([an_entry("since")])
    events = await until_quiet(late)
    assert [event.id for event in events] == [None, "feed-2", "feed-3"]
    assert content(held(events)) == content(hub.live)
    ticks.seconds += 1
    events = await until_quiet(later)
    assert [event.id for event in events] == [None, "feed-3"]
    assert content(held(events)) == content(hub.live)


async def test_a_snapshot_is_as_old_as_the_read_before_it_and_says_so() -> None:
    """By the store's clock alone: what has passed since is measured by ticks."""
    ticks = Clockwork()
    hub = a_hub(ticks=ticks)
    ticks.seconds += 3
    [event] = await events_of(hub.admit(None))
    assert isinstance(event.frame, Snapshot)
    assert event.frame.reading is not None
    assert (event.frame.reading.as_of, event.frame.reading.lag) == (NOW, timedelta(seconds=3))


# What follows


async def test_what_changes_the_live_set_is_told_and_what_does_not_is_not() -> None:
    hub = a_hub()
    reader = hub.admit(None)
    await until_quiet(reader)
    hub.live.merge([an_entry("a"), an_entry("b")])
    hub.live.merge([an_entry("a")])
    hub.live.merge([an_entry("a", dies_in=2000), an_entry("b")])
    events = await until_quiet(reader)
    frames = [event.frame for event in events]
    assert [isinstance(frame, Revoked) and [each.id for each in frame.revocations] for frame in frames] == [
        ["a", "b"],
        ["a"],
    ]
    assert [event.id for event in events] == ["feed-1", "feed-2"]


async def test_a_change_of_keys_is_told_also_before_the_snapshot() -> None:
    hub = a_hub()
    early, reader = hub.admit(None), hub.admit(None)
    await until_quiet(reader)
    hub.tell_keys()
    [event] = await events_of(reader)
    assert event == Event(frame=KeysChanged())
    assert KeysChanged() in [event.frame for event in await until_quiet(early)]


# Resuming


@pytest.mark.parametrize(
    ("last", "ids"),
    [
        ("feed-1", ["feed-2", "feed-3"]),
        ("feed-2", ["feed-3"]),
        ("feed-3", []),
    ],
)
async def test_who_was_here_goes_on_where_he_was(last: str, ids: list[str]) -> None:
    hub = a_hub()
    for name in "abc":
        hub.live.merge([an_entry(name)])
    events = await until_quiet(hub.admit(None, last_event_id=last))
    assert [event.id for event in events] == ids
    assert all(isinstance(event.frame, Revoked) for event in events)


@pytest.mark.parametrize("last", ["other-1", "feed-0", "feed-4", "feed--1", "feed-²", "feed-", "feed", "", "-1", "1"])
async def test_who_was_elsewhere_or_away_for_too_long_is_given_a_snapshot(last: str) -> None:
    hub = a_hub(most_frames=2)
    for name in "abc":
        hub.live.merge([an_entry(name)])
    [event] = await until_quiet(hub.admit(None, last_event_id=last))
    assert isinstance(event.frame, Snapshot)
    assert content(held([event])) == content(hub.live)


# Digests


@given(st.lists(st.lists(st.tuples(st.sampled_from("abcde"), st.integers(1, 3), st.integers(0, 900)), max_size=6)))
def test_digests_are_those_of_the_live_set_without_going_through_it(batches: list[list[tuple[str, int, int]]]) -> None:
    hub = a_hub()
    for batch in batches:
        hub.live.merge(an_entry(name, value=value, dies_in=dies_in) for name, value, dies_in in batch)
    assert hub.heartbeat.digests == hub.live.digest(after=NOW + DIGEST_MARGIN)


def test_digests_of_minutes_that_are_over_are_let_go() -> None:
    hub = a_hub()
    hub.live.merge([an_entry("a", dies_in=60), an_entry("b", dies_in=900)])
    hub.read(as_of=NOW + timedelta(seconds=130), asked_at=100.0)
    assert len(hub._sums) == 1


async def test_a_heartbeat_sums_up_what_stands_before_it_in_the_stream() -> None:
    hub = a_hub()
    reader = hub.admit(None)
    await until_quiet(reader)
    hub.live.merge([an_entry("a")])
    hub.beat()
    hub.live.merge([an_entry("b")])
    revoked, heartbeat, later = await until_quiet(reader)
    assert isinstance(heartbeat.frame, Heartbeat)
    assert heartbeat.frame.digests == held([revoked]).digest(after=NOW + DIGEST_MARGIN)
    assert heartbeat.id is None
    assert isinstance(later.frame, Revoked)


async def test_heartbeats_do_not_pile_up_before_one_who_does_not_read() -> None:
    hub = a_hub()
    reader = hub.admit(None)
    await until_quiet(reader)
    for _ in range(5):
        hub.beat()
    assert len(await until_quiet(reader)) == 1
    hub.beat()
    assert len(await until_quiet(reader)) == 1


# Bounds


async def test_who_does_not_keep_up_is_cut_and_goes_on_where_he_was() -> None:
    hub = a_hub(most_frames=3)
    reader = hub.admit(None)
    [first] = await until_quiet(reader)
    for number in range(4):
        hub.live.merge([an_entry(str(number))])
    assert (hub.cut, hub.readers) == (1, 0)
    with pytest.raises(StopAsyncIteration):
        await anext(reader)
    events = [first, *await until_quiet(hub.admit(None, last_event_id=first.id))]
    assert content(held(events)) == content(hub.live)


async def test_there_are_so_many_readers_and_no_more_until_one_goes() -> None:
    hub = a_hub(most_readers=2)
    first, _ = hub.admit(None), hub.admit(None)
    with pytest.raises(Busy) as refused:
        hub.admit(None)
    assert refused.value.retry_after == timedelta(seconds=10)
    await first.aclose()
    hub.admit(None)


def test_a_host_without_an_event_loop_keeps_no_frames_and_answers_digests_all_the_same() -> None:
    silent, streaming = a_hub(most_readers=0), a_hub()
    for hub in (silent, streaming):
        hub.live.merge(several(3))
        hub.read(as_of=NOW, asked_at=0.0)
    assert (len(silent._ring), silent.streams) == (0, False)
    assert silent.heartbeat.digests == streaming.heartbeat.digests


# Ending


async def test_a_reader_whose_credential_is_gone_is_ended_and_the_others_are_not() -> None:
    hub = a_hub()
    gone, stays, admin = hub.admit("gone"), hub.admit("stays"), hub.admit(None)
    waiting = [asyncio.create_task(until_over(reader)) for reader in (gone, stays, admin)]
    await asyncio.sleep(0)
    hub.close_others({"stays"})
    await waiting[0]
    assert hub.readers == 2
    hub.close()
    await asyncio.gather(*waiting)
    assert hub.readers == 0


async def until_over(reader: Reader) -> None:
    async for _ in reader:
        pass


# Measuring


async def test_an_observer_is_told_when_by_the_stores_clock_and_of_what() -> None:
    ticks = Clockwork()
    hub = a_hub(ticks=ticks, read=False)
    seen: list[Any] = []
    hub.observer = lambda now, changes: seen.append((now, changes))
    hub.live.merge([an_entry("before the store was read")])
    assert seen == []
    hub.read(as_of=NOW, asked_at=ticks())
    ticks.seconds += 0.25
    entry = an_entry("a")
    hub.live.merge([entry])
    hub.live.merge([entry])
    assert seen == [(NOW + timedelta(seconds=0.25), ((None, entry),))]
