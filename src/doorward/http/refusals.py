"""What is logged of a request that was refused: to whoever looks for it, or to the operator where it is his to mend."""

from __future__ import annotations

import logging
import math
from datetime import timedelta
from time import perf_counter

from doorward.errors import DatabaseUnusable, DoorwardError, TooEarly, Unavailable

SAID_EVERY = timedelta(seconds=1)
"""How often the same thing is said of the store: every request fails while it is away."""
_MOST_CHARACTERS = 500


class RefusalLog:
    """Logs refusals, and the same trouble not more often than anybody can read.

    Args:
        log: where to.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._said: dict[str, float] = {}

    def say(self, name: str, error: DoorwardError) -> None:
        """Log why a call of that name was refused."""
        level = _level_of(error)
        if level > logging.DEBUG:
            now = perf_counter()
            if now - self._said.get(error.code, -math.inf) >= SAID_EVERY.total_seconds():
                self._said[error.code] = now
            else:
                level = logging.DEBUG
        if error.detail or level > logging.DEBUG:
            detail = " ".join((error.detail or error.public)[:_MOST_CHARACTERS].split())
            self._log.log(level, "%s refused: %s: %s", name, error.code, detail)


def _level_of(error: DoorwardError) -> int:
    if isinstance(error, DatabaseUnusable):
        return logging.ERROR
    # Too early is a client's haste, and the protocol's answer to it.
    if isinstance(error, Unavailable) and not isinstance(error, TooEarly):
        return logging.WARNING
    return logging.DEBUG
