"""Keeping the live set up to date, and the store in possession of what it holds."""

from __future__ import annotations

import logging
from datetime import datetime

from doorward.audit.model import Action, Actor, AuditEvent
from doorward.deployment import Deployment, Incident
from doorward.ports import Snapshot
from doorward.revocation.rules import was_put_back
from doorward.sessions.model import EndReason

_HOUSEKEEPING = Actor(name="housekeeping")
_AT_ONCE = 500
"""Entries that one transaction writes back: their sessions' rows are held meanwhile."""

_log = logging.getLogger(__name__)


async def read_revocations(deployment: Deployment) -> datetime:
    """Merge all live entries of the store into the live set, and let the dead go.

    Merged, never installed: what was announced a moment ago and is missing from this read stays.  Where the store has
    been put back to an earlier state, it is given back what this process holds before anything read there counts as
    fresh.

    Returns:
        ``as_of``: the store's time at the start of the read.
    """
    asked_at = deployment.ticks()
    live, known = deployment.live, deployment.store.identity
    held = tuple(live)
    snapshot = await deployment.store.revocations()
    if was_put_back(held, snapshot, known=known):
        await _write_back(deployment, snapshot, known=known)
    live.merge(snapshot.revocations)
    live.expire(now=deployment.timekeeper.trust(snapshot.as_of, ticks=asked_at))
    deployment.freshness.note(asked_at=asked_at)
    return snapshot.as_of


async def _write_back(deployment: Deployment, snapshot: Snapshot, *, known: str) -> None:
    """Give the store back what it may have lost; any number of servers may do so at once.

    Its new identity comes last: where this is cut short, the next read begins it anew.
    """
    held = [entry for entry in deployment.live if entry.dies_at > snapshot.as_of]
    ended = 0
    for start in range(0, len(held), _AT_ONCE):
        ending = deployment.ending(EndReason.ADMIN, _HOUSEKEEPING)
        over = await deployment.store.write_back(held[start : start + _AT_ONCE], ending)
        deployment.live.merge(over.revocations)
        ended += len(over.sessions)
    detail = {"revocations": len(held), "sessions": ended}
    event = AuditEvent(action=Action.STORE_PUT_BACK, actor=_HOUSEKEEPING, detail=detail)
    await deployment.store.renew_identity(known, event)
    deployment.count(Incident.STORE_PUT_BACK)
    _log.error(
        "the store is not the one that it was: a backup or a standby has taken its place. %d revocations were written"
        " back, %d sessions that had ended were ended again. Who refreshed in between is asked to sign in, unless"
        " heal_lost_writes is on; whose account was changed, look at it",
        len(held),
        ended,
    )
