"""Loading, rotating and retiring signing keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from doorward.audit.model import Action, Actor, AuditEvent
from doorward.deployment import Deployment
from doorward.errors import DatabaseUnusable, FieldError, NotFound, StoreUnavailable, ValidationFailed
from doorward.keys.model import KeyState, SigningKey, StoredKey, generate_signing_key
from doorward.keys.rules import (
    UNSCHEDULED,
    plan_rotation,
    published_keys,
    scheduled_key_of,
    signing_key_of,
    state_of,
    verifying_keys,
)
from doorward.keys.wrapping import WrongSecret, unwrap, wrap

_HOUSEKEEPING = Actor(name="housekeeping")
_ROUNDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    to: tuple[StoredKey, ...]
    events: tuple[AuditEvent, ...]


async def load_keys(deployment: Deployment) -> None:
    """Take the store's keys into use; make the first ones, or those of another algorithm, where there are none.

    Cheap while nothing has changed, so that it can be asked every second.
    """
    for _ in range(_ROUNDS):
        now = await deployment.store.now()
        stored = await deployment.store.keys()
        signing = signing_key_of(stored, now=now) or scheduled_key_of(stored, now=now)
        if signing is not None and signing.algorithm is deployment.options.signing_algorithm:
            _take(deployment, verifying_keys(stored, now=now), signing)
            return
        change = _first_keys(deployment, stored, now=now)
        await deployment.store.change_keys(stored, change.to, change.events)
    raise StoreUnavailable(detail="the signing keys changed again and again while they were being made")


def _take(deployment: Deployment, verifying: Sequence[StoredKey], signing: StoredKey) -> None:
    good = [key for key in verifying if key.kid not in deployment.live.keys]
    if deployment.desk.knows(signing.kid, {key.kid for key in good}):
        return
    unwrapped = {key.kid: _unwrap(deployment, key) for key in good}
    deployment.desk.take_keys(unwrapped[signing.kid], {kid: key.verification_key() for kid, key in unwrapped.items()})


def _unwrap(deployment: Deployment, key: StoredKey) -> SigningKey:
    for wrapping_key in deployment.keyring.wrapping_keys:
        try:
            return unwrap(key.wrapped, wrapping_key, key.kid)
        except WrongSecret:
            continue
    raise DatabaseUnusable(
        f"The signing key {key.kid} was stored under another secret."
        " Give DOORWARD_SECRET the value that this database was made with, or list it after the new one."
    )


def _new_key(deployment: Deployment, *, created_at: datetime, activates_at: datetime) -> StoredKey:
    key = generate_signing_key(deployment.options.signing_algorithm)
    return StoredKey(
        kid=key.kid,
        algorithm=key.algorithm,
        wrapped=wrap(key, deployment.keyring.wrapping_keys[0]),
        public=key.verification_key().public_jwk(),
        created_at=created_at,
        activates_at=activates_at,
        retiring_at=None,
        retired_at=None,
    )


def _event(action: Action, kid: str, actor: Actor) -> AuditEvent:
    return AuditEvent(action=action, actor=actor, detail={"kid": kid})


def _first_keys(deployment: Deployment, stored: Sequence[StoredKey], *, now: datetime) -> _Change:
    """A key that signs and one that waits; keys of another algorithm go on verifying what they have signed."""
    active = _new_key(deployment, created_at=now, activates_at=now)
    waiting = _new_key(deployment, created_at=now, activates_at=UNSCHEDULED)
    retired_at = now + deployment.options.revocations_live_for
    older = tuple(
        key
        if state_of(key, now=now) in {KeyState.RETIRING, KeyState.RETIRED}
        else replace(key, retiring_at=now, retired_at=retired_at)
        for key in stored
    )
    return _Change(
        to=(*older, active, waiting),
        events=(
            _event(Action.KEY_CREATED, active.kid, _HOUSEKEEPING),
            _event(Action.KEY_ACTIVATED, active.kid, _HOUSEKEEPING),
            _event(Action.KEY_CREATED, waiting.kid, _HOUSEKEEPING),
        ),
    )


async def rotate_keys(deployment: Deployment, *, actor: Actor) -> None:
    """Let the waiting key sign, and publish the one after it.

    The key that signed until now goes on verifying as long as anything that it has signed may be presented, so no
    token that was issued in time is refused.
    """
    for _ in range(_ROUNDS):
        now = await deployment.store.now()
        stored = await deployment.store.keys()
        change = _rotation(deployment, stored, now=now, actor=actor)
        if await deployment.store.change_keys(stored, change.to, change.events):
            await load_keys(deployment)
            return
    raise StoreUnavailable(detail="the signing keys are being rotated by another server")


def _rotation(deployment: Deployment, stored: Sequence[StoredKey], *, now: datetime, actor: Actor) -> _Change:
    plan = plan_rotation(stored, now=now, overlap=deployment.options.revocations_live_for)
    changed = [
        _planned(key, activate=plan.activate, retire=plan.retire, retired_at=plan.retired_at, now=now) for key in stored
    ]
    fresh = [_new_key(deployment, created_at=now, activates_at=UNSCHEDULED)]
    activated = plan.activate
    if activated is None:
        fresh.insert(0, _new_key(deployment, created_at=now, activates_at=now))
        activated = fresh[0].kid
    events = [_event(Action.KEY_CREATED, key.kid, actor) for key in fresh]
    return _Change(to=(*changed, *fresh), events=(*events, _event(Action.KEY_ACTIVATED, activated, actor)))


def _planned(
    key: StoredKey, *, activate: str | None, retire: Sequence[str], retired_at: datetime, now: datetime
) -> StoredKey:
    if key.kid == activate:
        return replace(key, activates_at=now)
    return replace(key, retiring_at=now, retired_at=retired_at) if key.kid in retire else key


async def retire_key(deployment: Deployment, kid: str, *, actor: Actor) -> None:
    """Let a key verify nothing any more.

    Raises:
        NotFound: there is no such key.
        ValidationFailed: it is the one that signs; rotate first.
    """
    now = await deployment.store.now()
    stored = await deployment.store.keys()
    key = next((each for each in stored if each.kid == kid), None)
    if key is None:
        raise NotFound
    if key == signing_key_of(stored, now=now):
        raise ValidationFailed([FieldError(field="kid", message="this key signs; rotate first, then retire it")])
    retired = replace(key, retiring_at=key.retiring_at or now, retired_at=now)
    to = tuple(retired if each.kid == kid else each for each in stored)
    if not await deployment.store.change_keys(stored, to, [_event(Action.KEY_RETIRED, kid, actor)]):
        raise StoreUnavailable(detail="the signing keys were changed by another server")
    await load_keys(deployment)


async def key_set(deployment: Deployment) -> dict[str, Any]:
    """The public keys (RFC 7517 section 5): current, next and recently retired."""
    now = await deployment.store.now()
    return {"keys": [key.public for key in published_keys(await deployment.store.keys(), now=now)]}
