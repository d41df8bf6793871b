"""Prometheus metrics: each operation counted and timed, the process, and the size of the live set.

A label is an operation of the table or a status: never anything that came with a request, so that neither a credential
nor a foreign name ends up in a metric and the number of series is bounded.

Where several workers serve one port, the numbers of all are added up: each writes its own to files in a folder that
``serve`` makes, and whichever worker is asked adds them (prometheus_client's multiprocess mode).
"""

from __future__ import annotations

import os
from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from doorward.ports import Removed

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that prometheus_client looks for when it is imported."""

MOST_OPERATIONS = 100
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """What one server counts.

    Args:
        live: how many revocations are live, asked when the metrics are read.
    """

    def __init__(self, live: Callable[[], int] = lambda: 0) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each of ours
        registry = CollectorRegistry()
        self._registry = registry
        self._live = live
        self._known: set[str] = set()
        self._operations = Counter(
            "doorward_operations", "Operations answered.", ("operation", "status"), registry=registry
        )
        self._seconds = Histogram(
            "doorward_operation_seconds",
            "How long operations took.",
            ("operation",),
            buckets=_BUCKETS,
            registry=registry,
        )
        self._removed = Counter(
            "doorward_removed_rows", "Rows that housekeeping removed.", ("kind",), registry=registry
        )
        self._revocations = Gauge(
            "doorward_live_revocations",
            "Revocations that every request is checked against.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)

    def observe(self, operation: str, status: int, seconds: float) -> None:
        """Count one answered operation."""
        name = self._bounded(operation)
        self._operations.labels(name, str(status) if 100 <= status <= 599 else "other").inc()
        self._seconds.labels(name).observe(seconds)

    def removed(self, batch: Removed) -> None:
        """Count one batch of housekeeping."""
        for kind in ("sessions", "revocations", "audit_events", "keys"):
            self._removed.labels(kind).inc(getattr(batch, kind))

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        self._revocations.set(self._live())
        if SHARED_FOLDER not in os.environ:
            return generate_latest(self._registry)
        everybody = CollectorRegistry()
        MultiProcessCollector(everybody)  # type: ignore[no-untyped-call]  # prometheus_client types it in part
        return generate_latest(everybody)

    def _bounded(self, operation: str) -> str:
        """The operation's name.  The table has few; whoever hands over a path by mistake does not fill the memory."""
        if operation not in self._known:
            if len(self._known) >= MOST_OPERATIONS:
                return "other"
            self._known.add(operation)
        return operation
