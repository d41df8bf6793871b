"""Structured logs: one event a line, JSON for machines and colours for a terminal, with credentials masked."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, MutableMapping
from typing import IO, Any, Literal

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import Processor

from doorward.secret import Secret
from doorward.server.redaction import Redaction

LogFormat = Literal["auto", "console", "json"]
EventDict = MutableMapping[str, Any]

_OURS = frozenset({"event", "level", "logger", "timestamp", "exception"})


class _Masking:
    """The processor that everything passes: our events and those of every other library."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction

    def __call__(self, _logger: Any, _method: str, event: EventDict) -> EventDict:
        # uvicorn says every message twice, once with colours.
        event.pop("color_message", None)
        exception = event.pop("exception", None)
        event["event"] = self._redaction.line(str(event.get("event", "")))
        named = {name: value for name, value in event.items() if name not in _OURS}
        event.update(self._redaction.value(named) if named else {})
        if exception is not None:
            event["exception"] = self._redaction.lines(str(exception))
        return event


class _Masked(ProcessorFormatter):
    """Looks at the finished line once more, and never fails on what it was handed."""

    def __init__(self, redaction: Redaction, **options: Any) -> None:
        super().__init__(**options)
        self._redaction = redaction

    def format(self, record: logging.LogRecord) -> str:
        try:
            return self._redaction.unmistakable(super().format(record))
        except Exception as error:  # noqa: BLE001 -- arguments that do not fit their message; the traceback would show both
            return f'{{"event": "a log entry could not be written", "cause": "{type(error).__name__}"}}'


def set_up_logs(
    log_format: LogFormat, *, level: str = "info", known: Iterable[Secret] = (), stream: IO[str] | None = None
) -> None:
    """Send every log of this process through one formatter.

    Args:
        log_format: ``auto`` is ``console`` on a terminal and ``json`` elsewhere.
        level: the least one that is written.
        known: secrets of this deployment, masked wherever they appear.
        stream: where to; standard error if None.
    """
    stream = stream or sys.stderr
    redaction = Redaction(known)
    before: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        _Masked(
            redaction,
            foreign_pre_chain=[*before, structlog.stdlib.ExtraAdder()],
            processors=[
                ProcessorFormatter.remove_processors_meta,
                # To text before masking: no formatter after it may find locals in a traceback.
                structlog.processors.format_exc_info,
                _Masking(redaction),
                _renderer(log_format, stream),
            ],
        )
    )
    structlog.configure(
        processors=[*before, ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Its plugins and dialects are told of at every start.
    logging.getLogger("alembic").setLevel(max(logging.WARNING, root.level))
    logging.raiseExceptions = False
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught


def _renderer(log_format: LogFormat, stream: IO[str]) -> Any:
    is_terminal = stream.isatty()
    if log_format == "json" or (log_format == "auto" and not is_terminal):
        return structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
    # Plain tracebacks: the pretty ones print the local variables of every frame.
    return structlog.dev.ConsoleRenderer(colors=is_terminal, exception_formatter=structlog.dev.plain_traceback)


def _log_uncaught(kind: type[BaseException], error: BaseException, traceback: Any) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("doorward").critical("uncaught", exc_info=(kind, error, traceback))
