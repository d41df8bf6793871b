"""One event a line, in the form that its reader wants, whoever logs it."""

from __future__ import annotations

import io
import json
import logging
import sys
import warnings
from typing import Any

import pytest

from doorward.server.logs import LogFormat, set_up_logs

pytestmark = pytest.mark.usefixtures("logging_put_back")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def entries(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def set_up(log_format: LogFormat = "auto", *, level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    set_up_logs(log_format, level=level, stream=stream)
    return stream


def test_a_machine_reads_json() -> None:
    stream = set_up()
    logging.getLogger("doorward.server").info("request", extra={"operation": "sign_in", "status": 201})
    (entry,) = entries(stream)
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {
        "event": "request", "level": "info", "logger": "doorward.server", "operation": "sign_in", "status": 201,
    }  # fmt: skip


def test_a_terminal_shows_lines_with_colours() -> None:
    terminal = Terminal()
    set_up_logs("auto", stream=terminal)
    logging.getLogger("doorward").warning("a warning")
    assert "\x1b[" in terminal.getvalue()
    assert "a warning" in terminal.getvalue()


def test_a_file_shows_lines_without_colours_where_that_is_asked_for() -> None:
    stream = set_up("console")
    logging.getLogger("doorward").warning("a warning")
    assert "\x1b" not in stream.getvalue()
    assert "warning" in stream.getvalue()


def test_what_others_log_goes_the_same_way() -> None:
    stream = set_up()
    logging.getLogger("uvicorn.error").info("Started %d", 7, extra={"color_message": "Started \x1b[36m%d"})
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("a token dws_AAAAAAAAAAAAAAAA was seen", stacklevel=1)
    started, warned = entries(stream)
    assert (started["event"], started["logger"]) == ("Started 7", "uvicorn.error")
    assert "color_message" not in started
    assert warned["logger"] == "py.warnings"
    assert "dws_" not in warned["event"]


def test_an_error_that_nobody_caught_is_logged_masked() -> None:
    stream = set_up()
    error = ValueError("cannot use dws_AAAAAAAAAAAAAAAA")
    sys.excepthook(ValueError, error, None)
    (entry,) = entries(stream)
    assert entry["level"] == "critical"
    assert "dws_" not in stream.getvalue()


def test_local_variables_of_a_traceback_are_not_printed() -> None:
    stream = set_up("console")

    def fail() -> None:
        local = "-".join(word for word in ("seen", "nowhere"))
        raise ValueError(len(local))

    try:
        fail()
    except ValueError:
        logging.getLogger("doorward").exception("failed")
    assert "seen-nowhere" not in stream.getvalue()
    assert "Traceback" in stream.getvalue()


def test_what_is_below_the_level_is_not_written() -> None:
    stream = set_up(level="warning")
    logging.getLogger("doorward").info("unseen")
    assert stream.getvalue() == ""


def test_arguments_that_do_not_fit_are_no_error() -> None:
    stream = set_up()
    logging.getLogger("doorward").info("%d of %s", "one")  # noqa: PLE1206 -- meant
    assert entries(stream)
