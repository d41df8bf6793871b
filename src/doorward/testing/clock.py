"""Time that moves when it is told to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
"""When everything begins that is not told otherwise."""


class FakeClock:
    """A clock that stands still between calls of ``move``.

    Args:
        at: what it shows at first, aware and in UTC.
    """

    def __init__(self, at: datetime = NOON) -> None:
        self._now = at
        self._ticks = 1_000.0

    def __call__(self) -> datetime:
        return self._now

    def ticks(self) -> float:
        """The clock that nobody steps and that does not go back, in seconds (``Doorward(ticks=…)``)."""
        return self._ticks

    def step(self, by: timedelta) -> None:
        """Set the clock forward or back, while no time passes."""
        self._now += by

    def move(self, by: timedelta) -> None:
        """Let time pass; a negative duration sets the clock back."""
        self._now += by
        self._ticks += max(by.total_seconds(), 0.0)
