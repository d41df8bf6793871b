"""Ending the sessions of all accounts, as after a restored backup (docs/guides/after-restoring-a-backup.md)."""

from __future__ import annotations

from collections.abc import Callable

from doorward.audit.model import Action, Actor, AuditEvent
from doorward.deployment import Deployment
from doorward.keys.flow import revoke_keys_in_use
from doorward.sessions.model import EndReason

AT_ONCE = 5_000
"""Rows that one transaction looks at: a statement over all of a large table would keep servers waiting."""


async def end_everybody(deployment: Deployment, *, actor: Actor, report: Callable[[int], None] = lambda _: None) -> int:
    """End every session that began before now, and revoke every key that access tokens are signed with.

    Servers may go on serving.  Sessions first: a server drops what it has in memory when it learns of the revoked keys,
    and must not read it again from a row that stands.  Where this is cut short, doing it again does the rest.

    Args:
        deployment: where.
        actor: on whose behalf.
        report: called after each step with the number of sessions that have ended so far.

    Returns:
        how many sessions ended.
    """
    store = deployment.store
    ending, begun_before = deployment.ending(EndReason.ADMIN, actor), await store.now()
    after: str | None = None
    ended, more = 0, True
    while more:
        step = await store.end_begun_before(begun_before, ending, after=after, limit=AT_ONCE)
        ended, after, more = ended + step.ended, step.after, step.after is not None
        report(ended)
    keys = await revoke_keys_in_use(deployment, actor=actor)
    deployment.forget_sessions()
    detail: dict[str, str | int | bool | None] = {"sessions": ended, "keys": keys}
    await store.record(AuditEvent(action=Action.SESSIONS_ENDED, actor=actor, detail=detail))
    return ended
