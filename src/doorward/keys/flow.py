"""Loading, rotating and retiring signing keys."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from doorward.audit.model import Action, Actor, AuditEvent
from doorward.deployment import Deployment
from doorward.errors import DatabaseUnusable, FieldError, NotFound, StoreUnavailable, ValidationFailed
from doorward.keys.model import KeyState, SigningKey, StoredKey, generate_signing_key
from doorward.keys.rules import (
    KNOWN_AFTER,
    UNSCHEDULED,
    RotationPlan,
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


async def load_keys(deployment: Deployment, *, make: bool = True) -> None:
    """Take the store's keys into use: sign with the newest of our algorithm, verify with all.

    Cheap while nothing has changed, so that it can be asked every second.

    Args:
        deployment: where.
        make: make keys of our algorithm where there are only others.  The others stay: a server that has been told
            another algorithm, or not yet, signs with them, and two that retired each other's would never end.
    """
    for _ in range(_ROUNDS):
        now = await deployment.store.now()
        stored = await deployment.store.keys()
        own = [key for key in stored if key.algorithm is deployment.options.signing_algorithm]
        signing = _signing(own, stored, now=now)
        if signing is not None or (stored and not make):
            _take(deployment, verifying_keys(stored, now=now), signing)
            return
        change = _first_keys(deployment, stored, now=now)
        await deployment.store.change_keys(stored, change.to, change.events)
    raise StoreUnavailable(detail="the signing keys changed again and again while they were being made")


def _signing(own: Sequence[StoredKey], stored: Sequence[StoredKey], *, now: datetime) -> StoredKey | None:
    """The key to sign with, of our algorithm; of another as long as other servers may not know ours."""
    scheduled = scheduled_key_of(own, now=now)
    return signing_key_of(own, now=now) or (scheduled and signing_key_of(stored, now=now)) or scheduled


def _take(deployment: Deployment, verifying: Sequence[StoredKey], signing: StoredKey | None) -> None:
    good = [key for key in verifying if key.kid not in deployment.live.keys]
    kid = signing.kid if signing is not None else None
    if deployment.desk.knows(kid, {key.kid for key in good}):
        return
    unwrapped = {key.kid: _unwrap(deployment, key) for key in good}
    verification_keys = {name: key.verification_key() for name, key in unwrapped.items()}
    deployment.desk.take_keys(unwrapped.get(kid) if kid is not None else None, verification_keys)


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
    """A key that signs and one that waits; beside those of other algorithms it signs once other servers know it."""
    active = _new_key(deployment, created_at=now, activates_at=now + KNOWN_AFTER if stored else now)
    waiting = _new_key(deployment, created_at=now, activates_at=UNSCHEDULED)
    return _Change(
        to=(*stored, active, waiting),
        events=(
            _event(Action.KEY_CREATED, active.kid, _HOUSEKEEPING),
            _event(Action.KEY_ACTIVATED, active.kid, _HOUSEKEEPING),
            _event(Action.KEY_CREATED, waiting.kid, _HOUSEKEEPING),
        ),
    )


async def rotate_keys(deployment: Deployment, *, actor: Actor) -> None:
    """Let the waiting key of our algorithm sign, and publish the one after it; keys of other algorithms stop signing.

    A key that has only just been made signs once every other server knows it, some seconds later (``KNOWN_AFTER``).
    Servers that rotate at once, or before that, rotate once.  The key that signed until now goes on verifying as long
    as anything that it has signed may be presented, so no token that was issued in time is refused.
    """
    for _ in range(_ROUNDS):
        now = await deployment.store.now()
        stored = await deployment.store.keys()
        change = _rotation(deployment, stored, now=now, actor=actor)
        if change is None:
            await load_keys(deployment)
            return
        if await deployment.store.change_keys(stored, change.to, change.events):
            await load_keys(deployment)
            return
    raise StoreUnavailable(detail="the signing keys are being rotated by another server")


def _rotation(deployment: Deployment, stored: Sequence[StoredKey], *, now: datetime, actor: Actor) -> _Change | None:
    """What a rotation changes, or None where another one is under way that has the same in view."""
    foreign = {
        key.kid
        for key in stored
        if key.algorithm is not deployment.options.signing_algorithm and state_of(key, now=now) is KeyState.PENDING
    }
    candidates = [key for key in stored if key.kid not in foreign]
    plan = plan_rotation(candidates, now=now, overlap=deployment.options.revocations_live_for)
    if plan.is_done:
        return None
    retire = {*plan.retire, *foreign}
    changed = [_planned(key, plan, retire=retire) for key in stored]
    fresh = [_new_key(deployment, created_at=now, activates_at=UNSCHEDULED)]
    activated = plan.activate
    if activated is None:
        fresh.insert(0, _new_key(deployment, created_at=now, activates_at=plan.retiring_at))
        activated = fresh[0].kid
    events = [_event(Action.KEY_CREATED, key.kid, actor) for key in fresh]
    return _Change(to=(*changed, *fresh), events=(*events, _event(Action.KEY_ACTIVATED, activated, actor)))


def _planned(key: StoredKey, plan: RotationPlan, *, retire: AbstractSet[str]) -> StoredKey:
    if key.kid == plan.activate:
        return replace(key, activates_at=plan.retiring_at)
    if key.kid in retire:
        return replace(key, retiring_at=plan.retiring_at, retired_at=plan.retired_at)
    return key


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
    if key == signing_key_of((each for each in stored if each.algorithm is key.algorithm), now=now):
        raise ValidationFailed([FieldError(field="kid", message="this key signs; rotate first, then retire it")])
    retired = replace(key, retiring_at=key.retiring_at or now, retired_at=now)
    to = tuple(retired if each.kid == kid else each for each in stored)
    if not await deployment.store.change_keys(stored, to, [_event(Action.KEY_RETIRED, kid, actor)]):
        raise StoreUnavailable(detail="the signing keys were changed by another server")
    await load_keys(deployment, make=False)


async def key_set(deployment: Deployment) -> dict[str, Any]:
    """The public keys (RFC 7517 section 5): current, next and recently retired."""
    now = await deployment.store.now()
    return {"keys": [key.public for key in published_keys(await deployment.store.keys(), now=now)]}
