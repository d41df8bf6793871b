"""Keeping the live set up to date."""

from __future__ import annotations

from datetime import datetime

from doorward.ports import RevocationStore
from doorward.revocation.model import LiveSet


async def read_revocations(store: RevocationStore, live: LiveSet) -> datetime:
    """Merge all live entries of the store into the live set, and let the dead go.

    Merged, never installed: what was announced a moment ago and is missing from this read stays.

    Returns:
        ``as_of``: the store's time at the start of the read.
    """
    snapshot = await store.revocations()
    live.merge(snapshot.revocations)
    live.expire(now=snapshot.as_of)
    return snapshot.as_of
