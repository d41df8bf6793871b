"""How a session travels, whether it stands, and until when it does."""

from __future__ import annotations

import hmac
from datetime import datetime, timedelta

from doorward.accounts.model import Owner
from doorward.errors import FieldError, ValidationFailed
from doorward.options import Strategy
from doorward.principal import Carrier
from doorward.revocation.model import LiveSet
from doorward.sessions.model import EndReason, Session

CARRIERS: dict[Strategy, tuple[Carrier, ...]] = {
    "session": ("cookie",),
    "jwt": ("token",),
    "hybrid": ("token", "cookie"),
}
"""How a session can travel under each strategy, the default first."""


def decide_carrier(strategy: Strategy, asked: Carrier | None) -> Carrier:
    """Decide how a session travels.  Raises ValidationFailed where the strategy has no such carrier."""
    possible = CARRIERS[strategy]
    if asked is not None and asked not in possible:
        message = f"the strategy {strategy} carries sessions by {' or '.join(possible)}"
        raise ValidationFailed([FieldError(field="carrier", message=message)])
    return asked or possible[0]


def decide_remembered(carrier: Carrier, *, asked: bool) -> bool:
    """Decide whether a session outlives the browser's window.

    A client that keeps tokens has no window.  A row that an older version of Doorward wrote does not say that it is
    remembered, so this rule is applied to rows, too.

    Args:
        carrier: how the session travels.
        asked: whether its owner asked to stay signed in, or what the row says.
    """
    return asked or carrier == "token"


def decide_idle_limit(session: Session, *, idle: timedelta, idle_remembered: timedelta) -> timedelta:
    """Decide for how long a session may be left unused.

    Args:
        session: the row.
        idle: the limit of a session that is not remembered.
        idle_remembered: the limit of one that is.
    """
    return idle_remembered if decide_remembered(session.carrier, asked=session.remembered) else idle


def is_held(session: Session, secret_hash: bytes) -> bool:
    """Decide whether whoever presents a secret of this hash holds the session; in constant time.

    Args:
        session: the row that the key beside the secret has found.
        secret_hash: SHA-256 of what was presented.
    """
    return hmac.compare_digest(session.secret_hash, secret_hash)


def decide_standing(session: Session, account: Owner, *, now: datetime) -> EndReason | None:
    """Decide whether a session is over, and why; None while it stands.

    Args:
        session: the row.
        account: whose it is.
        now: the instant of the request by the store's clock, UTC.
    """
    if session.ended_at is not None:
        return session.ended_reason or EndReason.SIGNED_OUT
    if account.disabled_at is not None:
        return EndReason.ACCOUNT_DISABLED
    if now >= session.expires_at:
        return EndReason.EXPIRED
    if now >= session.idle_expires_at:
        return EndReason.IDLE
    if session.account_version != account.version:
        # The version is raised in the transaction that ends all sessions; one that missed it is over all the same.
        return EndReason.ADMIN
    return None


def is_revoked(session: Session, live: LiveSet) -> bool:
    """Decide whether a live revocation names a session, or a version of its account above the one it stands under."""
    named = live.revokes(session=session.id, account=session.account, version=session.account_version, token="")
    return named is not None


def goes_on(session: Session, account: Owner) -> bool:
    """Decide whether nobody has ended a session; it may have expired."""
    return session.ended_at is None and account.disabled_at is None and session.account_version == account.version


def decide_idle_expiry(session: Session, *, now: datetime, idle: timedelta) -> datetime:
    """Decide when a session that is used now ends if it is not used again; never later than its absolute end."""
    return min(max(session.idle_expires_at, now + idle), session.expires_at)


SEEN_AT_MOST_EVERY = timedelta(minutes=1)
"""How often a session's last use is written."""


def decide_next_sighting(session: Session, *, idle: timedelta) -> datetime:
    """Decide from when on the use of a session is written: once a minute, oftener where the idle limit is short."""
    return session.last_seen_at + min(SEEN_AT_MOST_EVERY, idle / 4)


def is_sighting_due(session: Session, *, now: datetime, idle: timedelta) -> bool:
    """Decide whether the use of a session is written now."""
    return now >= decide_next_sighting(session, idle=idle)
