"""Revocations and the live set: what every request is checked against, in memory (docs/concepts/revocation.md)."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum


class Kind(StrEnum):
    """What a revocation names."""

    SESSION = "session"
    ACCOUNT = "account"
    TOKEN = "token"  # noqa: S105 -- the name of a kind
    KEY = "key"


ENDED = 1
"""The value of an entry that names a session, a token or a key."""

BUCKET = timedelta(minutes=1)
"""The width of a digest's buckets: entries that die in one minute share one, so that two clocks do not flap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """One entry: (kind, id) -> (value, dies_at).

    Args:
        kind: what is named.
        id: a session's ``sid``, an account's ``sub``, a token's ``jti`` or a key's ``kid``.
        value: ``ENDED``; for an account the least version (claim ``ver``) that is still accepted.
        dies_at: when the last token that the entry names is dead everywhere, UTC.
        reason: why it ended, by the name of an ``EndReason``, or None where that is not known.  It only explains:
            digests and comparisons leave it out.
    """

    kind: Kind
    id: str
    value: int = ENDED
    dies_at: datetime
    reason: str | None = field(default=None, compare=False)


Change = tuple[Revocation | None, Revocation]
"""An entry as it was, None if it is new, and as it is now."""


class LiveSet:
    """All revocations that have not died.

    Sets join by the pointwise maximum of value and of ``dies_at``, so entries may arrive repeated, reordered or from
    two servers and the result is the same.  An entry leaves only by its own death.  Threads may share one: a set
    joins as a whole, and looking into it waits for nobody.

    Args:
        entries: to begin with.
        told: told of all that a merge has changed, wherever it comes from.
    """

    __slots__ = ("_entries", "_lock", "_told", "accounts", "keys", "sessions", "tokens")

    def __init__(
        self, entries: Iterable[Revocation] = (), *, told: Callable[[tuple[Change, ...]], None] | None = None
    ) -> None:
        self._entries: dict[tuple[Kind, str], Revocation] = {}
        # One plain dictionary a kind: this is what every request looks into.
        self.sessions: dict[str, int] = {}
        self.accounts: dict[str, int] = {}
        self.tokens: dict[str, int] = {}
        self.keys: dict[str, int] = {}
        self._told = told
        self._lock = threading.Lock()
        self.merge(entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Revocation]:
        return iter(tuple(self._entries.values()))

    def get(self, kind: Kind, name: str) -> Revocation | None:
        """The entry that names it, or None."""
        return self._entries.get((kind, name))

    def merge(self, entries: Iterable[Revocation]) -> None:
        """Join entries into the set."""
        with self._lock:
            self._merge(entries)

    def _merge(self, entries: Iterable[Revocation]) -> None:
        changed: list[Change] = []
        for entry in entries:
            known = self._entries.get((entry.kind, entry.id))
            if known is not None:
                if entry.value <= known.value and entry.dies_at <= known.dies_at:
                    if known.reason is None and entry.reason is not None:
                        # An announcement does not say why; nobody has to be told of the rest.
                        self._entries[entry.kind, entry.id] = replace(known, reason=entry.reason)
                    continue
                entry = Revocation(  # noqa: PLW2901 -- the join is what is kept
                    kind=entry.kind,
                    id=entry.id,
                    value=max(known.value, entry.value),
                    dies_at=max(known.dies_at, entry.dies_at),
                    reason=(entry.reason if entry.value > known.value else known.reason) or entry.reason,
                )
            self._entries[entry.kind, entry.id] = entry
            self._index(entry.kind)[entry.id] = entry.value
            changed.append((known, entry))
        if changed and self._told is not None:
            self._told(tuple(changed))

    def expire(self, *, now: datetime) -> int:
        """Let the dead entries go.  Returns how many."""
        with self._lock:
            dead = [place for place, entry in self._entries.items() if entry.dies_at <= now]
            for kind, name in dead:
                del self._entries[kind, name]
                del self._index(kind)[name]
        return len(dead)

    def revokes(self, *, session: str, account: str, version: int, token: str) -> Kind | None:
        """What an access token is revoked by, or None.  A revoked key is not asked for here: it verifies nothing.

        Args:
            session: claim ``sid``.
            account: claim ``sub``.
            version: claim ``ver``.
            token: claim ``jti``.
        """
        if not self._entries:
            return None
        if session in self.sessions:
            return Kind.SESSION
        if version < self.accounts.get(account, 0):
            return Kind.ACCOUNT
        return Kind.TOKEN if token in self.tokens else None

    def digest(self, *, after: datetime) -> dict[int, str]:
        """An order-free digest of the entries per one-minute bucket of ``dies_at``.

        Args:
            after: buckets that begin at or before this instant are left out, since clocks differ on what has died.

        Returns:
            minutes since the epoch -> hex of 16 bytes.
        """
        sums: dict[int, int] = {}
        for entry in self:
            bucket = bucket_of(entry)
            if bucket * BUCKET.total_seconds() > after.timestamp():
                # A sum of hashes does not depend on the order, and unlike a xor does not cancel a repetition.
                sums[bucket] = (sums.get(bucket, 0) + hash_of(entry)) % (1 << 128)
        return {bucket: f"{total:032x}" for bucket, total in sorted(sums.items())}

    def _index(self, kind: Kind) -> dict[str, int]:
        match kind:
            case Kind.SESSION:
                return self.sessions
            case Kind.ACCOUNT:
                return self.accounts
            case Kind.TOKEN:
                return self.tokens
            case Kind.KEY:
                return self.keys


def bucket_of(entry: Revocation) -> int:
    """The minute since the epoch that an entry dies in."""
    return int(entry.dies_at.timestamp()) // int(BUCKET.total_seconds())


def hash_of(entry: Revocation) -> int:
    """What an entry adds to the digest of its bucket, modulo 2^128."""
    text = f"{entry.kind}\0{entry.id}\0{entry.value}\0{int(entry.dies_at.timestamp())}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16])
