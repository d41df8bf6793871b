"""Prometheus metrics: each operation counted and timed, the process, and what is known of revocations and by whom.

A label is an operation of the table or a status: never anything that came with a request, so that neither a credential
nor a foreign name ends up in a metric and the number of series is bounded.

Where several workers serve one port, the numbers of all are added up: each writes its own to files in a folder that
``serve`` makes, and whichever worker is asked adds them (prometheus_client's multiprocess mode).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

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

from doorward.deployment import Incident
from doorward.ports import Removed

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that prometheus_client looks for when it is imported."""

MOST_OPERATIONS = 100
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


_COLD = float("inf")
"""The staleness of a server that has never read its store: an alert on a bound goes off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What a server knows of itself, at a moment.

    Args:
        staleness: how old what is known of revocations is; None while nothing is.
        live_revocations: those that every request is checked against.
        readers: streams of the feed.
        readers_cut: those that were too slow, so far.
        hits: by cache, what was answered from memory so far.
        misses: by cache, what was not.
        incidents: how often what has happened so far.
        in_flight: requests that are being answered.
        unavailable: answers of 503 so far, by code and by what did not answer.
        refused_credentials: by kind, admin keys and verifiers' credentials that were refused so far.
    """

    staleness: timedelta | None
    live_revocations: int
    readers: int
    readers_cut: int
    hits: Mapping[str, int]
    misses: Mapping[str, int]
    incidents: Mapping[Incident, int]
    refused_credentials: Mapping[str, int]
    in_flight: int = 0
    unavailable: Mapping[tuple[str, str], int] = field(default_factory=dict)


class Metrics:
    """What one server counts.

    Args:
        readings: asked when the metrics are read; None while the server is not open.
    """

    def __init__(self, readings: Callable[[], Readings | None] = lambda: None) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each of ours
        registry = CollectorRegistry()
        self._registry = registry
        self._readings = readings
        self._counted: dict[tuple[str, ...], int] = {}
        self._known: set[str] = set()
        self._series: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
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
        self._staleness = Gauge(
            "doorward_revocations_staleness_seconds",
            "How old what is known of revocations is; infinite before the store has been read.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._readers = Gauge(
            "doorward_feed_readers",
            "Streams of the revocation feed.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._cut = Counter("doorward_feed_readers_cut", "Streams ended since they were too slow.", registry=registry)
        self._cache = Counter(
            "doorward_cache_lookups", "Credentials looked for in memory.", ("cache", "outcome"), registry=registry
        )
        self._incidents = Counter(
            "doorward_incidents", "What an operator wants to know of, by its kind.", ("kind",), registry=registry
        )
        self._in_flight = Gauge(
            "doorward_requests_in_flight",
            "Requests that are being answered.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._unavailable = Counter(
            "doorward_unavailable",
            "Requests answered with 503, by code and by what did not answer.",
            ("code", "dependency"),
            registry=registry,
        )
        self._refused = Counter(
            "doorward_refused_credentials",
            "Admin keys and verifiers' credentials that were refused, by what they were presented for.",
            ("kind",),
            registry=registry,
        )
        self._told = Histogram(
            "doorward_revocation_told_seconds",
            "From the commit of a revocation until this process told the readers of the feed, by the store's clock.",
            buckets=_BUCKETS,
            registry=registry,
        )
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)

    def observe(self, operation: str, status: int, seconds: float) -> None:
        """Count one answered operation."""
        count, timed = self._series.get((operation, status)) or self._series_of(operation, status)
        count.inc()
        timed.observe(seconds)

    def _series_of(self, operation: str, status: int) -> tuple[Counter, Histogram]:
        """What is counted and timed; kept, since to find it takes longer than to count."""
        name, known = self._bounded(operation), 100 <= status <= 599
        found = self._operations.labels(name, str(status) if known else "other"), self._seconds.labels(name)
        if known and name == operation:
            self._series[operation, status] = found
        return found

    def removed(self, batch: Removed) -> None:
        """Count one batch of housekeeping."""
        for kind in ("sessions", "revocations", "audit_events", "keys"):
            self._removed.labels(kind).inc(getattr(batch, kind))

    def told(self, after: timedelta) -> None:
        """Note how long after its commit readers were told of a revocation."""
        self._told.observe(max(after.total_seconds(), 0.0))

    def refresh(self) -> None:
        """Take what the server knows of itself: when the metrics are read, and now and then for other workers."""
        read = self._readings()
        if read is None:
            return
        self._revocations.set(read.live_revocations)
        self._staleness.set(_COLD if read.staleness is None else read.staleness.total_seconds())
        self._readers.set(read.readers)
        self._cut.inc(self._since((), read.readers_cut))
        for incident, count in read.incidents.items():
            self._incidents.labels(incident.value).inc(self._since(("incident", incident.value), count))
        self._in_flight.set(read.in_flight)
        for cause, count in read.unavailable.items():
            self._unavailable.labels(*cause).inc(self._since(("unavailable", *cause), count))
        for kind, refused in read.refused_credentials.items():
            self._refused.labels(kind).inc(self._since(("refused", kind), refused))
        for outcome, counts in (("hit", read.hits), ("miss", read.misses)):
            for cache, count in counts.items():
                self._cache.labels(cache, outcome).inc(self._since((cache, outcome), count))

    def _since(self, name: tuple[str, ...], count: int) -> int:
        """How much a count has grown since it was last taken; one that began anew has grown from nothing."""
        before, self._counted[name] = self._counted.get(name, 0), count
        return count - before if count >= before else count

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        self.refresh()
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
