"""The revocation feed: what we wrote is read, however it is cut; what is malformed is refused, in bounded memory."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.revocation.model import Kind, LiveSet, Revocation
from doorward.wire.feed import (
    DIGEST_MARGIN,
    ENTRIES_PER_FRAME,
    LONGEST_LINE,
    Event,
    FeedReader,
    Heartbeat,
    KeysChanged,
    MalformedFeed,
    Reading,
    Revoked,
    Snapshot,
    etag_of,
    parse_digests,
    parse_instant,
    write_digests,
    write_event,
    write_instant,
    write_snapshot,
)

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "feed.json").read_text())
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
READING = Reading(as_of=NOON, now=NOON)

instants = st.timedeltas(timedelta(days=-3000), timedelta(days=30000)).map(NOON.__add__)
entries = st.builds(
    Revocation,
    kind=st.sampled_from(Kind),
    id=st.text(min_size=1, max_size=40),
    value=st.integers(0, 2**53 - 1),
    dies_at=instants,
)
readings = st.builds(Reading, as_of=instants, now=instants)
digests = st.dictionaries(st.integers(0, 2**40), st.integers(0, 2**128 - 1).map("{:032x}".format), max_size=5)
frames = st.one_of(
    st.builds(Snapshot, revocations=st.lists(entries, max_size=5).map(tuple), reading=st.none() | readings),
    st.builds(Revoked, revocations=st.lists(entries, max_size=5).map(tuple)),
    st.builds(Heartbeat, reading=readings, digests=digests),
    st.just(KeysChanged()),
)
ids = st.none() | st.from_regex(r"[a-z0-9]{1,20}-[0-9]{1,10}", fullmatch=True)


def some_entries(count: int) -> list[Revocation]:
    return [Revocation(kind=Kind.SESSION, id=f"s{number}", dies_at=NOON) for number in range(count)]


def names(events: list[Event]) -> list[str]:
    return [entry.id for event in events if isinstance(event.frame, Revoked) for entry in event.frame.revocations]


@pytest.mark.parametrize("vector", VECTORS["written"], ids=lambda vector: vector["name"])
def test_a_vector_is_read_and_written_again_the_same(vector: dict[str, str]) -> None:
    (event,) = FeedReader().feed(vector["text"].encode())
    assert write_event(event.frame, id=event.id).decode() == vector["text"]


@pytest.mark.parametrize("vector", VECTORS["read"], ids=lambda vector: vector["name"])
def test_what_a_later_server_or_another_one_writes_is_read(vector: dict[str, Any]) -> None:
    assert names(FeedReader().feed(vector["text"].encode())) == vector["ids"]


@pytest.mark.parametrize("flaw", VECTORS["refused"], ids=lambda flaw: flaw["name"])
def test_a_malformed_vector_is_refused(flaw: dict[str, str]) -> None:
    with pytest.raises(MalformedFeed):
        FeedReader().feed(flaw["text"].encode())


@pytest.mark.parametrize("vector", VECTORS["digests"], ids=lambda vector: vector["name"])
def test_the_digests_and_the_entity_tag_of_a_vector_are_what_it_says(vector: dict[str, Any]) -> None:
    live = LiveSet(
        Revocation(
            kind=Kind(entry["kind"]), id=entry["id"], value=entry["value"], dies_at=parse_instant(entry["dies_at"])
        )
        for entry in vector["entries"]
    )
    digests = live.digest(after=parse_instant(vector["now"]) + DIGEST_MARGIN)
    assert {str(bucket): digest for bucket, digest in digests.items()} == vector["digests"]
    assert etag_of(digests) == vector["etag"]


@given(st.lists(st.tuples(frames, ids), max_size=5), st.data())
def test_a_stream_means_the_same_however_it_is_cut_into_pieces(sent: list[tuple[Any, str | None]], data: Any) -> None:
    stream = b"".join(write_event(frame, id=name) for frame, name in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    reader = FeedReader()
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    received = [event for piece in pieces for event in reader.feed(piece)]
    assert received == [Event(frame=frame, id=name) for frame, name in sent]


def test_a_stream_may_arrive_byte_by_byte() -> None:
    reader = FeedReader()
    stream = write_event(Revoked(revocations=tuple(some_entries(2)))).replace(b"\n", b"\r\n")
    assert names([event for byte in stream for event in reader.feed(bytes([byte]))]) == ["s0", "s1"]


@given(st.binary(max_size=300))
def test_garbage_is_refused_or_ignored_and_never_anything_else(garbage: bytes) -> None:
    try:
        events = FeedReader().feed(garbage)
    except MalformedFeed:
        return
    assert all(isinstance(event, Event) for event in events)


@pytest.mark.parametrize(
    ("count", "sizes"),
    [
        (0, [0]),
        (1, [1]),
        (ENTRIES_PER_FRAME, [ENTRIES_PER_FRAME]),
        (ENTRIES_PER_FRAME + 1, [ENTRIES_PER_FRAME, 1]),
        (2 * ENTRIES_PER_FRAME, [ENTRIES_PER_FRAME, ENTRIES_PER_FRAME]),
    ],
)
def test_a_snapshot_is_sent_in_frames_of_which_the_last_alone_completes_it(count: int, sizes: list[int]) -> None:
    pieces = list(write_snapshot(some_entries(count), reading=READING, id="feed-7"))
    events = [event for piece in pieces for event in FeedReader().feed(piece)]
    frames = [event.frame for event in events if isinstance(event.frame, Snapshot)]
    assert [len(frame.revocations) for frame in frames] == sizes
    assert [frame.reading for frame in frames] == [None] * (len(sizes) - 1) + [READING]
    assert [event.id for event in events] == [None] * (len(sizes) - 1) + ["feed-7"]


def test_the_largest_frame_that_we_write_is_far_below_the_longest_line_that_is_read() -> None:
    largest = [Revocation(kind=Kind.ACCOUNT, id=f"{n:0>64}", value=2**53 - 1, dies_at=NOON) for n in range(1000)]
    (piece,) = write_snapshot(largest, reading=READING, id="feed-1")
    assert len(piece) < LONGEST_LINE / 5


@pytest.mark.parametrize("ended", [True, False])
def test_a_line_that_is_too_long_is_refused_whether_or_not_it_ends(*, ended: bool) -> None:
    reader = FeedReader()
    assert reader.feed(b":" + b"x" * (LONGEST_LINE - 1)) == []
    with pytest.raises(MalformedFeed):
        reader.feed(b"xx\n" if ended else b"xx")


def test_what_is_quoted_in_an_error_is_nothing_of_the_feed() -> None:
    with pytest.raises(MalformedFeed) as caught:
        FeedReader().feed(b"event: revoked\ndata: hunter2\n\n")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


@given(readings, digests)
def test_the_answer_of_the_digest_request_is_read_as_it_was_written(reading: Reading, digests: dict[int, str]) -> None:
    heartbeat = Heartbeat(reading=reading, digests=digests)
    assert parse_digests(write_digests(heartbeat)) == heartbeat


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b"[" * 5000, b'{"as_of":1,"now":1,"digests":{}}'])
def test_another_answer_of_the_digest_request_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedFeed):
        parse_digests(body)


@given(instants)
def test_an_instant_is_read_as_it_was_written(instant: datetime) -> None:
    text = write_instant(instant)
    assert parse_instant(text) == instant
    assert text.endswith("Z")
    assert len(text) == len("2026-01-01T12:00:00.000000Z")


@pytest.mark.parametrize("text", [None, "", "noon", "2026-01-01T12:00:00", "1767268800", "0001-01-01T00:00:00+23:00"])
def test_an_instant_without_a_zone_or_none_at_all_is_refused(text: str | None) -> None:
    with pytest.raises(MalformedFeed):
        parse_instant(text)


def test_the_entity_tag_says_which_bucket_a_digest_is_of() -> None:
    digest = "0" * 32
    assert len({etag_of({}), etag_of({1: digest}), etag_of({2: digest}), etag_of({1: digest, 2: digest})}) == 4


def test_a_reading_of_a_server_that_is_ahead_of_its_store_is_not_younger_than_now() -> None:
    assert Reading(as_of=NOON + timedelta(seconds=1), now=NOON).lag == timedelta()
