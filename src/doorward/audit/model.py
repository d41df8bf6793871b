"""An event of the audit trail, and the names that events go by.

Events are past tense, ``noun.verbed``.  They are written in the transaction of the change that they tell of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Self

from doorward.addresses import network_of, parse_address

UNKNOWN_NETWORK = "unknown"
"""What requests are counted by whose address is no IP address."""


class Action(StrEnum):
    """What happened."""

    ACCOUNT_CREATED = "account.created"
    ACCOUNT_CHANGED = "account.changed"
    ACCOUNT_DISABLED = "account.disabled"
    ACCOUNT_ENABLED = "account.enabled"
    PASSWORD_CHANGED = "password.changed"  # noqa: S105 -- the name of an event
    PASSWORD_REFUSED = "password.refused"  # noqa: S105 -- the name of an event
    PASSWORD_REHASHED = "password.rehashed"  # noqa: S105 -- the name of an event
    SESSION_STARTED = "session.started"
    SESSION_REFUSED = "session.refused"
    SESSION_ENDED = "session.ended"
    SESSION_MOVED = "session.moved"
    SESSIONS_ENDED = "sessions.ended"
    REFRESH_ROTATED = "refresh.rotated"
    REFRESH_RETRIED = "refresh.retried"
    REFRESH_WAITED = "refresh.waited"
    REFRESH_RECOVERED = "refresh.recovered"
    REFRESH_HEALED = "refresh.healed"
    REFRESH_AHEAD = "refresh.ahead"
    REFRESH_REUSED = "refresh.reused"
    REFRESH_REFUSED = "refresh.refused"
    KEY_CREATED = "key.created"
    KEY_ACTIVATED = "key.activated"
    KEY_RETIRED = "key.retired"
    KEY_REVOKED = "key.revoked"
    CREDENTIAL_REFUSED = "credential.refused"
    STORE_PUT_BACK = "store.put_back"
    VERIFIER_ADDED = "verifier.added"
    VERIFIER_REVOKED = "verifier.revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a request came from: the client's address and what it calls itself, each None where unknown.

    Args:
        ip: the address as the server gives it, kept as ``parse_address`` reads it.  Text that is no IP address, the
            empty text included, is kept as None; all such requests share one ``network``.
        user_agent: as it was sent.
    """

    ip: str | None = None
    user_agent: str | None = None
    network: str | None = field(default=None, init=False, compare=False, repr=False)
    """What attempts are counted by; None where no address was given, as on the command line."""

    def __post_init__(self) -> None:
        if self.ip is None:
            return
        ip, network = _parsed(self.ip)
        object.__setattr__(self, "ip", ip)
        object.__setattr__(self, "network", network)

    @classmethod
    def stored(cls, *, ip: str | None, user_agent: str | None) -> Self:
        """What a store has kept.  It was parsed before, and look-ups are frequent."""
        origin = cls(user_agent=user_agent)
        object.__setattr__(origin, "ip", ip)
        return origin


@lru_cache(maxsize=4_096)
def _parsed(text: str) -> tuple[str | None, str]:
    """An address and its network.  Cached, since clients and proxies come back: parsing takes longer than a look-up."""
    address = parse_address(text)
    return (str(address), network_of(address)) if address is not None else (None, UNKNOWN_NETWORK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """On whose behalf something is done, and from where.

    Args:
        name: an account's id, ``admin-key``, ``command-line``, ``django``, ``housekeeping``, or None before anybody is
            known.
        origin: where the request came from.
    """

    name: str | None = None
    origin: Origin = field(default_factory=Origin)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One line of the trail.

    Args:
        action: what happened.
        actor: who did it, from where.
        account: to which account, or None.
        session: to which session, by its public id, or None.
        detail: what else a reader needs, plain JSON values, nothing secret.
        at: when, UTC by the store's clock; None until it is written.
        id: its place in the trail; None until it is written.
    """

    action: Action
    actor: Actor
    account: str | None = None
    session: str | None = None
    detail: Mapping[str, str | int | bool | None] = field(default_factory=dict)
    at: datetime | None = None
    id: int | None = None
