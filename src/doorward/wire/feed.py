"""The revocation feed: server-sent events that carry JSON (docs/concepts/revocation.md).

    event: revoked
    id: k3nfq2-17
    data: {"revocations":[{"kind":"session","id":"…","value":1,"dies_at":"2026-01-01T12:17:00.000000Z"}]}

| event | data | id |
| --- | --- | --- |
| ``snapshot`` | ``revocations``, ``more``; the last frame of a snapshot also ``as_of`` and ``now`` | the last frame's |
| ``revoked`` | ``revocations`` | yes |
| ``heartbeat`` | ``as_of``, ``now``, ``digests`` | no |
| ``keys`` | nothing: the key set has changed, fetch it | no |

Times are RFC 3339 in UTC with microseconds.  A reader ignores members, events and kinds that it does not know, so that
a server may learn to say more.  ``vectors/feed.json`` has each with its bytes, and what must be refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Annotated, Any

import msgspec

from doorward.revocation.model import Kind, Revocation

STREAM_PATH = "/v1/revocations"
DIGEST_PATH = "/v1/revocations/digest"
STREAM_TYPE = "text/event-stream"

AS_OF_HEADER = "Doorward-As-Of"
NOW_HEADER = "Doorward-Now"
"""What a 304 says, which has no body."""

ENTRIES_PER_FRAME = 1_000
LONGEST_LINE = 1024 * 1024
"""Bytes.  A frame of the largest entries that we write is a fifth of it."""

DIGEST_MARGIN = timedelta(minutes=2)
"""Buckets that begin before ``now`` + this are in no digest: two clocks differ on what has died."""

_LONGEST_NAME = 256
_MAX_INTEGER = 2**53 - 1


class MalformedFeed(ValueError):
    """What arrived is no feed of ours.  The text names the flaw and quotes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How old a server's knowledge is.

    Args:
        as_of: the store's time at the start of the last complete read.
        now: the time of the same clock when this was written.
    """

    as_of: datetime
    now: datetime

    @property
    def lag(self) -> timedelta:
        return max(self.now - self.as_of, timedelta())


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All live entries, or some of them: the last frame has the reading, and completes the snapshot."""

    revocations: tuple[Revocation, ...]
    reading: Reading | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked:
    """Entries that the server has just learned of."""

    revocations: tuple[Revocation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """What the server holds, in short: each second in the stream, and as the answer of the digest request.

    Args:
        reading: how old it is.
        digests: ``LiveSet.digest(after=reading.now + DIGEST_MARGIN)``.
    """

    reading: Reading
    digests: Mapping[int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysChanged:
    """The key set is to be fetched now."""


Frame = Snapshot | Revoked | Heartbeat | KeysChanged


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A frame with its ``id``, by which a reader resumes (``Last-Event-ID``)."""

    frame: Frame
    id: str | None = None


# Writing


def write_event(frame: Frame, *, id: str | None = None) -> bytes:  # noqa: A002 -- the field's name
    """The bytes of a frame."""
    match frame:
        case Snapshot(revocations=revocations, reading=reading):
            end = {"more": True} if reading is None else {"more": False, **_times(reading)}
            return _write("snapshot", {"revocations": _entries(revocations), **end}, id)
        case Revoked(revocations=revocations):
            return _write("revoked", {"revocations": _entries(revocations)}, id)
        case Heartbeat():
            return _write("heartbeat", _members(frame), id)
        case KeysChanged():
            return _write("keys", {}, id)


def write_snapshot(revocations: Iterable[Revocation], *, reading: Reading, id: str) -> Iterator[bytes]:  # noqa: A002
    """The frames of a whole snapshot, the last of which completes it and carries the id."""
    entries = tuple(revocations)
    last = max((len(entries) - 1) // ENTRIES_PER_FRAME * ENTRIES_PER_FRAME, 0)
    for start in range(0, last, ENTRIES_PER_FRAME):
        yield write_event(Snapshot(revocations=entries[start : start + ENTRIES_PER_FRAME]))
    yield write_event(Snapshot(revocations=entries[last:], reading=reading), id=id)


def write_digests(heartbeat: Heartbeat) -> bytes:
    """The body of the digest request's answer."""
    return _encode(_members(heartbeat))


def etag_of(digests: Mapping[int, str]) -> str:
    """The entity tag of an answer with these digests, with its quotes."""
    text = "\n".join(f"{bucket} {digest}" for bucket, digest in sorted(digests.items()))
    return f'"{sha256(text.encode()).hexdigest()[:32]}"'


def write_instant(instant: datetime) -> str:
    """RFC 3339 in UTC, always with microseconds."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


_encode = msgspec.json.Encoder(order="deterministic").encode


def _write(event: str, members: Mapping[str, Any], name: str | None) -> bytes:
    line = b"" if name is None else f"id: {name}\n".encode()
    return b"event: " + event.encode() + b"\n" + line + b"data: " + _encode(members) + b"\n\n"


def _members(heartbeat: Heartbeat) -> dict[str, Any]:
    return {**_times(heartbeat.reading), "digests": {str(minute): sum_ for minute, sum_ in heartbeat.digests.items()}}


def _times(reading: Reading) -> dict[str, str]:
    return {"as_of": write_instant(reading.as_of), "now": write_instant(reading.now)}


def _entries(revocations: Iterable[Revocation]) -> list[dict[str, Any]]:
    return [
        {"kind": str(each.kind), "id": each.id, "value": each.value, "dies_at": write_instant(each.dies_at)}
        | ({} if each.reason is None else {"reason": str(each.reason)})
        for each in revocations
    ]


# Reading

_Instant = Annotated[datetime, msgspec.Meta(tz=True)]
_Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]


class _Entry(msgspec.Struct, frozen=True):
    kind: str
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=_LONGEST_NAME)]
    value: Annotated[int, msgspec.Meta(ge=0, le=_MAX_INTEGER)]
    dies_at: _Instant
    reason: Annotated[str, msgspec.Meta(max_length=_LONGEST_NAME)] | None = None


class _Entries(msgspec.Struct, frozen=True):
    revocations: list[_Entry]


class _Snapshot(msgspec.Struct, frozen=True):
    revocations: list[_Entry]
    more: bool
    as_of: _Instant | None = None
    now: _Instant | None = None


class _Heartbeat(msgspec.Struct, frozen=True):
    as_of: _Instant
    now: _Instant
    digests: dict[int, _Digest]


class _Nothing(msgspec.Struct, frozen=True):
    pass


_read_entries = msgspec.json.Decoder(_Entries).decode
_read_snapshot = msgspec.json.Decoder(_Snapshot).decode
_read_heartbeat = msgspec.json.Decoder(_Heartbeat).decode
_read_nothing = msgspec.json.Decoder(_Nothing).decode
_read_instant = msgspec.json.Decoder(_Instant).decode
_KINDS = {str(kind): kind for kind in Kind}
_LINE_END = re.compile(rb"\r\n|\n|\r")


def parse_digests(body: bytes) -> Heartbeat:
    """Read the digest request's answer.

    Raises:
        MalformedFeed: it is none.
    """
    try:
        read = _read_heartbeat(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise MalformedFeed("the digests are no JSON, or a member is missing or of the wrong type") from None
    return Heartbeat(reading=_reading(read.as_of, read.now), digests=read.digests)


def parse_instant(text: str | None) -> datetime:
    """Read a time from a header.

    Raises:
        MalformedFeed: it is none, or has no zone.
    """
    try:
        return _utc(_read_instant(_encode(text)))
    except (msgspec.MsgspecError, ValueError):
        raise MalformedFeed("a time is not RFC 3339") from None


@dataclass(slots=True)
class FeedReader:
    """Reads the events of a stream, however it is cut into pieces.

    What it holds between two pieces is bounded by ``LONGEST_LINE``: an event has one line of data.

    WHATWG HTML, section 9.2.6, but for data of several lines, which we never write and refuse.
    """

    _rest: bytearray = field(default_factory=bytearray)
    _scanned: int = 0
    _begun: bool = False
    _event: bytes = b""
    _data: bytes | None = None
    _id: bytes | None = None

    def feed(self, piece: bytes) -> list[Event]:
        """The events that a piece completes.

        Raises:
            MalformedFeed: the stream is none of ours; nothing more is to be read of it.
        """
        self._rest += piece
        events = (self._take(line) for line in self._lines())
        return [event for event in events if event is not None]

    def _lines(self) -> Iterator[bytes]:
        start = 0
        while (end := _LINE_END.search(self._rest, max(start, self._scanned))) is not None:
            if end.group() == b"\r" and end.end() == len(self._rest):
                break  # the other half of this line's end may still be on its way
            if end.start() - start > LONGEST_LINE:
                raise MalformedFeed("a line is too long")
            line = bytes(self._rest[start : end.start()])
            start = end.end()
            yield line if self._begun else line.removeprefix(b"\xef\xbb\xbf")
            self._begun = True
        del self._rest[:start]
        if len(self._rest) > LONGEST_LINE:
            raise MalformedFeed("a line is too long")
        # Not looked at twice: who sends a byte at a time would have us search a mebibyte for each.
        self._scanned = max(len(self._rest) - 1, 0)

    def _take(self, line: bytes) -> Event | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match name:
            case b"event":
                self._event = value
            case b"data" if self._data is not None:
                raise MalformedFeed("an event has data of several lines")
            case b"data":
                self._data = value
            case b"id":
                self._id = value
        return None  # a comment, ``retry`` or a field that we do not know

    def _dispatch(self) -> Event | None:
        event, data, name = self._event, self._data, self._id
        self._event, self._data, self._id = b"", None, None
        frame = None if data is None else _parse_frame(event, data)
        return None if frame is None else Event(frame=frame, id=_parse_id(name))


def _parse_id(raw: bytes | None) -> str | None:
    if raw is None:
        return None
    # It comes back in a header: what cannot stand in one is no id of ours.
    if not 0 < len(raw) <= _LONGEST_NAME or not raw.isascii() or not raw.decode("ascii").isprintable():
        raise MalformedFeed("an event's id is not printable ASCII, or too long")
    return raw.decode("ascii")


def _parse_frame(event: bytes, data: bytes) -> Frame | None:
    try:
        match event:
            case b"snapshot":
                return _snapshot(_read_snapshot(data))
            case b"revoked":
                return Revoked(revocations=_known(_read_entries(data).revocations))
            case b"heartbeat":
                return parse_digests(data)
            case b"keys":
                _read_nothing(data)
                return KeysChanged()
    except MalformedFeed:
        raise
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise MalformedFeed("the data is no JSON, or a member is missing or of the wrong type") from None
    return None


def _snapshot(read: _Snapshot) -> Snapshot:
    entries = _known(read.revocations)
    if read.more:
        return Snapshot(revocations=entries)
    if read.as_of is None or read.now is None:
        raise MalformedFeed("the last frame of a snapshot does not say how old it is")
    return Snapshot(revocations=entries, reading=_reading(read.as_of, read.now))


def _reading(as_of: datetime, now: datetime) -> Reading:
    return Reading(as_of=_utc(as_of), now=_utc(now))


def _known(entries: Iterable[_Entry]) -> tuple[Revocation, ...]:
    return tuple(
        Revocation(kind=_KINDS[each.kind], id=each.id, value=each.value, dies_at=_utc(each.dies_at), reason=each.reason)
        for each in entries
        if each.kind in _KINDS
    )


def _utc(instant: datetime) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise MalformedFeed("a time is before the first year or after the last") from None
