"""What is counted, and that nothing of a request becomes a label."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.deployment import Incident
from doorward.ports import Removed
from doorward.server.metrics import MOST_OPERATIONS, Metrics, Readings


def text_of(metrics: Metrics) -> str:
    return metrics.text().decode()


def test_operations_are_counted_by_name_and_status_and_timed() -> None:
    metrics = Metrics()
    metrics.observe("sign_in", 201, 0.03)
    metrics.observe("sign_in", 201, 0.04)
    metrics.observe("sign_in", 401, 0.03)
    text = text_of(metrics)
    assert 'doorward_operations_total{operation="sign_in",status="201"} 2.0' in text
    assert 'doorward_operations_total{operation="sign_in",status="401"} 1.0' in text
    assert 'doorward_operation_seconds_count{operation="sign_in"} 3.0' in text
    assert 'doorward_operation_seconds_bucket{le="0.025",operation="sign_in"} 0.0' in text
    assert 'doorward_operation_seconds_bucket{le="0.05",operation="sign_in"} 3.0' in text


def test_housekeeping_is_counted() -> None:
    metrics = Metrics()
    metrics.removed(Removed(sessions=4, audit_events=2))
    text = text_of(metrics)
    assert 'doorward_removed_rows_total{kind="sessions"} 4.0' in text
    assert 'doorward_removed_rows_total{kind="audit_events"} 2.0' in text


def readings(**changes: Any) -> Readings:
    fields: dict[str, Any] = {
        "staleness": timedelta(seconds=0.25),
        "live_revocations": 4,
        "readers": 2,
        "readers_cut": 1,
        "hits": {"sessions": 10, "tokens": 20},
        "misses": {"sessions": 1, "tokens": 2},
        "incidents": {Incident.REFRESH_REUSED: 3, Incident.STORE_PUT_BACK: 0},
        "refused_credentials": {"admin": 3, "verifier": 0},
    }
    return Readings(**fields | changes)


def test_what_is_known_of_revocations_and_who_reads_it_is_shown_as_of_now() -> None:
    seen = [readings(), readings(live_revocations=5, readers_cut=3, hits={"sessions": 15, "tokens": 20})]
    metrics = Metrics(lambda: seen.pop(0))
    first = text_of(metrics)
    for line in (
        "doorward_live_revocations 4.0", "doorward_revocations_staleness_seconds 0.25", "doorward_feed_readers 2.0",
        "doorward_feed_readers_cut_total 1.0", 'doorward_cache_lookups_total{cache="sessions",outcome="hit"} 10.0',
        'doorward_cache_lookups_total{cache="tokens",outcome="miss"} 2.0',
        'doorward_refused_credentials_total{kind="admin"} 3.0',
    ):  # fmt: skip
        assert line in first, line
    again = text_of(metrics)
    assert "doorward_live_revocations 5.0" in again
    assert "doorward_feed_readers_cut_total 3.0" in again
    assert 'doorward_cache_lookups_total{cache="sessions",outcome="hit"} 15.0' in again
    assert 'doorward_cache_lookups_total{cache="tokens",outcome="hit"} 20.0' in again


def test_what_an_operator_wants_to_know_of_is_counted_by_its_kind_also_where_it_never_happened() -> None:
    text = text_of(Metrics(readings))
    assert 'doorward_incidents_total{kind="refresh_reused"} 3.0' in text
    assert 'doorward_incidents_total{kind="store_put_back"} 0.0' in text


def test_requests_under_way_and_answers_of_503_by_their_cause_are_shown() -> None:
    seen = [readings(), readings(in_flight=7, unavailable={("busy", "none"): 2, ("store_unavailable", "redis"): 1})]
    metrics = Metrics(lambda: seen.pop(0))
    assert "doorward_requests_in_flight 0.0" in text_of(metrics)
    then = text_of(metrics)
    for line in (
        "doorward_requests_in_flight 7.0",
        'doorward_unavailable_total{code="busy",dependency="none"} 2.0',
        'doorward_unavailable_total{code="store_unavailable",dependency="redis"} 1.0',
    ):
        assert line in then, line


def test_a_count_that_begins_anew_never_goes_back() -> None:
    seen = [readings(readers_cut=5), readings(readers_cut=2)]
    metrics = Metrics(lambda: seen.pop(0))
    text_of(metrics)
    assert "doorward_feed_readers_cut_total 7.0" in text_of(metrics)


def test_a_server_that_knows_nothing_is_infinitely_stale_and_one_that_is_closed_says_nothing() -> None:
    assert "doorward_revocations_staleness_seconds +Inf" in text_of(Metrics(lambda: readings(staleness=None)))
    assert "doorward_revocations_staleness_seconds 0.0" in text_of(Metrics(lambda: None))


def test_how_long_revocations_take_to_readers_is_a_distribution() -> None:
    metrics = Metrics()
    for seconds in (0.0008, 0.8, -0.1):
        metrics.told(timedelta(seconds=seconds))
    text = text_of(metrics)
    assert 'doorward_revocation_told_seconds_bucket{le="0.001"} 2.0' in text
    assert "doorward_revocation_told_seconds_count 3.0" in text


def test_the_process_is_measured() -> None:
    assert "process_cpu_seconds_total" in text_of(Metrics())


def test_two_servers_in_one_process_count_for_themselves() -> None:
    one, other = Metrics(), Metrics()
    one.observe("sign_in", 201, 0.1)
    assert "sign_in" not in text_of(other)


def test_however_many_names_arrive_the_series_are_bounded() -> None:
    metrics = Metrics()
    for number in range(3 * MOST_OPERATIONS):
        metrics.observe(f"/v1/accounts/{number}", 200, 0.001)
    lines = [line for line in text_of(metrics).splitlines() if line.startswith("doorward_operations_total")]
    assert len(lines) == MOST_OPERATIONS + 1
    assert f'doorward_operations_total{{operation="other",status="200"}} {2 * MOST_OPERATIONS}.0' in lines


def test_one_name_is_counted_by_each_status_however_often_it_comes() -> None:
    metrics = Metrics()
    for status in (200, 401, 200, 200):
        metrics.observe("refresh", status, 0.001)
    text = text_of(metrics)
    assert 'doorward_operations_total{operation="refresh",status="200"} 3.0' in text
    assert 'doorward_operations_total{operation="refresh",status="401"} 1.0' in text
    assert 'doorward_operation_seconds_count{operation="refresh"} 4.0' in text


@pytest.mark.parametrize("status", [-1, 0, 99, 600, 10**9])
def test_a_status_that_is_none_makes_no_series_of_its_own(status: int) -> None:
    metrics = Metrics()
    metrics.observe("sign_in", status, 0.1)
    assert 'status="other"' in text_of(metrics)


@given(name=st.text(max_size=40))
def test_any_name_can_be_written(name: str) -> None:
    metrics = Metrics()
    metrics.observe(name, 200, 0.1)
    text_of(metrics)
