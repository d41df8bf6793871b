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
        self._opened: dict[Path, tuple[int, int] | None] = {}
        self.is_lost = False

    def note(self, *, log: bool = False) -> None:
        """Remember the file that is there; call it once everything that may replace it is done.

        Args:
            log: the write-ahead log as well, which stays the same file as long as a connection to it is open.
        """
        paths = [self.path, *([Path(f"{self.path}-wal")] if log else [])]
        self._opened = {path: _identity_of(path) for path in paths}
        self.is_lost = False

    def check(self) -> None:
        """Compare what is there with what was opened.  Raises StoreUnavailable where it is another file, or none."""
        was_lost = self.is_lost
        other = next((path for path, known in self._opened.items() if _identity_of(path) != known), None)
        self.is_lost = other is not None
        if other is not None and not was_lost:
            what = "has been replaced by another file" if other.exists() else "has been deleted"
            _log.critical(
                "%s %s while the server had it open. Nothing that is written now would be kept, so requests are"
                " answered 503. Put the file back (stop every server, restore %s and what is beside it, start again),"
                " or restart to use what is there now.",
                other,
                what,
                self.path.name,
            )
        self.refuse_if_lost()

    def refuse_if_lost(self) -> None:
        """As of the last check.  Raises StoreUnavailable."""
        if self.is_lost:
            raise StoreUnavailable(detail=f"{self.path} is no longer the file that was opened: restart the server")


def _identity_of(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
