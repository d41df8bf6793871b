"""A verifier's state for Prometheus, in a service that exports metrics (``pip install doorward[prometheus]``).

    from prometheus_client import REGISTRY
    from doorward.prometheus import VerifierCollector

    REGISTRY.register(VerifierCollector(verifier))

It counts nothing by itself: `Verifier.state` is asked when the metrics are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from doorward.verifier import State, Verifier, VerifierState

_LABELS = ("audience",)


class VerifierCollector(Collector):
    """The state of verifiers, each labelled by its audience.

    Args:
        verifiers: of this process; of one audience each.
    """

    def __init__(self, *verifiers: Verifier) -> None:
        self._verifiers = {verifier.options.audience: verifier for verifier in verifiers}
        if len(self._verifiers) < len(verifiers):
            raise ValueError("two verifiers of one audience could not be told apart")

    def collect(self) -> Iterator[Metric]:
        """All of it, as of now."""
        states = {audience: verifier.state for audience, verifier in self._verifiers.items()}
        for name, text, value_of in _GAUGES:
            gauge = GaugeMetricFamily(f"doorward_verifier_{name}", text, labels=_LABELS)
            for audience, state in states.items():
                gauge.add_metric([audience], value_of(state))
            yield gauge
        for name, text, count_of in _COUNTERS:
            counter = CounterMetricFamily(f"doorward_verifier_{name}", text, labels=_LABELS)
            for audience, state in states.items():
                counter.add_metric([audience], count_of(state))
            yield counter


def _is_fresh(state: VerifierState) -> float:
    return float(state.state is State.FRESH)


def _staleness(state: VerifierState) -> float:
    return float("inf") if state.staleness is None else state.staleness.total_seconds()


def _ahead(state: VerifierState) -> float:
    return float("nan") if state.issuer_ahead_by is None else state.issuer_ahead_by.total_seconds()


_Read = Callable[[VerifierState], float]

_GAUGES: tuple[tuple[str, str, _Read], ...] = (
    ("fresh", "1 where what is known of revocations may be relied on, else 0.", _is_fresh),
    ("staleness_seconds", "How old it is; infinite before anything is known.", _staleness),
    ("live_revocations", "Revocations that every token is checked against.", lambda state: state.live_revocations),
    ("keys", "Keys of the issuer.", lambda state: state.keys),
    ("tokens_remembered", "Tokens that need not be verified again.", lambda state: state.tokens_remembered),
    ("issuer_ahead_seconds", "How far the issuer's clock is ahead of this machine's.", _ahead),
)
_COUNTERS: tuple[tuple[str, str, _Read], ...] = (
    ("hits", "Tokens answered from memory.", lambda state: state.hits),
    ("misses", "Tokens verified anew.", lambda state: state.misses),
    ("reconnects", "Streams that ended or could not be had.", lambda state: state.reconnects),
)
