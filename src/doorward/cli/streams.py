"""Standard streams that are closed, full, or read by somebody who has had enough."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any, TextIO


def open_missing_streams() -> None:
    """Open the null device in the place of standard streams that are closed.

    Otherwise the next file that is opened, such as the database, gets the number of one of them, and is written to by
    whatever writes there.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free, which is this one.  Workers inherit it.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 -- for good


class Output:
    """A standard stream that goes on taking text once it cannot be written to, and remembers why.

    Args:
        stream: the stream.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.failed: OSError | None = None
        self.is_result = True
        """Whether what is written is what the command is for: a server serves on without its banner."""

    def write(self, text: str) -> int:
        """Write, or drop the text."""
        if self.failed is None:
            try:
                return self._stream.write(text)
            except OSError as error:
                self._fail(error)
        return len(text)

    def flush(self) -> None:
        """Write what is buffered, or drop it."""
        if self.failed is None:
            try:
                self._stream.flush()
            except OSError as error:
                self._fail(error)

    def _fail(self, error: OSError) -> None:
        self.failed = error
        # What is still buffered would fail once more when Python ends.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def is_no_result() -> None:
    """Say that the command does its work whether or not its output can be written."""
    if isinstance(sys.stdout, Output):
        sys.stdout.is_result = False
