"""Warnings that would come with every request, logged once a minute."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta

LOGGED_EVERY = timedelta(minutes=1)


class Seldom:
    """Logs a warning, and not the same one again for a minute.

    Threads may share it: at worst a warning is logged twice.

    Args:
        log: where to.
        ticks: seconds by a clock that nobody steps.
    """

    def __init__(self, log: logging.Logger, *, ticks: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._ticks = ticks
        self._logged: dict[str, tuple[float, int]] = {}

    def warning(self, message: str, *arguments: object) -> None:
        """Log a warning of this wording, with how many were left out since the last one."""
        now = self._ticks()
        at, left_out = self._logged.get(message, (float("-inf"), 0))
        if now - at < LOGGED_EVERY.total_seconds():
            self._logged[message] = at, left_out + 1
            return
        self._logged[message] = now, 0
        since = f" ({left_out} more in the last {now - at:.0f} s)" if left_out else ""
        self._log.warning(message + since.replace("%", "%%"), *arguments)
