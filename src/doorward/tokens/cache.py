"""Tokens that were verified, remembered so that the same one need not be checked again.  Revocation still is."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from typing import NamedTuple

from doorward.tokens.access import AccessClaims


class _Remembered(NamedTuple):
    claims: AccessClaims
    verified_at: float
    dies_at: float


class VerifiedTokens:
    """A bounded memory of verified tokens, by their SHA-256: a dump of it holds no credential.

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
        self._young: dict[bytes, _Remembered] = {}
        self._old: dict[bytes, _Remembered] = {}

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())

    def emptied(self) -> VerifiedTokens:
        """A new memory to go on with, which goes on counting."""
        memory = VerifiedTokens(2 * self._half)
        memory.hits, memory.misses = self.hits, self.misses
        return memory

    def get(self, token: str, *, now: datetime) -> AccessClaims | None:
        """The claims of a token that was verified before, or None: verify it."""
        name = _name(token)
        found = self._young.get(name) or self._old.get(name)
        if found is None or not found.verified_at <= now.timestamp() < found.dies_at:
            self.misses += 1
            return None
        if name not in self._young:
            self._keep(name, found)
        self.hits += 1
        return found.claims

    def put(self, token: str, claims: AccessClaims, *, now: datetime) -> None:
        """Remember a token that was verified at ``now``."""
        self._keep(_name(token), _Remembered(claims, now.timestamp(), claims.exp))

    def _keep(self, name: bytes, found: _Remembered) -> None:
        if len(self._young) >= self._half:
            self._young, self._old = {}, self._young
        self._young[name] = found


def _name(token: str) -> bytes:
    # A token may be anything at all before it is verified, lone surrogates included.
    return sha256(token.encode(errors="surrogatepass")).digest()
