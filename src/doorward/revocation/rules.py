"""Whether a store has forgotten what was revoked (docs/concepts/revocation.md)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from doorward.ports import Snapshot
from doorward.revocation.model import Revocation

EDGE = timedelta(seconds=30)
"""How near to its death an entry may be missing: while one server reads, another removes what has died since."""


def was_put_back(held: Iterable[Revocation], read: Snapshot, *, known: str) -> bool:
    """Decide whether a store is not the one that was read before: a backup, or a standby, has taken its place.

    Its identity says so, or an entry is missing that must be there: every entry that a server holds was committed
    before it was told of, and leaves only by its own death.  Where the store's clock was set forward, what it takes for
    dead is not missed; where it was set back, no more is there to be missed than before.

    Args:
        held: what was held when the read was begun; an entry that arrived meanwhile may be missing from it.
        read: everything that the store holds.
        known: the identity that the store had so far.
    """
    if read.identity != known:
        return True
    there = {(entry.kind, entry.id): entry.value for entry in read.revocations}
    must_live_until = read.as_of + EDGE
    return any(
        entry.dies_at > must_live_until and there.get((entry.kind, entry.id), -1) < entry.value for entry in held
    )
