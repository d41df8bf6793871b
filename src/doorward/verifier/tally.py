"""Whether a verifier holds all that a server holds, told by digests."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import datetime

from doorward.revocation.model import BUCKET, Revocation, bucket_of, hash_of

_STATES_KEPT = 1_024
"""Of each bucket: about ten seconds of a hundred revocations each."""


class Tally:
    """The digests of a live set that grows, those of now and those of a moment ago.

    A digest that was asked for is older than what the stream has brought since.  A live set only grows, so whoever has
    *once* held what the digest sums up holds it still, with more; asking for equality now would fail whenever somebody
    signs out at that moment.  Each bucket is compared for itself.
    """

    __slots__ = ("_states", "_sums")

    def __init__(self) -> None:
        self._sums: dict[int, int] = {}
        self._states: dict[int, deque[int]] = {}

    def note(self, before: Revocation | None, after: Revocation) -> None:
        """An entry has come, or has been joined with another of its name."""
        if before == after:
            return
        if before is not None:
            self._add(bucket_of(before), -hash_of(before))
        self._add(bucket_of(after), hash_of(after))

    def has_held(self, digests: Mapping[int, str]) -> bool:
        """Decide whether all that these digests sum up is held."""
        return all(int(digest, 16) in self._states.get(bucket, ()) for bucket, digest in digests.items())

    def expire(self, *, now: datetime) -> None:
        """Let the buckets go that are over."""
        first = int(now.timestamp()) // int(BUCKET.total_seconds())
        for bucket in [each for each in self._sums if each < first]:
            del self._sums[bucket], self._states[bucket]

    def _add(self, bucket: int, amount: int) -> None:
        total = self._sums[bucket] = (self._sums.get(bucket, 0) + amount) % (1 << 128)
        self._states.setdefault(bucket, deque(maxlen=_STATES_KEPT)).append(total)
