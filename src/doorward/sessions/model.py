"""What a session is: one row, however it is carried."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from doorward.accounts.model import Account, Owner
from doorward.audit.model import Actor, Origin
from doorward.options import Strategy
from doorward.principal import Carrier
from doorward.revocation.model import Revocation
from doorward.secret import Secret


class EndReason(StrEnum):
    """Why a session is over."""

    SIGNED_OUT = "signed_out"
    REUSE = "reuse"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 -- the name of a reason
    ACCOUNT_DISABLED = "account_disabled"
    SESSION_LIMIT = "session_limit"
    ADMIN = "admin"
    IDLE = "idle"
    EXPIRED = "expired"
    KEY_REVOKED = "key_revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One row of the session table (docs/concepts/rotation.md).

    Args:
        key: internal, 63 random bits; in the handle and in the refresh token, never shown.
        id: public, claim ``sid``.
        account: the account's id.
        account_version: the account's version that the session stands under.
        client: the client that it was started through.
        strategy: how it is carried, whatever the deployment has changed to since.
        carrier: cookie or tokens.
        secret_hash: SHA-256 of the 128 bits that the handle, or the refresh token, holds.
        generation: which refresh token is current, from 0.
        made_at: when that generation came to be.
        predecessor: the generation whose presentation made it, or None.
        first_at: when the predecessor was first rotated, or None.
        attempt: SHA-256 of the idempotency key that came with the presentation, or None.
        displaced: the generation that a recovery put aside, or None.
        acknowledged: whether the current generation, or an access token issued with it, has been seen.
        retried: whether the predecessor was answered again: until the rest is over that answer may be on its way.
        healed_in: the identity of the store in which lost writes of this session were healed, or None.
        authenticated_at: when the subject proved itself.
        created_at: when the session started.
        last_seen_at: when it was last used, to the minute.
        idle_expires_at: when it ends unless it is used.
        expires_at: when it ends in any case.
        ended_at: when it was ended, or None.
        ended_reason: why, or None.
        status_index: its place in the status lists, or None where there are none.
        label: what its owner calls it, or None.
        origin: where it was started from.
        methods: how the subject proved itself (RFC 8176).
        remembered: whether it outlives the browser's window: its owner asked for that, or a client keeps tokens.
    """

    key: int = field(repr=False)
    id: str
    account: str
    account_version: int
    client: str
    strategy: Strategy
    carrier: Carrier
    secret_hash: bytes = field(repr=False)
    generation: int = 0
    made_at: datetime
    predecessor: int | None = None
    first_at: datetime | None = None
    attempt: bytes | None = field(default=None, repr=False)
    displaced: int | None = None
    acknowledged: bool = False
    retried: bool = False
    healed_in: str | None = None
    authenticated_at: datetime
    created_at: datetime
    last_seen_at: datetime
    idle_expires_at: datetime
    expires_at: datetime
    ended_at: datetime | None = None
    ended_reason: EndReason | None = None
    status_index: int | None = None
    label: str | None = None
    origin: Origin = Origin()
    methods: tuple[str, ...] = ()
    remembered: bool = False

    @property
    def leaves_at(self) -> datetime:
        """When the session ends unless it is used: the earlier of both limits."""
        return min(self.idle_expires_at, self.expires_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    """What is known of a session before the store gives it its times; the fields are those of ``Session``."""

    key: int = field(repr=False)
    id: str
    account: str
    account_version: int
    client: str
    strategy: Strategy
    carrier: Carrier
    secret_hash: bytes = field(repr=False)
    idle: timedelta
    absolute: timedelta
    status_index: int | None = None
    label: str | None
    origin: Origin
    methods: tuple[str, ...]
    remembered: bool = False

    def begun(self, *, at: datetime) -> Session:
        """The row, started at an instant of the store's clock."""
        return Session(
            key=self.key,
            id=self.id,
            account=self.account,
            account_version=self.account_version,
            client=self.client,
            strategy=self.strategy,
            carrier=self.carrier,
            secret_hash=self.secret_hash,
            made_at=at,
            authenticated_at=at,
            created_at=at,
            last_seen_at=at,
            idle_expires_at=at + min(self.idle, self.absolute),
            expires_at=at + self.absolute,
            status_index=self.status_index,
            label=self.label,
            origin=self.origin,
            methods=self.methods,
            remembered=self.remembered,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What the store holds under a session's key or id at one instant.

    Args:
        session: the row, or None if it is gone.
        account: whose it is, or None with it.
        at: the instant, by the store's clock.
    """

    session: Session | None
    account: Owner | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FullSighting(Sighting):
    """A session together with its whole account, both as they were at one instant."""

    account: Account | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A session started; others may have ended for it."""

    session: Session
    revocations: tuple[Revocation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountMoved:
    """The account was disabled, changed or removed since it was read; nothing was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How sessions end.

    Args:
        reason: why.
        actor: on whose behalf.
        remember_for: how long the revocations that follow are kept.
    """

    reason: EndReason
    actor: Actor
    remember_for: timedelta


def reason_of(entry: Revocation | None) -> EndReason | None:
    """Why what an entry names has ended; None where it does not say so in a word that we know."""
    try:
        return None if entry is None or entry.reason is None else EndReason(entry.reason)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What was ended, and what the live set must learn of it."""

    sessions: tuple[Session, ...] = ()
    revocations: tuple[Revocation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A part of the sessions of all accounts has been gone through.

    Args:
        ended: how many of them have ended.
        after: where the next step begins, or None where this was the last.
    """

    ended: int
    after: str | None


def ended(session: Session, *, at: datetime, reason: EndReason) -> Session:
    """The row once it has ended."""
    return replace(session, ended_at=at, ended_reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken:
    """An access token and how long it is good for from now."""

    text: Secret
    expires_in: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What the client is handed to be recognised by; None where the strategy has no such thing.

    Args:
        handle: for the session cookie.
        access_token: for ``Authorization: Bearer``.
        refresh_token: for the next access token.
        refresh_expires_in: how long the refresh token is good for unless it is used.
        csrf_token: what a page sends back in ``X-CSRF-Token``, where a cookie carries the session.
    """

    handle: Secret | None = None
    access_token: IssuedToken | None = None
    refresh_token: Secret | None = None
    refresh_expires_in: timedelta | None = None
    csrf_token: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A session has started."""

    account: Account
    session: Session
    credentials: Credentials


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """A refresh token was honoured.

    Args:
        unchanged: the refresh token is the one presented: too young to rotate.  No cookie is set then, since a
            reply that is overtaken by a newer one would put an older token in its place.
    """

    account: Owner
    session: Session
    credentials: Credentials
    unchanged: bool
