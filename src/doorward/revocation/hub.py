"""The revocation feed where it is given out: from whatever this process learns to all who read (``wire/feed.py``)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from doorward.errors import Busy, StoreUnavailable
from doorward.revocation.freshness import Ticks
from doorward.revocation.model import BUCKET, Change, LiveSet, Revocation, bucket_of, hash_of
from doorward.wire.feed import (
    DIGEST_MARGIN,
    ENTRIES_PER_FRAME,
    Heartbeat,
    KeysChanged,
    Reading,
    Revoked,
    Snapshot,
    write_event,
)

MOST_READERS = 1_000
"""Streams of one process: each takes a connection, and a heartbeat a second."""

MOST_FRAMES = 10_000
"""How many frames are kept for those who come back, and wait for one who is slow before he is cut."""

_FRAMES_AT_ONCE = 64
_SNAPSHOT_KEPT_FOR = timedelta(seconds=1)
_KEYS = write_event(KeysChanged())


Observer = Callable[[datetime, Sequence[Change]], None]
"""Told, by the store's clock, when readers were told of what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """A snapshot as bytes, all but its last frame, for everybody who comes within a second."""

    frames: tuple[bytes, ...]
    rest: tuple[Revocation, ...]
    number: int
    as_of: datetime
    made_at: float


class Hub:
    """Holds the live set of a server and tells readers of all that changes it.

    Used by one event loop; without one, by threads, for the live set and its digests alone.

    Args:
        name: of this process' feed; random, so that nobody resumes the feed of another.
        ticks: this machine's clock that nobody steps.
        most_readers: at once; with 0, as for a host without an event loop, no frames are kept for them.
        most_frames: kept for those who come back.
    """

    def __init__(
        self, *, name: str, ticks: Ticks, most_readers: int = MOST_READERS, most_frames: int = MOST_FRAMES
    ) -> None:
        self.live = LiveSet(told=self._tell)
        self.listeners: set[Callable[[Sequence[Change]], None]] = set()
        self.cut = 0  # readers that were too slow, so far
        self.observer: Observer | None = None
        self._name = name
        self._ticks = ticks
        self._most_readers = most_readers
        self._readers: set[Reader] = set()
        self._number = 0
        self._ring: deque[tuple[int, bytes]] = deque(maxlen=most_frames)
        self._sums: dict[int, int] = {}
        self._known: tuple[datetime, float] | None = None
        self._written: _Written | None = None
        self._writing = asyncio.Lock()

    @property
    def streams(self) -> bool:
        """Whether there may be readers at all."""
        return self._most_readers > 0

    # What is known

    def read(self, *, as_of: datetime, asked_at: float, over: datetime | None = None) -> None:
        """Everything that the store held at an instant of its clock is in the live set.

        Args:
            as_of: the instant.
            asked_at: this machine's ticks when the read was begun.
            over: up to when the live set has let its dead entries go, if not up to ``as_of``.
        """
        self._known = as_of, asked_at
        first = int((over or as_of).timestamp()) // int(BUCKET.total_seconds())
        for bucket in list(self._sums):
            if bucket < first:
                self._sums.pop(bucket, None)

    @property
    def reading(self) -> Reading:
        """How old what is known is, by the store's clock alone.

        Raises:
            StoreUnavailable: the store has never been read.
        """
        if self._known is None:
            raise StoreUnavailable(detail="the revocations have not been read yet")
        as_of, asked_at = self._known
        return Reading(as_of=as_of, now=as_of + timedelta(seconds=max(self._ticks() - asked_at, 0.0)))

    @property
    def heartbeat(self) -> Heartbeat:
        """What is held, in short: ``LiveSet.digest`` without going through all entries.  Raises StoreUnavailable."""
        reading = self.reading
        return Heartbeat(reading=reading, digests=self._digests(after=reading.now + DIGEST_MARGIN))

    def _digests(self, *, after: datetime) -> Mapping[int, str]:
        first = after.timestamp() / BUCKET.total_seconds()
        return {bucket: f"{total:032x}" for bucket, total in sorted(self._sums.items()) if bucket > first and total}

    # Telling

    def _tell(self, changes: Sequence[Change]) -> None:
        for listener in tuple(self.listeners):
            listener(changes)
        for before, after in changes:
            if before is not None:
                self._add(bucket_of(before), -hash_of(before))
            self._add(bucket_of(after), hash_of(after))
        if not self.streams:
            return
        for start in range(0, len(changes), ENTRIES_PER_FRAME):
            entries = tuple(after for _, after in changes[start : start + ENTRIES_PER_FRAME])
            self._number += 1
            frame = write_event(Revoked(revocations=entries), id=self._id(self._number))
            self._ring.append((self._number, frame))
            for reader in tuple(self._readers):
                reader.put(frame)
        if self.observer is not None and self._known is not None:
            self.observer(self.reading.now, changes)

    def _add(self, bucket: int, amount: int) -> None:
        self._sums[bucket] = (self._sums.get(bucket, 0) + amount) % (1 << 128)

    def beat(self) -> None:
        """Tell all readers how old what they hold is; once a second."""
        if self._readers:
            frame = write_event(self.heartbeat)
            for reader in tuple(self._readers):
                reader.put_heartbeat(frame)

    def tell_keys(self) -> None:
        """Tell all readers that the key set has changed."""
        for reader in tuple(self._readers):
            reader.put(_KEYS, early=True)

    # Readers

    @property
    def readers(self) -> int:
        """How many there are."""
        return len(self._readers)

    def admit(self, who: str | None, *, last_event_id: str | None = None) -> Reader:
        """A stream for one reader: of what he has missed where that is known, else of everything; then of what comes.

        Args:
            who: the id of his credential, or None for the admin key.
            last_event_id: where he was.

        Raises:
            Busy: there are as many as there may be.
            StoreUnavailable: the store has never been read.
        """
        if len(self._readers) >= self._most_readers:
            raise Busy(timedelta(seconds=10), detail=f"{self._most_readers} readers follow the revocation feed")
        _ = self.reading
        missed = self._after(self._number_of(last_event_id))
        reader = Reader(self, who=who, missed=missed, limit=self._ring.maxlen or MOST_FRAMES)
        self._readers.add(reader)
        return reader

    def leave(self, reader: Reader) -> None:
        """A reader has gone."""
        self._readers.discard(reader)

    def close_others(self, known: Collection[str]) -> None:
        """End the streams of readers whose credential is not among these any more."""
        for reader in tuple(self._readers):
            if reader.who is not None and reader.who not in known:
                reader.end()

    def close(self) -> None:
        """End all streams."""
        for reader in tuple(self._readers):
            reader.end()

    async def snapshot(self) -> list[bytes]:
        """The frames of a snapshot and of what has come since; written once for all who come within a second."""
        async with self._writing:
            written = self._written
            missed = None if written is None or self._is_old(written) else self._after(written.number)
            while written is None or missed is None:
                # Again where so much has come while it was written that the ring does not hold it.
                written = self._written = await self._write_snapshot()
                missed = self._after(written.number)
        reading = Reading(as_of=written.as_of, now=self.reading.now)
        last = write_event(Snapshot(revocations=written.rest, reading=reading), id=self._id(written.number))
        return [*written.frames, last, *missed]

    def _is_old(self, written: _Written) -> bool:
        return self._ticks() - written.made_at >= _SNAPSHOT_KEPT_FOR.total_seconds()

    async def _write_snapshot(self) -> _Written:
        entries, number, as_of, made_at = tuple(self.live), self._number, self.reading.as_of, self._ticks()
        full = (len(entries) - 1) // ENTRIES_PER_FRAME if entries else 0
        frames = []
        for start in range(0, full * ENTRIES_PER_FRAME, ENTRIES_PER_FRAME):
            frames.append(write_event(Snapshot(revocations=entries[start : start + ENTRIES_PER_FRAME])))
            await asyncio.sleep(0)  # a frame takes a millisecond or two: requests come in between
        rest = entries[full * ENTRIES_PER_FRAME :]
        return _Written(frames=tuple(frames), rest=rest, number=number, as_of=as_of, made_at=made_at)

    def _id(self, number: int) -> str:
        return f"{self._name}-{number}"

    def _number_of(self, event_id: str | None) -> int | None:
        """The number of an event of this feed."""
        name, _, number = (event_id or "").rpartition("-")
        return int(number) if name == self._name and number.isascii() and number.isdecimal() else None

    def _after(self, number: int | None) -> list[bytes] | None:
        """The frames after one, or None where not all of them are known."""
        if number is None or number > self._number:
            return None
        missing = self._number - number
        if missing > len(self._ring):
            return None
        return [frame for _, frame in islice(self._ring, len(self._ring) - missing, None)]


class Reader:
    """The stream of one reader: an asynchronous iterator of bytes.  ``aclose`` it in any case."""

    def __init__(self, hub: Hub, *, who: str | None, missed: list[bytes] | None, limit: int) -> None:
        self.who = who
        self._hub = hub
        self._limit = limit
        self._needs_snapshot = missed is None
        self._frames: deque[bytes] = deque(missed or ())
        self._heartbeat_waits = False
        self._over = False
        self._arrived = asyncio.Event()

    def put(self, frame: bytes, *, early: bool = False) -> None:
        """Hand over a frame; ``early`` if it makes sense before the snapshot.

        Who does not keep up is cut: he comes back and resumes.
        """
        if self._needs_snapshot and not early:
            return  # what it tells will be in the snapshot, or come after it
        if len(self._frames) >= self._limit:
            self._hub.cut += 1
            self.end()
            return
        self._frames.append(frame)
        self._arrived.set()

    def put_heartbeat(self, frame: bytes) -> None:
        """Hand over a heartbeat, unless one waits already.  Its place among the frames is what its digests mean."""
        if not self._heartbeat_waits and not self._needs_snapshot:
            self._heartbeat_waits = True
            self.put(frame)

    def end(self) -> None:
        """End the stream, without what has not been sent."""
        self._frames.clear()
        self._over = True
        self._arrived.set()
        self._hub.leave(self)

    def __aiter__(self) -> Reader:
        return self

    async def __anext__(self) -> bytes:
        if self._needs_snapshot and not self._over:
            frames = await self._hub.snapshot()
            if not self._over:
                self._needs_snapshot = False
                self._frames.extend(frames)
        while not self._frames:
            if self._over:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return b"".join(self._take())

    def _take(self) -> Iterator[bytes]:
        """Several small frames, or a large one."""
        size = 0
        for _ in range(min(len(self._frames), _FRAMES_AT_ONCE)):
            size += len(self._frames[0])
            yield self._frames.popleft()
            if size >= 64 * 1024:
                break
        if not self._frames:
            self._heartbeat_waits = False

    async def aclose(self) -> None:
        """The reader has gone."""
        self.end()
