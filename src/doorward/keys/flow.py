"""Loading, rotating, retiring and revoking signing keys."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from doorward.audit.model import Action, Actor, AuditEvent
from doorward.deployment import Deployment
from doorward.errors import DatabaseUnusable, FieldError, NotFound, StoreUnavailable, ValidationFailed
from doorward.keys.model import Algorithm, KeyState, SigningKey, StoredKey, generate_signing_key
from doorward.keys.rules import (
    KNOWN_AFTER,
    UNSCHEDULED,
    RotationPlan,
    plan_replacement,
    plan_rotation,
    published_keys,
    retired_at_once,
    scheduled_key_of,
    signing_key_of,
    state_of,
    verifying_keys,
)
from doorward.keys.wrapping import WrongSecret, unwrap, wrap
from doorward.ports import Page
from doorward.revocation.model import Kind, Revocation
from doorward.sessions.model import EndReason

_HOUSEKEEPING = Actor(name="housekeeping")
_ROUNDS = 5
_AT_ONCE = 200
"""Events of the trail that are read at a time."""
_KEYS_TAKEN_WITHIN = timedelta(seconds=5)
"""How long after a change of keys a server may still sign with the old one: it looks once a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    to: tuple[StoredKey, ...]
    events: tuple[AuditEvent, ...]


async def check_secret(deployment: Deployment) -> None:
    """Raises DatabaseUnusable where the store was made with a secret that is none of ours."""
    current, *older = deployment.keyring.fingerprints
    if await deployment.store.secret_check(current, replaces=older) not in deployment.keyring.fingerprints:
        raise DatabaseUnusable(
            "The secret does not fit the database: it was made with another one."
            " Give DOORWARD_SECRET the value that it was made with (or restore the secret file beside the database);"
            " to replace a secret, give the new one first and the old one after it, separated by a comma."
        )


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
        if make and (revoked := _revoked_and_in_use(deployment, stored, now=now)):
            # A backup that has taken the store's place does not know of it.  Its entry dies, and the key must not rise.
            change = _revocation(deployment, stored, revoked, now=now, actor=_HOUSEKEEPING)
            await deployment.store.change_keys(stored, change.to, change.events)
            continue
        good = [key for key in stored if key.kid not in deployment.live.keys]
        own = [key for key in good if key.algorithm is deployment.options.signing_algorithm]
        signing = _signing(own, good, now=now)
        if signing is not None or (stored and not make):
            _take(deployment, verifying_keys(good, now=now), signing)
            return
        change = _first_keys(deployment, stored, now=now)
        await deployment.store.change_keys(stored, change.to, change.events)
    raise StoreUnavailable(detail="the signing keys changed again and again while they were being made")


def _revoked_and_in_use(deployment: Deployment, stored: Sequence[StoredKey], *, now: datetime) -> set[str]:
    return {key.kid for key in stored if state_of(key, now=now) is not KeyState.RETIRED} & deployment.live.keys.keys()


def _signing(own: Sequence[StoredKey], stored: Sequence[StoredKey], *, now: datetime) -> StoredKey | None:
    """The key to sign with, of our algorithm; of another as long as other servers may not know ours."""
    scheduled = scheduled_key_of(own, now=now)
    return signing_key_of(own, now=now) or (scheduled and signing_key_of(stored, now=now)) or scheduled


def _take(deployment: Deployment, verifying: Sequence[StoredKey], signing: StoredKey | None) -> None:
    kid = signing.kid if signing is not None else None
    if deployment.desk.knows(kid, {key.kid for key in verifying}):
        return
    unwrapped = {key.kid: _unwrap(deployment, key) for key in verifying}
    verification_keys = {name: key.verification_key() for name, key in unwrapped.items()}
    deployment.desk.take_keys(unwrapped.get(kid) if kid is not None else None, verification_keys)
    # What was signed with a key that has gone is not handed out any more.
    deployment.statuses.signed.clear()
    deployment.hub.tell_keys()


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


def _new_key(
    deployment: Deployment, *, created_at: datetime, activates_at: datetime, algorithm: Algorithm | None = None
) -> StoredKey:
    key = generate_signing_key(algorithm or deployment.options.signing_algorithm)
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


async def revoke_key(deployment: Deployment, kid: str, *, actor: Actor) -> int:
    """Drop a key that somebody else may have: every token that it signed is refused everywhere, and another one signs.

    One transaction retires it, revokes it, puts another in its place and tells of it.  Sessions with a refresh token go
    on: their clients refresh.  A session of the strategy ``jwt`` has nothing but its token, so those that began while
    the key signed end afterwards, each by itself; where that is cut short, revoking the key again does the rest.

    Returns:
        how many sessions ended.

    Raises:
        NotFound: there is no such key.
    """
    for _ in range(_ROUNDS):
        now = await deployment.store.now()
        stored = await deployment.store.keys()
        key = next((each for each in stored if each.kid == kid), None)
        if key is None:
            raise NotFound(f"No signing key has the kid {kid!r}.")
        change = _revocation(deployment, stored, {kid}, now=now, actor=actor)
        entry = Revocation(kind=Kind.KEY, id=kid, dies_at=now + deployment.options.revocations_live_for)
        if await deployment.store.change_keys(stored, change.to, change.events, revocations=[entry]):
            deployment.live.merge([entry])
            deployment.heed_revoked_keys()
            await load_keys(deployment, make=False)
            return await _end_what_it_signed(deployment, key, now=now, actor=actor)
    raise StoreUnavailable(detail="the signing keys are being changed by another server")


def _revocation(
    deployment: Deployment, stored: Sequence[StoredKey], revoked: AbstractSet[str], *, now: datetime, actor: Actor
) -> _Change:
    to = {key.kid: retired_at_once(key, now=now) if key.kid in revoked else key for key in stored}
    events = [_event(Action.KEY_REVOKED, kid, actor) for kid in sorted(revoked)]
    for algorithm in sorted({key.algorithm for key in stored if key.kid in revoked}):
        # Another server may sign by another algorithm than this one: it is to find one of its own.
        plan = plan_replacement((key for key in stored if key.algorithm is algorithm), revoked, now=now)
        activated = plan.activate
        if activated is not None:
            to[activated] = replace(to[activated], activates_at=now)
        for wanted, activates_at in ((plan.make_signing, now), (plan.make_waiting, UNSCHEDULED)):
            if wanted:
                key = _new_key(deployment, created_at=now, activates_at=activates_at, algorithm=algorithm)
                to[key.kid] = key
                events.append(_event(Action.KEY_CREATED, key.kid, actor))
                activated = key.kid if activates_at == now else activated
        if activated is not None:
            events.append(_event(Action.KEY_ACTIVATED, activated, actor))
    return _Change(to=tuple(to.values()), events=tuple(events))


async def revoke_keys_in_use(deployment: Deployment, *, actor: Actor) -> int:
    """Revoke every key that may have signed something which is accepted, and let others sign in their place.

    Returns:
        how many.
    """
    for _ in range(_ROUNDS):
        now = await deployment.store.now()
        stored = await deployment.store.keys()
        in_use = {key.kid for key in stored if state_of(key, now=now) in {KeyState.ACTIVE, KeyState.RETIRING}}
        change = _revocation(deployment, stored, in_use, now=now, actor=actor)
        dies_at = now + deployment.options.revocations_live_for
        entries = [Revocation(kind=Kind.KEY, id=kid, dies_at=dies_at) for kid in sorted(in_use)]
        if await deployment.store.change_keys(stored, change.to, change.events, revocations=entries):
            deployment.live.merge(entries)
            deployment.heed_revoked_keys()
            await load_keys(deployment, make=False)
            return len(in_use)
    raise StoreUnavailable(detail="the signing keys are being changed by another server")


async def _end_what_it_signed(deployment: Deployment, key: StoredKey, *, now: datetime, actor: Actor) -> int:
    """End sessions that have nothing but a token which this key may have signed; the trail says what began when."""
    since = max(key.activates_at, now - deployment.options.revocations_live_for) - _KEYS_TAKEN_WITHIN
    until = (key.retiring_at or now) + _KEYS_TAKEN_WITHIN
    ending, ended, page = deployment.ending(EndReason.KEY_REVOKED, actor), 0, Page(limit=_AT_ONCE)
    while True:
        events = await deployment.store.trail(page, action=Action.SESSION_STARTED)
        for event in events:
            if event.at is None or event.at < since:
                return ended
            if event.detail.get("strategy") == "jwt" and event.at <= until and event.session is not None:
                over = await deployment.store.end_session(event.session, ending)
                if over is not None:
                    deployment.live.merge(over.revocations)
                    ended += len(over.sessions)
        if len(events) < page.limit:
            return ended
        page = replace(page, after=str(events[-1].id))


async def key_set(deployment: Deployment) -> dict[str, Any]:
    """The public keys (RFC 7517 section 5): current, next and recently retired."""
    now = await deployment.store.now()
    published = published_keys(await deployment.store.keys(), now=now)
    return {"keys": [key.public for key in published if key.kid not in deployment.live.keys]}
