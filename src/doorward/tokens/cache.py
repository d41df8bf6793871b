"""Tokens that were verified, remembered so that the same one need not be checked again.  Revocation still is."""

from __future__ import annotations

from typing import NamedTuple

from doorward.principal import Principal
from doorward.tokens.access import AccessClaims


class RememberedToken(NamedTuple):
    """A token that was verified.

    Between the instant at which a token was verified and its ``exp``, time alone cannot change the answer; outside, it
    is verified anew, with the allowance for clocks that verifying makes.  A change of keys can change it: then all are
    forgotten.

    Args:
        since, until: those instants, in seconds since 1970.
        session, account, version, token: what a revocation may name.
        generation: of the session, by which its arrival is acknowledged, or None.
        principal: who that is.
        claims: all that it says.
    """

    since: float
    until: float
    session: str
    account: str
    version: int
    token: str
    generation: int | None
    principal: Principal
    claims: AccessClaims
