"""The text of a log entry, made in one pass: JSON for machines, words for a person; credentials are masked."""

from __future__ import annotations

import logging
import traceback
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import msgspec

from doorward.server.redaction import Redaction

_OF_EVERY_RECORD = len(vars(logging.makeLogRecord({})))
_STANDARD = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "color_message"})
"""What is no field of the entry; uvicorn adds each message once more, with colours."""

_COLOURS = {"debug": "36", "info": "32", "warning": "33", "error": "31", "critical": "1;31"}
_encode = msgspec.json.Encoder().encode


class _Lines(logging.Formatter):
    """One entry, masked where its values still have names, and once more as a whole.

    Args:
        redaction: masks.
    """

    def __init__(self, redaction: Redaction) -> None:
        super().__init__()
        self._redaction = redaction

    def format(self, record: logging.LogRecord) -> str:
        try:
            return self._redaction.unmistakable(self._line(record))
        except Exception as error:  # noqa: BLE001 -- arguments that do not fit their message; the traceback would show both
            return f'{{"event": "a log entry could not be written", "cause": "{type(error).__name__}"}}'

    def _line(self, record: logging.LogRecord) -> str:
        raise NotImplementedError

    def _fields(self, record: logging.LogRecord) -> dict[str, Any]:
        # A record gets its fields after what every record has.
        added = islice(vars(record).items(), _OF_EVERY_RECORD, None)
        return self._redaction.mapping({name: value for name, value in added if name not in _STANDARD})

    def _event(self, record: logging.LogRecord) -> str:
        return self._redaction.line(record.getMessage())

    def _traceback(self, record: logging.LogRecord) -> str | None:
        # To text before masking.  The plain form: it shows code, and no local variable.
        if not record.exc_info or record.exc_info[0] is None:
            return None
        return self._redaction.lines("".join(traceback.format_exception(*record.exc_info)).rstrip())


class JsonLines(_Lines):
    """An object a line: ``event``, ``level``, ``logger``, ``timestamp``, what the entry names, ``exception``."""

    def _line(self, record: logging.LogRecord) -> str:
        entry = self._fields(record)
        entry["event"] = self._event(record)
        entry["level"], entry["logger"], entry["timestamp"] = record.levelname.lower(), record.name, _time(record)
        exception = self._traceback(record)
        if exception is not None:
            entry["exception"] = exception
        return _encode(entry).decode()


class ConsoleLines(_Lines):
    """Time, level, event, and what the entry names, for a person.

    Args:
        redaction: masks.
        colours: whether a terminal shows it.
    """

    def __init__(self, redaction: Redaction, *, colours: bool) -> None:
        super().__init__(redaction)
        self._colours = colours

    def _line(self, record: logging.LogRecord) -> str:
        level = record.levelname.lower()
        named = (f"{self._paint('36', name)}={value}" for name, value in self._fields(record).items())
        words = (_time(record), f"[{self._paint(_COLOURS.get(level, '0'), level):8}]", self._event(record), *named)
        exception = self._traceback(record)
        return "\n".join([" ".join(words), *([exception] if exception is not None else [])])

    def _paint(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colours else text


def _time(record: logging.LogRecord) -> str:
    """RFC 3339 in UTC, to the microsecond."""
    return datetime.fromtimestamp(record.created, UTC).isoformat()[:-6] + "Z"
