"""When a signing key does what.  Published, then signing, then only verifying, then gone."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from doorward.keys.model import KeyState, StoredKey

UNSCHEDULED = datetime(9999, 12, 31, tzinfo=UTC)
"""When a key signs that waits for a rotation."""


KNOWN_AFTER = timedelta(seconds=3)
"""After which every server knows a key that has been stored: each reads them about once a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationPlan:
    """What a rotation does, all of it at one instant.

    Args:
        activate: the pending key that begins to sign, or None: make a fresh key.
        retire: the keys that stop signing.
        retiring_at: when they stop signing and the other begins, once every server knows that one.
        retired_at: when they stop verifying.
        is_done: all of that has been done: another server rotates at this moment.
    """

    activate: str | None
    retire: tuple[str, ...]
    retiring_at: datetime
    retired_at: datetime
    is_done: bool


def state_of(key: StoredKey, *, now: datetime) -> KeyState:
    """Decide which state a key is in.  Its last state is looked at first: a key retired early stays so."""
    if key.retired_at is not None and now >= key.retired_at:
        return KeyState.RETIRED
    if key.retiring_at is not None and now >= key.retiring_at:
        return KeyState.RETIRING
    return KeyState.PENDING if now < key.activates_at else KeyState.ACTIVE


def signing_key_of(keys: Iterable[StoredKey], *, now: datetime) -> StoredKey | None:
    """Decide which key signs: of the active ones the newest, or None if there is none."""
    active = [key for key in keys if state_of(key, now=now) is KeyState.ACTIVE]
    return max(active, key=_age, default=None)


def scheduled_key_of(keys: Iterable[StoredKey], *, now: datetime) -> StoredKey | None:
    """Decide which key is the next to sign by itself, or None where all that wait do so for a rotation.

    Where none is active, this one signs: the clock has been set back behind its activation.  Making other keys instead
    would retire good ones.
    """
    pending = [key for key in keys if state_of(key, now=now) is KeyState.PENDING and key.activates_at < UNSCHEDULED]
    return min(pending, key=_age, default=None)


def verifying_keys(keys: Iterable[StoredKey], *, now: datetime) -> tuple[StoredKey, ...]:
    """Decide which keys this server verifies with: all but the retired, oldest first."""
    return tuple(sorted((key for key in keys if state_of(key, now=now) is not KeyState.RETIRED), key=_age))


def published_keys(keys: Iterable[StoredKey], *, now: datetime) -> tuple[StoredKey, ...]:
    """Decide which keys stand in the key set: current, next and recently retired, and never a symmetric one.

    RFC 7517 section 5.
    """
    return tuple(key for key in verifying_keys(keys, now=now) if key.public is not None)


def plan_rotation(keys: Iterable[StoredKey], *, now: datetime, overlap: timedelta) -> RotationPlan:
    """Decide what a rotation does.

    Args:
        keys: every key of the deployment.
        now: the instant of the rotation, UTC.
        overlap: the longest access lifetime and twice the allowed clock skew: so long may the last token that an old
            key signed be presented.
    """
    known = sorted(keys, key=_age)
    pending = [key for key in known if state_of(key, now=now) is KeyState.PENDING]
    active = [key for key in known if state_of(key, now=now) is KeyState.ACTIVE]
    # Of several, the one that was published first: verifiers are the likeliest to have it already.
    successor = min(pending, key=lambda key: key.created_at, default=None)
    made_at = now if successor is None else min(now, successor.created_at)
    # Where none signs, nothing can be signed that somebody else would not know.
    at = max(now, made_at + KNOWN_AFTER) if active else now
    is_done = (
        successor is not None
        and successor.activates_at <= at
        and bool(active)
        and all(key.retiring_at is not None and key.retiring_at <= at for key in active)
    )
    return RotationPlan(
        activate=None if successor is None else successor.kid,
        retire=tuple(key.kid for key in active),
        retiring_at=at,
        retired_at=at + overlap,
        is_done=is_done,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """What takes the place of keys that are revoked, all of it at the same instant.

    Args:
        activate: the waiting key that begins to sign, or None.
        make_signing: whether a fresh key has to sign at once, since none waits.
        make_waiting: whether a fresh key has to wait for the next rotation.
    """

    activate: str | None = None
    make_signing: bool = False
    make_waiting: bool = False


def plan_replacement(keys: Iterable[StoredKey], revoked: Collection[str], *, now: datetime) -> Replacement:
    """Decide what takes the place of revoked keys, so that there is no instant at which nobody can sign.

    Args:
        keys: every key of one algorithm.
        revoked: the ``kid`` of those that are revoked.
        now: the instant of the revocation, UTC.
    """
    known = list(keys)
    pending = [key for key in known if state_of(key, now=now) is KeyState.PENDING]
    waiting = sorted((key for key in pending if key.kid not in revoked), key=lambda key: key.created_at)
    # The one that is to sign in a moment counts too: the one before it is about to stop.
    at_work = {key.kid for key in (signing_key_of(known, now=now), scheduled_key_of(known, now=now)) if key is not None}
    if at_work.isdisjoint(revoked):
        return Replacement(make_waiting=not waiting and bool(pending))
    if not waiting:
        return Replacement(make_signing=True, make_waiting=True)
    return Replacement(activate=waiting[0].kid, make_waiting=len(waiting) == 1)


def retired_at_once(key: StoredKey, *, now: datetime) -> StoredKey:
    """The row of a key that verifies nothing any more from now on, or already did not."""
    if state_of(key, now=now) is KeyState.RETIRED:
        return key
    return replace(key, retiring_at=key.retiring_at or now, retired_at=now)


def _age(key: StoredKey) -> tuple[datetime, datetime, str]:
    return key.activates_at, key.created_at, key.kid
