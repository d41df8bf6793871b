"""Log lines are written by a thread of their own: who logs never waits for a disk or for the reader of a pipe."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from datetime import timedelta
from typing import TextIO

MAX_LINES = 10_000
"""How many lines wait.  What comes then is dropped; how many were is logged when there is room again."""

FLUSH_TIMEOUT = timedelta(seconds=2)
"""For how long the end of the process waits for a stream that takes nothing."""


class QueuedHandler(logging.Handler):
    """Writes lines in the order of their entries, and never blocks who logs.

    A stream that is full, closed or broken loses lines and raises nothing: there is nowhere to report that but the
    next line that can be written.  An entry of the level ``critical`` and the end of the process wait until all lines
    are written.

    Args:
        stream: where the lines go.
        max_lines: how many wait.
    """

    def __init__(self, stream: TextIO, *, max_lines: int = MAX_LINES) -> None:
        super().__init__()
        self._stream = stream
        self._max_lines = max_lines
        self._lines: deque[str] = deque()
        self._dropped = 0
        self._has_lines = threading.Event()
        self._written = threading.Condition()
        self._thread: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Queue an entry."""
        if len(self._lines) >= self._max_lines:
            self._dropped += 1
            return
        self._lines.append(self.format(record))
        if self._thread is None:
            # With the first line: a thread does not survive a fork that came before.
            self._thread = threading.Thread(target=self._write_until_the_end, name="doorward: log", daemon=True)
            self._thread.start()
        if not self._has_lines.is_set():
            self._has_lines.set()
        if record.levelno >= logging.CRITICAL:
            self.flush()

    def flush(self) -> None:
        """Wait until everything has been written, or for ``FLUSH_TIMEOUT``.  ``logging`` calls it at the end."""
        with self._written:
            self._written.wait_for(lambda: not self._lines, FLUSH_TIMEOUT.total_seconds())

    def _write_until_the_end(self) -> None:
        while self._has_lines.wait():
            self._has_lines.clear()
            self._write_all()

    def _write_all(self) -> None:
        while self._lines:
            lines = list(self._lines)
            text = "".join(f"{line}\n" for line in lines)
            # ValueError: the stream has been closed.
            with contextlib.suppress(OSError, ValueError):
                self._stream.write(text)
                self._stream.flush()
            with self._written:
                for _ in lines:
                    self._lines.popleft()
                self._written.notify_all()
            self._report_dropped()

    def _report_dropped(self) -> None:
        dropped, self._dropped = self._dropped, 0
        if dropped:
            level = {"levelno": logging.WARNING, "levelname": "WARNING"}
            entry = {"name": __name__, "msg": "%d log lines were dropped", "args": (dropped,), **level}
            self._lines.append(self.format(logging.makeLogRecord(entry)))
