"""Who logs never waits for a stream, lines keep their order, and what is lost is counted."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from doorward.server import log_queue
from doorward.server.log_queue import QueuedHandler


class Gate(io.StringIO):
    """A stream that takes nothing until it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = threading.Event()
        self.reached = threading.Event()

    def write(self, text: str) -> int:
        self.reached.set()
        assert self.opened.wait(60)
        return super().write(text)


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError(text)


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.opened.set()


def record(text: str, level: int = logging.INFO) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": text, "levelno": level, "levelname": logging.getLevelName(level)})


def test_lines_are_written_in_their_order_and_none_is_lost() -> None:
    stream = io.StringIO()
    handler = QueuedHandler(stream)
    for number in range(5_000):
        handler.emit(record(str(number)))
    handler.flush()
    assert stream.getvalue().split() == [str(number) for number in range(5_000)]


def test_a_stream_that_blocks_blocks_nobody_and_what_is_dropped_is_counted(gate: Gate) -> None:
    handler = QueuedHandler(gate, max_lines=10)
    handler.emit(record("first"))
    assert gate.reached.wait(60)
    for number in range(100):
        handler.emit(record(str(number)))
    gate.opened.set()
    handler.flush()
    handler.emit(record("later"))
    handler.flush()
    lines = gate.getvalue().splitlines()
    kept = [str(number) for number in range(9)]
    assert lines == ["first", *kept, "91 log lines were dropped", "later"]


def test_the_end_of_the_process_does_not_wait_for_ever(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_queue, "FLUSH_TIMEOUT", log_queue.FLUSH_TIMEOUT * 0)
    handler = QueuedHandler(gate)
    handler.emit(record("stuck"))
    handler.flush()
    assert gate.getvalue() == ""


def test_a_broken_stream_raises_nothing() -> None:
    handler = QueuedHandler(Broken())
    handler.emit(record("lost"))
    handler.flush()


def test_a_critical_entry_is_written_before_its_caller_goes_on() -> None:
    stream = io.StringIO()
    QueuedHandler(stream).emit(record("the end", logging.CRITICAL))
    assert stream.getvalue() == "the end\n"


@pytest.mark.parametrize("ending", ["", "raise SystemExit(3)", "raise ValueError('uncaught')"])
def test_everything_is_written_before_the_process_ends(ending: str) -> None:
    program = f"""
import logging
from doorward.server.logs import set_up_logs
set_up_logs("json")
for number in range(3000):
    logging.getLogger("doorward").info("line %d", number)
{ending}
"""
    done = subprocess.run((sys.executable, "-c", program), check=False, capture_output=True, text=True)
    assert [f'"line {number}"' in line for number, line in enumerate(done.stderr.splitlines()[:3000])] == [True] * 3000
    assert ("uncaught" in done.stderr) == ("uncaught" in ending)
