"""A clock that processes share and a test moves: how far it is ahead is in eight bytes of a file."""

from __future__ import annotations

import mmap
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

from doorward.revocation.freshness import boot_seconds

_AHEAD = struct.Struct("<d")


class SharedClock:
    """This machine's time, and as much more as the file says.

    Args:
        path: made where there is none.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(_AHEAD.pack(0.0))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _AHEAD.size)

    @property
    def ahead(self) -> float:
        """Seconds."""
        seconds: float = _AHEAD.unpack(self._memory[: _AHEAD.size])[0]
        return seconds

    def __call__(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.ahead)

    def ticks(self) -> float:
        """The clock that nobody steps, for everything that it measures as far ahead as the other."""
        return boot_seconds() + self.ahead

    def move(self, by: timedelta) -> None:
        """Let time pass, in all processes."""
        self._memory[: _AHEAD.size] = _AHEAD.pack(self.ahead + by.total_seconds())
