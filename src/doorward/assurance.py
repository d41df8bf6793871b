"""What a route demands of whoever calls it, the same in every framework, and whether that is given."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

from doorward.errors import InsufficientAuthentication, NotPermitted
from doorward.principal import Principal

Demand = Literal["policy", "immediate"]
"""What a route demands of revocations: what is configured, or that they be known as they are now.

Under ``policy`` an access token is as good as what this process last read of revocations, however long ago.  Under
``immediate`` that is at most ``max_staleness`` ago, or the store is asked; where neither can be, nobody is let through.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """What a route demands.

    Args:
        roles: all of which the account must have.
        scopes: all of which the credential must allow.
        fresh: how long ago the subject may have proved itself at most, by password or otherwise; None for any time.
        revocation: ``immediate`` where the route must not act on stale knowledge of who has signed out.

    Raises:
        ValueError: where the route is declared, and not where it is called.
    """

    roles: Collection[str] = ()
    scopes: Collection[str] = ()
    fresh: timedelta | None = None
    revocation: Demand = "policy"

    def __post_init__(self) -> None:
        # A string is a collection of strings too: "admin" would demand the roles a, d, m, i and n.
        if isinstance(self.roles, str) or isinstance(self.scopes, str):
            raise ValueError("roles and scopes are collections, such as {'admin'}")  # noqa: TRY004 -- as all that is refused here
        if self.fresh is not None and not isinstance(self.fresh, timedelta):
            raise ValueError("fresh is a timedelta, such as timedelta(minutes=5)")
        if self.fresh is not None and self.fresh < timedelta(seconds=1):
            raise ValueError("fresh is a second or more")
        if self.revocation not in get_args(Demand):
            raise ValueError("revocation is policy or immediate")


def decide_assurance(
    principal: Principal, demands: Demands, *, now: datetime
) -> NotPermitted | InsufficientAuthentication | None:
    """Decide whether a principal may do what demands this; None if so, else what to raise.

    Who lacks a role or a scope is told that first: proving itself anew would not help.

    Args:
        principal: who calls.
        demands: what the route demands; of revocations others have judged.
        now: the instant of the request, UTC.

    RFC 9470 section 3; OpenID Connect Core section 3.1.2.1 (``max_age``).
    """
    if demands.roles and not principal.allows(roles=demands.roles):
        return NotPermitted()
    if demands.scopes and not principal.allows(scopes=demands.scopes):
        return NotPermitted(scopes=demands.scopes)
    if demands.fresh is not None and now - principal.authenticated_at > demands.fresh:
        return InsufficientAuthentication(demands.fresh)
    return None
