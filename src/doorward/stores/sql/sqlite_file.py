"""Whether the file that was opened is still the one at its path.

A process that holds a SQLite file goes on reading and writing it after it was deleted or replaced; whatever it commits
is lost when it ends, or another process never sees it.
"""

from __future__ import annotations

import logging
from pathlib import Path

from doorward.errors import StoreUnavailable

_log = logging.getLogger(__name__)


class SqliteFile:
    """A file, told apart from any other by device and inode.

    Args:
        path: where it lies.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened: tuple[int, int] | None = None
        self.is_lost = False

    def note(self) -> None:
        """Remember the file that is there; call it once everything that may replace it is done."""
        self._opened = self._there()
        self.is_lost = False

    def check(self) -> None:
        """Compare what is there with what was opened.  Raises StoreUnavailable where it is another file, or none."""
        was_lost = self.is_lost
        there = self._there()
        self.is_lost = self._opened is not None and there != self._opened
        if self.is_lost and not was_lost:
            what = "has been deleted" if there is None else "has been replaced by another file"
            _log.critical(
                "%s %s while the server had it open. Nothing that is written now would be kept, so requests are"
                " answered 503. Put the file back (stop every server, restore %s and what is beside it, start again),"
                " or restart to use what is there now.",
                self.path,
                what,
                self.path.name,
            )
        self.refuse_if_lost()

    def refuse_if_lost(self) -> None:
        """As of the last check.  Raises StoreUnavailable."""
        if self.is_lost:
            raise StoreUnavailable(detail=f"{self.path} is no longer the file that was opened: restart the server")

    def _there(self) -> tuple[int, int] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino
