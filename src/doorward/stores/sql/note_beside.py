"""A note beside the file of a SQLite database: how far the database had come when it was last used.

A backup that is put in the file's place while no server runs brings the database's name along, and nothing in it says
that it is older than what was there.  The note does, as long as it isn't put back with the file.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

SUFFIX = "-progress"
"""What is added to the name of the database's file."""


class Note(msgspec.Struct, frozen=True):
    """What is noted.

    Args:
        identity: of the database.
        newest: the number of the newest audit event.
    """

    identity: str
    newest: int


@dataclass(frozen=True, slots=True)
class NoteBeside:
    """The note beside one file.

    Args:
        database: the file.
    """

    database: Path

    def read(self) -> Note | None:
        """What was noted; None where nothing was, or nothing that can be read."""
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=Note)
        except (OSError, msgspec.MsgspecError):
            # It is a hint: without it the database is opened as ever.
            return None

    def write(self, note: Note) -> None:
        """Note how far the database is.  Raises OSError."""
        new = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        new.touch(mode=0o600)
        new.write_bytes(msgspec.json.encode(note))
        new.replace(self._file)

    @property
    def _file(self) -> Path:
        return self.database.with_name(self.database.name + SUFFIX)


def has_gone_back(noted: Note | None, found: Note) -> bool:
    """Decide whether a database is an earlier state of what was there when the note was written."""
    return noted is not None and noted.identity == found.identity and noted.newest > found.newest
