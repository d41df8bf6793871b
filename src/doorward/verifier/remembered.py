"""Tokens that a verifier has verified, so that the same one need not be verified again."""

from __future__ import annotations

import threading
from typing import NamedTuple

from doorward.principal import Principal


class Remembered(NamedTuple):
    """A token that was verified.

    Args:
        since: when it was verified, in seconds since 1970; with a clock before that it is verified anew.
        until: its ``exp``; from then on it is verified anew, with the allowance for clocks that verifying makes.
        session, account, version, token, key: what a revocation may name.
        principal: who that is.
    """

    since: float
    until: float
    session: str
    account: str
    version: int
    token: str
    key: str
    principal: Principal


class RememberedTokens:
    """A bounded memory, by the token's text.

    By its text and not by a hash of it: hashing would be most of what a request costs.  A text has one spelling, since
    others are refused, and it stands for nothing but itself: what revokes it is looked up by ``sid``, ``sub``, ``jti``
    and ``kid``.  Two generations of half the limit each keep what is used, without a list to be kept in order.

    Args:
        limit: how many at most.
    """

    __slots__ = ("_half", "_lock", "old", "young")

    def __init__(self, limit: int) -> None:
        self._half = limit // 2
        self._lock = threading.Lock()
        self.young: dict[str, Remembered] = {}  # looked into without a call: each would take a third of the time
        self.old: dict[str, Remembered] = {}

    def __len__(self) -> int:
        return len(self.young) + len(self.old)

    def keep(self, token: str, found: Remembered, *, among: dict[str, Remembered]) -> None:
        """Remember a token.

        Args:
            token: its text.
            found: what it says.
            among: ``young`` as it was *before* the token was verified: if the keys have changed since then, that is
                not remembered any more, and neither is what was verified with them.
        """
        among[token] = found
        if len(among) >= self._half:
            with self._lock:
                if self.young is among:
                    self.young, self.old = {}, among

    def forget_all(self) -> None:
        """Forget every token: the keys have changed."""
        with self._lock:
            self.young, self.old = {}, {}
