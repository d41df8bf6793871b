"""One connection to a Memcached server, on which commands follow each other without waiting for answers.

What is asked in one turn of the event loop travels together, and answers come in the order of the questions.  An answer
that does not belong to the oldest question, or that comes too late, ends the connection: from there on none could be
believed.  Whatever waits on it is answered with None.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar, cast

ANSWER_TIMEOUT = timedelta(milliseconds=100)

MOST_WAITING = 1_000
"""How many questions one connection takes at once."""

MOST_BYTES = 8 * 1024
"""How large a value may be."""

_LONGEST_LINE = 512

T = TypeVar("T")

# What is said


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a server holds under a name.

    Args:
        value: what stands there, or None where nothing does.
        unique: tells this value from any that was put there before or will be; empty where nothing stands.
    """

    value: bytes | None = None
    unique: bytes = b""


class Doubt(Exception):
    """What has arrived is not the answer to the oldest question; from here on no answer is to be believed."""


Reader = Callable[[bytearray, int], tuple[T, int] | None]
"""Reads an answer that begins at a position: what it says and where it ends, or None while it is not complete."""

_NOTHING = Place()
_AFTER_VALUE = b"\r\nEND\r\n"
_STORED = {b"STORED": True, b"NOT_STORED": False, b"EXISTS": False, b"NOT_FOUND": False}


def read_place(buffer: bytearray, start: int, *, name: bytes) -> tuple[Place, int] | None:
    """The answer to ``gets``.  Raises Doubt."""
    line, after = _line(buffer, start)
    if line is None:
        return None
    if line == b"END":
        return _NOTHING, after
    words = line.split(b" ")
    if len(words) != 5 or words[:2] != [b"VALUE", name] or not (words[3].isdigit() and words[4].isdigit()):
        raise Doubt("no answer to what was asked")
    # As many digits as bytes are taken, before they are counted.
    if len(words[3]) > len(str(MOST_BYTES)) or int(words[3]) > MOST_BYTES:
        raise Doubt("a value larger than any of ours")
    end = after + int(words[3])
    rest = bytes(buffer[end : end + len(_AFTER_VALUE)])
    if rest == _AFTER_VALUE:
        return Place(value=bytes(buffer[after:end]), unique=words[4]), end + len(_AFTER_VALUE)
    if not _AFTER_VALUE.startswith(rest):
        raise Doubt("a value that does not end where it should")
    return None


def read_stored(buffer: bytearray, start: int) -> tuple[bool, int] | None:
    """The answer to ``set``, ``add`` and ``cas``: whether it took.  Raises Doubt."""
    line, after = _line(buffer, start)
    if line is None:
        return None
    if line.startswith(b"SERVER_ERROR "):
        # Out of memory, for one: a whole answer, after which the next one follows.
        return False, after
    if line not in _STORED:
        raise Doubt("no answer to what was asked")
    return _STORED[line], after


def read_version(buffer: bytearray, start: int) -> tuple[bytes, int] | None:
    """The answer to ``version``.  Raises Doubt."""
    line, after = _line(buffer, start)
    if line is None:
        return None
    if not line.startswith(b"VERSION "):
        raise Doubt("no Memcached answers there")
    return line, after


def _line(buffer: bytearray, start: int) -> tuple[bytes | None, int]:
    end = buffer.find(b"\r\n", start)
    if (end if end >= 0 else len(buffer)) - start > _LONGEST_LINE:
        raise Doubt("a line without an end")
    return (None, start) if end < 0 else (bytes(buffer[start:end]), end + 2)


# The connection


@dataclass(slots=True)
class _Question(Generic[T]):
    """What was asked, and by when it has to be answered (the loop's time)."""

    answer: asyncio.Future[T | None]
    read: Reader[T]
    deadline: float


class Connection(asyncio.Protocol):
    """One connection.

    Args:
        loop: the running one.
        lost: told once, with the cause, that the connection is not to be used any more.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, lost: Callable[[Connection, str], None]) -> None:
        self._loop = loop
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._outgoing: list[bytes] = []
        self._incoming = bytearray()
        self._waiting: deque[_Question[Any]] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._over = False

    def ask(self, command: bytes, read: Reader[T]) -> asyncio.Future[T | None]:
        """Send a command; what comes of it is None where it is not answered in time.  Nobody has to wait for it."""
        answer: asyncio.Future[T | None] = self._loop.create_future()
        if self._over or len(self._waiting) >= MOST_WAITING:
            answer.set_result(None)
            return answer
        question = _Question(answer, read, self._loop.time() + ANSWER_TIMEOUT.total_seconds())
        self._waiting.append(question)
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append(command)
        if self._watch is None:
            self._watch = self._loop.call_at(question.deadline, self._look_at_the_clock)
        return answer

    def give_up(self, cause: str) -> None:
        """End the connection; whatever waits is answered with None."""
        if self._over:
            return
        self._over = True
        if self._transport is not None:
            self._transport.abort()
        if self._watch is not None:
            self._watch.cancel()
        for question in self._waiting:
            _tell(question, None)
        self._waiting.clear()
        self._lost(self, cause)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast("asyncio.Transport", transport)
        if self._over:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self.give_up(str(exc) if exc is not None else "it closed the connection")

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        self._incoming += data
        try:
            self._take_answers()
        except Doubt as doubt:
            self.give_up(str(doubt))

    def _take_answers(self) -> None:
        at = 0
        while self._waiting and (read := self._waiting[0].read(self._incoming, at)) is not None:
            said, at = read
            _tell(self._waiting.popleft(), said)
        if not self._waiting and at < len(self._incoming):
            raise Doubt("an answer that nobody asked for")
        del self._incoming[:at]

    def _flush(self) -> None:
        sent = b"".join(self._outgoing)
        self._outgoing.clear()
        # A transport that is closing is about to report the loss; uvloop's raises where it is written to.
        if self._transport is not None and not self._over and not self._transport.is_closing():
            self._transport.write(sent)

    def _look_at_the_clock(self) -> None:
        """One timer for all questions: if the oldest is in time, so are the others."""
        self._watch = None
        if not self._waiting:
            return
        if self._waiting[0].deadline <= self._loop.time():
            self.give_up(f"no answer within {ANSWER_TIMEOUT.total_seconds():g} s")
        else:
            self._watch = self._loop.call_at(self._waiting[0].deadline, self._look_at_the_clock)


def _tell(question: _Question[T], said: T | None) -> None:
    # Whoever asked may have gone away; the answer was taken in its turn all the same.
    if not question.answer.done():
        question.answer.set_result(said)
