"""Structured logs: one event a line, JSON for machines and colours for a terminal, with credentials masked."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from typing import IO, Any, Literal

from doorward.secret import Secret
from doorward.server.log_lines import ConsoleLines, JsonLines
from doorward.server.log_queue import QueuedHandler
from doorward.server.redaction import Redaction

LogFormat = Literal["auto", "console", "json"]


def set_up_logs(
    log_format: LogFormat, *, level: str = "info", known: Iterable[Secret] = (), stream: IO[str] | None = None
) -> None:
    """Send every log of this process through one formatter.

    Args:
        log_format: ``auto`` is ``console`` on a terminal and ``json`` elsewhere.
        level: the least one that is written.
        known: secrets of this deployment, masked wherever they appear.
        stream: where to, at once; None is standard error, written by a thread of its own.
    """
    root = logging.getLogger()
    for former in root.handlers:
        former.flush()
    is_terminal = (stream or sys.stderr).isatty()
    handler = logging.StreamHandler(stream) if stream is not None else QueuedHandler(sys.stderr)
    redaction = Redaction(known)
    handler.setFormatter(
        JsonLines(redaction)
        if log_format == "json" or (log_format == "auto" and not is_terminal)
        else ConsoleLines(redaction, colours=is_terminal)
    )
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Its plugins and dialects are told of at every start.
    logging.getLogger("alembic").setLevel(max(logging.WARNING, root.level))
    logging.raiseExceptions = False
    # No line says them, and finding them out takes as long as a third of a line.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught


def _log_uncaught(kind: type[BaseException], error: BaseException, traceback: Any) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("doorward").critical("uncaught", exc_info=(kind, error, traceback))
