"""One line in the log when trouble begins, and one when it is over."""

from __future__ import annotations

import logging
import threading

from doorward.verifier.replica import Topic

_log = logging.getLogger("doorward.verifier")


class Reports:
    """Tells the log of each trouble once, however often it is met."""

    def __init__(self) -> None:
        self._told: dict[Topic, str] = {}
        self._lock = threading.Lock()

    def tell(self, topic: Topic, trouble: str | None) -> None:
        """There is this trouble, or none any more."""
        with self._lock:
            before = self._told.get(topic)
            if trouble is None:
                self._told.pop(topic, None)
            else:
                self._told[topic] = trouble
        if trouble is None and before is not None:
            _log.info("verifier: %s: good again", topic)
        elif trouble is not None and before is None:
            # Another cause of the same trouble is no news: connections fail in many ways while a server restarts.
            _log.warning("verifier: %s: %s", topic, trouble)
