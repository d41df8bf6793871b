"""Tokens that were verified, remembered so that the same one need not be checked again.  Revocation still is."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from doorward.principal import Principal
from doorward.tokens.access import AccessClaims, principal_of


class Remembered(NamedTuple):
    """A token that was verified.

    Args:
        claims: what it says.
        principal: who that is.
        verified_at: with a clock before that, or past the principal's ``expires_at``, it is verified anew.
    """

    claims: AccessClaims
    principal: Principal
    verified_at: datetime


class VerifiedTokens:
    """A bounded memory of verified tokens, by their text (docs/decisions/0008-credentials-in-memory.md).

    Between the instant at which a token was verified and its ``exp``, time alone cannot change the answer; outside,
    the memory gives nothing and the token is verified anew, with the allowance for clocks that verifying makes.  A
    change of keys can change it: begin with a new memory then.  Two generations of half the limit each keep what is
    used, without a list to be kept in order.

    Args:
        limit: how many tokens are remembered at most.
    """

    __slots__ = ("_half", "_old", "_young", "hits", "misses")

    def __init__(self, limit: int) -> None:
        if limit < 2:
            raise ValueError("a memory of verified tokens holds at least two")
        self.hits = 0
        self.misses = 0
        self._half = limit // 2
        self._young: dict[str, Remembered] = {}
        self._old: dict[str, Remembered] = {}

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())

    def emptied(self) -> VerifiedTokens:
        """A new memory to go on with, which goes on counting."""
        memory = VerifiedTokens(2 * self._half)
        memory.hits, memory.misses = self.hits, self.misses
        return memory

    def get(self, token: str, *, now: datetime) -> Remembered | None:
        """What a token says that was verified before, or None: verify it."""
        found = self.recall(token, now=now)
        if found is None:
            self.misses += 1
        return found

    def recall(self, token: str, *, now: datetime) -> Remembered | None:
        """The same for whoever goes on to ``get`` it where this gives nothing: a miss is counted there."""
        found = self._young.get(token)
        if found is None:
            found = self._old.get(token)
            if found is None:
                return None
            self._keep(token, found)
        if not found.verified_at <= now < found.principal.expires_at:
            return None
        self.hits += 1
        return found

    def put(self, token: str, claims: AccessClaims, *, now: datetime) -> Remembered:
        """Remember a token that was verified at ``now``."""
        found = Remembered(claims, principal_of(claims), now)
        self._keep(token, found)
        return found

    def _keep(self, token: str, found: Remembered) -> None:
        if len(self._young) >= self._half:
            self._young, self._old = {}, self._young
        self._young[token] = found
