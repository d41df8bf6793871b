"""What is presented to rotate a refresh token, and what it can lead to."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from doorward.accounts.model import Owner
from doorward.sessions.model import EndReason, Session

_LEAST_DELAY = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Presentation:
    """A refresh token whose MAC and client have been verified.

    Args:
        key: the session's key.
        generation: of the token, from 0.
        secret_hash: SHA-256 of the token's secret.
        attempt: SHA-256 of the idempotency key that came with it, or None.
    """

    key: int = field(repr=False)
    generation: int
    secret_hash: bytes = field(repr=False)
    attempt: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshPolicy:
    """The durations that rotation is judged by.

    Args:
        grace: how long the predecessor may be presented again.
        rest: how long a generation lives before it may rotate.
        window: how long a lost reply can be made good.
        idle: how long a session lives unused that is not remembered.
        idle_remembered: how long one lives unused that is.
        heal_lost_writes: whether a token newer than the store is taken, once a session and store.
    """

    grace: timedelta
    rest: timedelta
    window: timedelta
    idle: timedelta
    idle_remembered: timedelta
    heal_lost_writes: bool = False

    @property
    def longest_delay(self) -> timedelta:
        """How long a server may have kept a presentation waiting, and still tell that it was reuse.

        Half the grace: the other half is left for the ways of the request and of its reply.  At least a second, since
        no server answers in no time.
        """
        return max(self.grace / 2, _LEAST_DELAY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The one atomic statement took: the store holds the next generation.

    Args:
        session: the row as it is now.
        account: whose it is.
        at: the instant, by the store's clock.
    """

    session: Session
    account: Owner
    at: datetime


# What a presentation leads to.  ``to`` is the row that has to take the place of the one that was judged.


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """The current generation, old enough: it makes the next."""

    to: Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """An honest repetition: the current token is answered again.

    Args:
        to: the row to write, or None where nothing changes.
        why: ``young``, ``grace``, ``attempt`` or ``displaced``; for the audit trail.
        until: after which ``to`` must not be written, but the row judged again; None for no such instant.
    """

    to: Session | None
    why: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Too early to tell a lost reply from a late one."""

    retry_after: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """The reply was lost: the generation that nobody saw is put aside for a new one."""

    to: Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Healed:
    """The store has lost writes: the row moves past the token that proves it."""

    to: Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """The store has lost writes, and healing is off, spent or barred: refused, nothing ends, an alarm is raised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revived:
    """The row stands and a live revocation names it: the store has lost the session's end.  It ends again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reused:
    """Somebody else holds a copy: this session ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """It looks like reuse or a lost reply, but this server kept it waiting: nothing is written.

    Args:
        delayed: for how long, at most.
    """

    delayed: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """There is no session to refresh.

    Args:
        reason: why it is over, or None where there never was one.
    """

    reason: EndReason | None


Decision = Rotated | Retried | Wait | Recovered | Healed | Ahead | Revived | Reused | Late | Refused
