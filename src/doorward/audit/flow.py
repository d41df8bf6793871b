"""Recording what strangers try, with a bound on how much of it is written."""

from __future__ import annotations

from doorward.audit.model import Action, Actor, AuditEvent, Origin
from doorward.deployment import Deployment
from doorward.limits import CredentialKind


async def record_refused_credential(deployment: Deployment, kind: CredentialKind, origin: Origin) -> None:
    """Count a key or credential of a machine that was refused; an audit event is written now and then.

    Args:
        deployment: where.
        kind: what it was presented as.
        origin: where the request comes from.

    Raises:
        RateLimited: too many from this address.
    """
    limits = deployment.limits
    if limits.is_refusal_recorded(kind, origin):
        actor = Actor(origin=origin)
        await deployment.store.record(AuditEvent(action=Action.CREDENTIAL_REFUSED, actor=actor, detail={"kind": kind}))
    limits.after_refused_credential(origin)
