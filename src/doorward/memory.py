"""What was found to be right a moment ago, remembered by the credential's own text."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

Found = TypeVar("Found")


class Memory(Generic[Found]):
    """A bounded memory, by a credential's text (docs/decisions/0008-credentials-in-memory.md).

    By its text and not by a hash of it: hashing would be most of what a request costs.  A text has one spelling, since
    others are refused, and it stands for nothing but itself: what revokes it is looked up by its session, its account
    and its own name at every use, by whoever looks here.  Two generations of half the limit each keep what is used,
    without a list to be kept in order.

    ``young`` is looked into without a call: each would take a third of the time.  ``hits`` and ``misses`` are counted
    by whoever looks.

    Args:
        limit: how many are remembered at most.
    """

    __slots__ = ("_half", "_lock", "_old", "hits", "misses", "young")

    def __init__(self, limit: int) -> None:
        if limit < 2:
            raise ValueError("a memory holds at least two")
        self.hits = 0
        self.misses = 0
        self._half = limit // 2
        self._lock = threading.Lock()
        self.young: dict[str, Found] = {}
        self._old: dict[str, Found] = {}

    def __len__(self) -> int:
        return len(self.young.keys() | self._old.keys())

    def find_among_old(self, text: str) -> Found | None:
        """What ``young`` does not hold; it does from now on."""
        young = self.young
        found = self._old.get(text)
        if found is not None:
            self.keep(text, found, among=young)
        return found

    def keep(self, text: str, found: Found, *, among: dict[str, Found]) -> None:
        """Remember a credential.

        Args:
            text: its text.
            found: what it stands for.
            among: ``young`` as it was *before* it was checked: if everything has been forgotten since then, so is this.
        """
        among[text] = found
        if len(among) >= self._half:
            with self._lock:
                if self.young is among:
                    self.young, self._old = {}, among

    def forget_all(self) -> None:
        """Forget everything: what it was checked by has changed."""
        with self._lock:
            self.young, self._old = {}, {}
