"""Keeping the live set up to date."""

from __future__ import annotations

from datetime import datetime

from doorward.ports import RevocationStore
from doorward.revocation.freshness import Freshness, Ticks
from doorward.revocation.model import LiveSet


async def read_revocations(store: RevocationStore, live: LiveSet, freshness: Freshness, *, ticks: Ticks) -> datetime:
    """Merge all live entries of the store into the live set, and let the dead go.

    Merged, never installed: what was announced a moment ago and is missing from this read stays.

    Returns:
        ``as_of``: the store's time at the start of the read.
    """
    asked_at = ticks()
    snapshot = await store.revocations()
    live.merge(snapshot.revocations)
    live.expire(now=snapshot.as_of)
    freshness.note(asked_at=asked_at)
    return snapshot.as_of
