"""What a verifier knows of revocations, and what it does next to know more.  No I/O, no clock of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from doorward.revocation.freshness import Freshness
from doorward.revocation.model import LiveSet, Revocation
from doorward.trusted_time import Timekeeper
from doorward.verifier.issuer_clock import IssuerClock
from doorward.verifier.tally import Tally
from doorward.wire.feed import Event, Heartbeat, KeysChanged, MalformedFeed, Reading, Revoked, Snapshot, etag_of

MOST_ENTRIES = 1_000_000
LONGEST_LIFE = timedelta(days=2)
"""An entry that dies later than this is garbage: no access token lives so long."""

COVERED = timedelta(minutes=10)
"""How long a gap digests can close.

They leave out what dies within three minutes, and an entry lives for 15 at the least.  Whoever knew nothing for longer
than this may lack an entry that no digest sums up any more while its token is still accepted: he needs a snapshot.
"""

LONGEST_SNAPSHOT = timedelta(seconds=30)
"""How long a snapshot may take before another one is asked for."""

_SHORTEST_WAIT = 0.1
_LONGEST_WAIT = 10.0
_LONGEST_PLEA = 60.0
_SOON = 0.25


class State(StrEnum):
    """How far the live set may be relied on.  Cold never counts as fresh."""

    COLD = "cold"
    FRESH = "fresh"
    STALE = "stale"


class Topic(StrEnum):
    """What there may be trouble with; each is told of once, until it is over."""

    STREAM = "stream"
    DIGEST = "digest"
    LIMIT = "limit"
    CLOCK = "clock"
    KEYS = "keys"
    UNKNOWN_KEY = "unknown key"
    STATE = "state"
    INTROSPECTION = "introspection"


Tell = Callable[[Topic, str | None], None]
"""Told what the trouble is, or None: it is over.  May be told the same again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchanged:
    """The digest request's answer where the digests are those of the last one (304)."""

    reading: Reading


class Replica:
    """The live set of a verifier.

    Its owner holds at most one stream and one digest request at a time, and tells of both; ``at`` is always the ticks
    of the moment (`Freshness`), ``wall`` this machine's time.

    Args:
        max_staleness: how old what is known may be to count as fresh.
        clock_skew: how far this machine's clock and the issuer's may be apart.
        chance: a number from 0 to 1, each time another, for jitter.
        tell: told of trouble.
    """

    def __init__(
        self,
        *,
        max_staleness: timedelta,
        clock_skew: timedelta,
        chance: Callable[[], float],
        tell: Tell,
        limit: int = MOST_ENTRIES,
    ) -> None:
        self.live = LiveSet()
        self.freshness = Freshness()
        self.issuer_clock = IssuerClock(skew=clock_skew)
        self.connect_at: float | None = 0.0  # None while there is a stream
        self.ask_at = 0.0
        self.reconnects = 0
        self.keys_changed = False  # set here, taken back by whoever fetches them
        self._max_staleness = max_staleness
        self._interval = max_staleness.total_seconds() / 3
        self._chance = chance
        self._tell = tell
        self._limit = limit
        self._timekeeper = Timekeeper()
        self._tally = Tally()
        self._last_answer: Heartbeat | None = None
        self._last_id: str | None = None
        self._begun_at = 0.0
        self._dropped = False  # whether an entry of this stream found no room
        self._in_snapshot = True
        self._resync_at: float | None = None
        self._failures = 0
        self._differing = 0

    # The stream

    def connecting(self, *, at: float) -> str | None:
        """A stream is being asked for.  Returns what to send as ``Last-Event-ID``, or None."""
        self.connect_at, self._resync_at = None, None
        self._begun_at = at
        self._dropped, self._in_snapshot = False, self._last_id is None
        return self._last_id

    def receive(self, event: Event, *, at: float, wall: datetime) -> None:
        """An event has arrived.

        Raises:
            MalformedFeed: an entry is garbage; disconnect.
        """
        match event.frame:
            case Snapshot(revocations=revocations, reading=reading):
                self._merge(revocations, wall=wall)
                if reading is not None:
                    self._complete(reading, at=at, wall=wall)
            case Revoked(revocations=revocations):
                self._merge(revocations, wall=wall)
            case Heartbeat(digests=digests):
                # Says nothing of how fresh this is: a way that delays steadily keeps heartbeats flowing.
                if not self._tally.has_held(digests):
                    self.ask_at = min(self.ask_at, at + _SOON * self._interval)
            case KeysChanged():
                self.keys_changed = True
        if event.id is not None:
            self._last_id = event.id

    def disconnected(self, why: str, *, at: float, plea: timedelta = timedelta()) -> None:
        """The stream has ended, or could not be had.

        Args:
            why: for the log.
            at: ticks.
            plea: how long the server asked us to wait.
        """
        self.reconnects += 1
        wanted, self._resync_at = self._resync_at, None
        if wanted is not None and at >= wanted:
            self.connect_at = at  # for a snapshot, and its wait is over
            return
        self._tell(Topic.STREAM, why)
        self.connect_at = at + max(self._wait(at), min(plea.total_seconds(), _LONGEST_PLEA))

    def must_reconnect(self, *, at: float) -> bool:
        """Decide whether the stream is to be dropped for one that begins with a snapshot."""
        return self.connect_at is None and self._resync_at is not None and at >= self._resync_at

    # The digest request

    def asking(self, *, at: float) -> str | None:
        """The digests are being asked for.  Returns what to send as ``If-None-Match``, or None."""
        self.ask_at = at + self._interval * (0.9 + 0.1 * self._chance())
        return None if self._last_answer is None else etag_of(self._last_answer.digests)

    def answered(self, answer: Heartbeat | Unchanged, *, asked_at: float, at: float, wall: datetime) -> None:
        """The digests have been answered.

        Args:
            answer: what was.
            asked_at: ticks when the request was begun.
            at: ticks now.
            wall: this machine's time now.
        """
        if isinstance(answer, Heartbeat):
            self._last_answer = answer
        if self._last_answer is None:
            return  # "as last time", and there was none
        if not self._tally.has_held(self._last_answer.digests):
            self._differs(at)
        elif self.freshness.known_as_of is None or asked_at - self.freshness.known_as_of > COVERED.total_seconds():
            self._resync(at)
        else:
            self._differing = 0
            if self._note(answer.reading, asked_at=asked_at, at=at, wall=wall):
                self._tell(Topic.DIGEST, None)

    # What is known

    def state(self, *, at: float, wall: datetime) -> State:
        """Decide how far the live set may be relied on."""
        if self.freshness.known_as_of is None:
            return State.COLD
        fresh = self.freshness.is_fresh(now=at, max_staleness=self._max_staleness)
        return State.FRESH if fresh and not self.issuer_clock.is_ahead(at=at, wall=wall) else State.STALE

    def fresh_until(self) -> float:
        """The ticks until which the live set is fresh, but for what `IssuerClock.offset` demands."""
        known = self.freshness.known_as_of
        return float("-inf") if known is None else known + self._max_staleness.total_seconds()

    def expire(self, *, at: float, wall: datetime) -> None:
        """Let the dead entries go."""
        over = self.issuer_clock.over(at=at, wall=wall)
        if over is not None:
            # On one machine both clocks may jump at once, and be set right a minute later.
            over = self._timekeeper.trust(over, ticks=at)
            self.live.expire(now=over)
            self._tally.expire(now=over)

    def remember(self, entries: LiveSet, *, wall: datetime) -> None:
        """Take what another process knew.  It says nothing of how fresh this is."""
        self._merge(tuple(entries), wall=wall)

    def _merge(self, entries: tuple[Revocation, ...], *, wall: datetime) -> None:
        if any(entry.dies_at > wall + LONGEST_LIFE for entry in entries):
            raise MalformedFeed("an entry lives for longer than any token")
        for entry in entries:
            known = self.live.get(entry.kind, entry.id)
            if known is None and len(self.live) >= self._limit:
                self._dropped = True
                self._tell(Topic.LIMIT, f"more than {self._limit} live revocations: nothing counts as fresh")
                continue
            self.live.merge((entry,))
            self._tally.note(known, self.live.get(entry.kind, entry.id) or entry)

    def _complete(self, reading: Reading, *, at: float, wall: datetime) -> None:
        """All frames of a snapshot have been merged: what this stream was begun for."""
        self._in_snapshot = False
        if self._dropped:
            return
        self._tell(Topic.LIMIT, None)
        self._note(reading, asked_at=self._begun_at, at=at, wall=wall)

    def _note(self, reading: Reading, *, asked_at: float, at: float, wall: datetime) -> bool:
        """Take a reading for what it is.  Returns whether it can have been made since it was asked for."""
        timely = self.issuer_clock.note(reading.now, asked_at=asked_at, at=at, wall=wall)
        ahead = self.issuer_clock.is_ahead(at=at, wall=wall)
        self._tell(
            Topic.CLOCK, "this machine's clock is behind the issuer's: nothing counts as fresh" if ahead else None
        )
        if not timely:
            self._tell(Topic.DIGEST, "answers are older than their requests: something on the way keeps them")
            return False
        self.freshness.note(asked_at=asked_at, lag=reading.lag)
        if at - self._begun_at >= _LONGEST_WAIT and self.connect_at is None:
            self._failures = 0
            self._tell(Topic.STREAM, None)
        return True

    def _differs(self, at: float) -> None:
        self._differing += 1
        if self._differing == 1:
            # An entry may be on its way: two servers learn of it one after the other.
            self.ask_at = min(self.ask_at, at + _SOON * self._interval)
            return
        self._tell(Topic.DIGEST, "the server's digests are not those of what it sent: asking for snapshots")
        self._resync(at)

    def _resync(self, at: float) -> None:
        """Have the stream begun anew, with a snapshot, after a wait."""
        connected = self.connect_at is None
        if connected and self._in_snapshot and at - self._begun_at < LONGEST_SNAPSHOT.total_seconds():
            return  # it is on its way
        self._last_id = None
        if connected and self._resync_at is None:
            self._resync_at = at + self._wait(at)

    def _wait(self, at: float) -> float:
        """How long to wait before the next attempt, with full jitter: a restart must not bring all at one moment."""
        if at - self._begun_at >= _LONGEST_WAIT:
            self._failures = 0
        longest = min(_SHORTEST_WAIT * 2.0**self._failures, _LONGEST_WAIT)
        self._failures = min(self._failures + 1, 30)
        return longest * self._chance()
