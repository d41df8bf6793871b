"""What time it is, by this machine's clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


def system_clock() -> datetime:
    """This machine's time."""
    return datetime.now(UTC)


def seconds_of(clock: Callable[[], datetime] | None) -> Callable[[], float]:
    """What a clock shows in seconds since 1970, or what this machine's does: in a fifth of the time."""
    return time.time if clock is None else lambda: clock().timestamp()


def clock_of_ticks(ticks: Callable[[], float]) -> Callable[[], datetime]:
    """A clock for what only measures durations: nobody sets it, so a step of the machine's clock changes nothing."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return lambda: epoch + timedelta(seconds=ticks())
