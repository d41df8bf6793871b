"""Whether a verifier holds all that a server holds, told by digests."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from datetime import datetime

from doorward.revocation.model import BUCKET, Revocation, bucket_of, hash_of, second_of

_STATES_KEPT = 1_024
"""Of each bucket: about ten seconds of a hundred revocations each."""


_MODULUS = 1 << 128


class Tally:
    """The digests of a live set that grows, those of now and those of a moment ago.

    A digest that was asked for is older than what the stream has brought since.  A live set only grows, so whoever has
    *once* held what the digest sums up holds it still, with more; asking for equality now would fail whenever somebody
    signs out at that moment.  Each bucket is compared for itself.
    """

    __slots__ = ("_seconds", "_states", "_sums")

    def __init__(self) -> None:
        self._sums: dict[int, int] = {}
        self._states: dict[int, deque[int]] = {}
        self._seconds: dict[int, dict[int, int]] = {}

    def note(self, before: Revocation | None, after: Revocation) -> None:
        """An entry has come, or has been joined with another of its name."""
        if before == after:
            return
        if before is not None:
            self._add(before, -hash_of(before))
        self._add(after, hash_of(after))

    def has_held(self, digests: Mapping[int, str]) -> bool:
        """Decide whether all that these digests sum up is held."""
        return all(int(digest, 16) in self._states.get(bucket, ()) for bucket, digest in digests.items())

    def holds(self, digests: Mapping[int, str], *, recent: Iterable[Revocation], after: datetime) -> bool:
        """Decide whether all that these digests sum up is held, apart from recent entries that the caller has merged.

        Two servers learn of recent entries in different orders, so that one may sum up a set that a reader of the
        other never held.  Without the recent entries both hold the same set.

        Args:
            digests: of a server, recent entries included.
            recent: all entries of that server that die in a later second than ``after``.
            after: a whole second.
        """
        listed: dict[int, int] = {}
        for entry in recent:
            listed[bucket_of(entry)] = listed.get(bucket_of(entry), 0) + hash_of(entry)
        last = int(after.timestamp())
        return all(
            int(digest, 16) in self._states.get(bucket, ())
            or (int(digest, 16) - listed.get(bucket, 0)) % _MODULUS == self._settled(bucket, last)
            for bucket, digest in digests.items()
        )

    def _settled(self, bucket: int, last: int) -> int:
        """The sum of a bucket's entries that die no later than in a second."""
        return sum(total for second, total in self._seconds.get(bucket, {}).items() if second <= last) % _MODULUS

    def expire(self, *, now: datetime) -> None:
        """Let the buckets go that are over."""
        first = int(now.timestamp()) // int(BUCKET.total_seconds())
        for bucket in [each for each in self._sums if each < first]:
            del self._sums[bucket], self._states[bucket], self._seconds[bucket]

    def _add(self, entry: Revocation, amount: int) -> None:
        bucket, second = bucket_of(entry), second_of(entry)
        total = self._sums[bucket] = (self._sums.get(bucket, 0) + amount) % _MODULUS
        seconds = self._seconds.setdefault(bucket, {})
        seconds[second] = (seconds.get(second, 0) + amount) % _MODULUS
        self._states.setdefault(bucket, deque(maxlen=_STATES_KEPT)).append(total)
