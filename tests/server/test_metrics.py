"""What is counted, and that nothing of a request becomes a label."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.ports import Removed
from doorward.server.metrics import MOST_OPERATIONS, Metrics


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


def test_housekeeping_and_the_live_set_are_counted() -> None:
    live = [1, 2, 3]
    metrics = Metrics(live=lambda: len(live))
    metrics.removed(Removed(sessions=4, audit_events=2))
    live.append(4)
    text = text_of(metrics)
    assert 'doorward_removed_rows_total{kind="sessions"} 4.0' in text
    assert 'doorward_removed_rows_total{kind="audit_events"} 2.0' in text
    assert "doorward_live_revocations 4.0" in text


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
