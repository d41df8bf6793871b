"""The two threads that keep a verifier's knowledge up to date: one reads the stream, one asks.

Threads and not tasks: they serve asyncio and threaded hosts alike, and a busy event loop does not make them late.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from doorward.keys.model import VerificationKey
from doorward.revocation.freshness import Ticks
from doorward.verifier.keyset import KeySchedule, UnusableKeySet, parse_key_set
from doorward.verifier.replica import Replica, State, Tell, Topic
from doorward.verifier.transport import ANSWER_WITHIN, IssuerClient, NoAnswer, Stream
from doorward.wire.feed import FeedReader, MalformedFeed

if TYPE_CHECKING:
    from doorward.ports import Clock

_EXPIRE_EACH = 10.0
_LOOK_EACH = 0.5
"""Seconds between two looks at whether the state has changed."""

_log = logging.getLogger("doorward.verifier")


class Background:
    """Feeds a `Replica` and fetches keys.

    Args:
        replica: what is known of revocations.
        client: how the issuer is asked.
        feed: whether there is a feed to follow.
        max_staleness: the bound that digest requests are made for.
        clock: this machine's time.
        ticks: as in `Freshness`.
        chance: for jitter.
        on_keys: told of every key set that has arrived.
        on_news: called whenever the replica may know more or less than before; while its lock is held.
        tell: told of trouble.
    """

    def __init__(
        self,
        replica: Replica,
        client: IssuerClient,
        *,
        feed: bool,
        max_staleness: timedelta,
        clock: Clock,
        ticks: Ticks,
        chance: Callable[[], float],
        on_keys: Callable[[Mapping[str, VerificationKey]], None],
        on_news: Callable[[], None],
        tell: Tell,
    ) -> None:
        self.ready = threading.Event()
        self._replica = replica
        self._client = client
        self._feed = feed
        self._within = min(max(max_staleness, timedelta(seconds=1)), ANSWER_WITHIN)
        self._clock = clock
        self._ticks = ticks
        self._on_keys = on_keys
        self._on_news = on_news
        self._tell = tell
        self._schedule = KeySchedule(chance=chance)
        self._has_keys = False
        self._expire_at = 0.0
        self._was = State.COLD
        self._stream: Stream | None = None
        self._lock = threading.Lock()  # the replica's and the schedule's
        self._wake = threading.Event()
        self._closing = threading.Event()
        loops = (self._ask, self._follow) if feed else (self._ask,)
        self._threads = [
            threading.Thread(target=loop, name=f"doorward-verifier{loop.__name__}", daemon=True) for loop in loops
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def close(self, *, within: timedelta) -> None:
        """Stop.  A thread that waits for the issuer's first answer may outlive this; it does nothing more."""
        self._closing.set()
        self._wake.set()
        self._abandon_stream()
        for thread in self._threads:
            thread.join(within.total_seconds() / len(self._threads))

    def want_keys(self) -> None:
        """A token names a key that nobody knows."""
        with self._lock:
            sooner = self._schedule.want(at=self._ticks())
        if sooner:
            self._wake.set()

    def state(self) -> tuple[State, timedelta | None, int]:
        """The state, how old what is known is, and how many streams have ended."""
        with self._lock:
            at = self._ticks()
            state = self._replica.state(at=at, wall=self._clock())
            return state, self._replica.freshness.staleness(now=at), self._replica.reconnects

    # The stream

    def _follow(self) -> None:
        while not self._closing.is_set():
            with self._lock:
                connect_at = self._replica.connect_at
            wait = (connect_at or 0.0) - self._ticks()
            if wait > 0:
                self._closing.wait(min(wait, 1.0))  # ticks go on while the machine sleeps; this wait does not
                continue
            why, plea = self._one_stream()
            if self._closing.is_set():
                return
            with self._lock:
                self._replica.disconnected(why, at=self._ticks(), plea=plea)

    def _one_stream(self) -> tuple[str, timedelta]:
        """Read a stream to its end.  Returns why it ended, and how long the server asked us to wait."""
        with self._lock:
            last_id = self._replica.connecting(at=self._ticks())
        try:
            with self._client.stream(last_id) as stream:
                self._stream = stream
                if self._closing.is_set():
                    return "closing", timedelta()
                self._read(stream)
        except NoAnswer as error:
            return str(error), error.retry_after
        except MalformedFeed as error:
            return f"the feed cannot be read: {error}", timedelta()
        except Exception:  # noqa: BLE001 -- a thread that died would leave a verifier that knows less and less
            _log.exception("verifier: reading the feed")
            return "a defect of the verifier", timedelta()
        finally:
            self._stream = None
        return "the server ended the stream", timedelta()

    def _read(self, stream: Stream) -> None:
        reader = FeedReader()
        while piece := stream.read():
            for event in reader.feed(piece):
                with self._lock:
                    self._replica.receive(event, at=self._ticks(), wall=self._clock())
                    self._news()
            if self._replica.keys_changed or self._replica.ask_at <= self._ticks():
                self._wake.set()

    def _abandon_stream(self) -> None:
        stream = self._stream
        if stream is not None:
            stream.abandon()

    # The questions

    def _ask(self) -> None:
        while not self._closing.is_set():
            try:
                self._ask_what_is_due()
            except Exception:  # noqa: BLE001 -- as above
                _log.exception("verifier: asking the issuer")
                self._closing.wait(1.0)
            self._wake.wait(self._until_due())
            self._wake.clear()

    def _until_due(self) -> float:
        with self._lock:
            due = min(self._schedule.fetch_at, self._replica.ask_at if self._feed else self._schedule.fetch_at)
        return min(max(due - self._ticks(), 0.0), _LOOK_EACH)

    def _ask_what_is_due(self) -> None:
        with self._lock:
            at = self._ticks()
            if self._replica.keys_changed:
                self._replica.keys_changed = False
                self._schedule.want(at=at)
            keys_due = self._schedule.fetch_at <= at
            asks = self._feed and self._replica.ask_at <= at
        # First, so that nothing waits behind an issuer that is slow to answer.
        self._look()
        if keys_due:
            self._fetch_keys()
        if asks and not self._closing.is_set():
            self._ask_digests()
            self._look()

    def _fetch_keys(self) -> None:
        with self._lock:
            self._schedule.fetching(at=self._ticks())
        try:
            keys = parse_key_set(self._client.key_set())
        except (NoAnswer, UnusableKeySet) as error:
            self._tell(Topic.KEYS, str(error))
            with self._lock:
                self._schedule.failed(at=self._ticks(), known=self._has_keys)
            return
        self._tell(Topic.KEYS, None)
        with self._lock:
            self._schedule.fetched()
            self._has_keys = True
            self._on_keys(keys)
            self._news()

    def _ask_digests(self) -> None:
        with self._lock:
            asked_at = self._ticks()
            etag = self._replica.asking(at=asked_at)
        try:
            answer = self._client.digests(etag, within=self._within)
        except (NoAnswer, MalformedFeed) as error:
            self._tell(Topic.DIGEST, f"the digests cannot be had: {error}")
            return
        with self._lock:
            try:
                self._replica.answered(answer, asked_at=asked_at, at=self._ticks(), wall=self._clock())
            except MalformedFeed as error:
                self._tell(Topic.DIGEST, f"the digests cannot be read: {error}")
            self._news()

    def _look(self) -> None:
        """Do what time asks for: let the dead go, begin the stream anew, tell of a state that has changed."""
        with self._lock:
            at, wall = self._ticks(), self._clock()
            if at >= self._expire_at:
                self._expire_at = at + _EXPIRE_EACH
                self._replica.expire(at=at, wall=wall)
            again = self._replica.must_reconnect(at=at)
            state = self._replica.state(at=at, wall=wall)
            self._news()
        if self._feed and state is not self._was:
            fresh = state is State.FRESH
            self._tell(Topic.STATE, None if fresh else "revocations are not known to be fresh any more")
            self._was = state
        if again:
            self._abandon_stream()

    def _news(self) -> None:
        self._on_news()
        if self._has_keys and (not self._feed or self._replica.freshness.known_as_of is not None):
            self.ready.set()
