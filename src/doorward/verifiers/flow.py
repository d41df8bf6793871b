"""Adding and revoking verifiers, and telling which of them asks."""

from __future__ import annotations

import hmac

from doorward.audit.model import Actor
from doorward.deployment import Deployment
from doorward.errors import FieldError, InvalidToken, NotFound, ValidationFailed
from doorward.secret import Secret
from doorward.verifiers.model import StoredVerifier, parse_verifier_name
from doorward.wire.verifier_credential import (
    new_verifier_credential,
    parse_verifier_credential,
    write_verifier_credential,
)


async def add_verifier(deployment: Deployment, name: str, *, actor: Actor) -> Secret:
    """Let a service read the revocation feed.  Returns its credential, which is told this once.

    Raises:
        ValidationFailed: the name will not do, or is taken.
    """
    credential = new_verifier_credential(deployment.entropy)
    verifier = StoredVerifier(
        id=credential.id,
        name=parse_verifier_name(name),
        secret_hash=credential.secret_hash,
        created_at=await deployment.store.now(),
    )
    if not await deployment.store.add_verifier(verifier, actor=actor):
        raise ValidationFailed([FieldError(field="name", message=f"there is a verifier called {name}")])
    return write_verifier_credential(credential)


async def revoke_verifier(deployment: Deployment, name: str, *, actor: Actor) -> None:
    """Let a verifier's credential be good for nothing any more.  Raises NotFound."""
    if not await deployment.store.revoke_verifier(name, actor=actor):
        raise NotFound(f"No verifier is called {name!r}.")
    await read_verifiers(deployment)


async def read_verifiers(deployment: Deployment) -> None:
    """Learn which verifiers there are, and end the streams of those that have been revoked; once a second."""
    known = {verifier.id: verifier for verifier in await deployment.store.verifiers()}
    deployment.verifiers.clear()
    deployment.verifiers.update(known)
    deployment.hub.close_others(known)


async def authenticate_verifier(deployment: Deployment, text: Secret) -> StoredVerifier:
    """Tell which verifier asks; in memory, but for one that was added less than a second ago.

    Raises:
        InvalidToken: none that there is.
    """
    credential = parse_verifier_credential(text.reveal())
    if credential is None:
        raise InvalidToken("the credential is no verifier's")
    verifier = deployment.verifiers.get(credential.id) or await deployment.store.verifier(credential.id)
    if verifier is None or not hmac.compare_digest(verifier.secret_hash, credential.secret_hash):
        raise InvalidToken("the credential is of no verifier that there is")
    return verifier
