"""How old what is known of revocations is (docs/concepts/revocation.md)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

Ticks = Callable[[], float]
"""Seconds by a clock that nobody steps and that goes on while the machine sleeps; its zero means nothing."""


_BOOT_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_seconds() -> float:
    """This machine's such clock."""
    return time.clock_gettime(_BOOT_CLOCK)


@dataclass(slots=True)
class Freshness:
    """As of when everything that had committed is known.

    What is read is as old as the moment at which it was *asked for*: an answer that a slow way delays is older than it
    looks.  No clock is compared with another machine's.
    """

    known_as_of: float | None = None

    def note(self, *, asked_at: float, lag: timedelta = timedelta(0)) -> None:
        """A complete read has arrived.

        Args:
            asked_at: this machine's ticks when it was asked for.
            lag: how old the answer already was where it was given: its clock's time minus its ``as_of``.
        """
        known = asked_at - max(lag.total_seconds(), 0.0)
        if self.known_as_of is None or known > self.known_as_of:
            self.known_as_of = known

    def staleness(self, *, now: float) -> timedelta | None:
        """How old what is known is; None while nothing is (cold)."""
        return None if self.known_as_of is None else timedelta(seconds=max(now - self.known_as_of, 0.0))

    def is_fresh(self, *, now: float, max_staleness: timedelta) -> bool:
        """Decide whether what is known may be relied on.  Cold never counts as fresh.

        Args:
            now: this machine's ticks.
            max_staleness: how old it may be.
        """
        known = self.known_as_of
        return known is not None and now - known <= max_staleness.total_seconds()
