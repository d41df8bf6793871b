"""The benchmark of requests over HTTP runs, and each of its servers lets in whom it should and nobody else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks.measuring import Run
from benchmarks.requests import BARE, DJANGO, FASTAPI, FLASK, Framework, Plan, measured, publish_parts
from benchmarks.serving import Way, serving

pytestmark = pytest.mark.xdist_group("requests")


def ours(framework: Framework) -> list[Way]:
    return [way for way in framework.ways if way.way in {"none", "hybrid"}]


@pytest.mark.anyio
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is missing: apt-get install wrk")
async def test_requests_over_http_are_measured_and_published(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    part = await measured(BARE, ours(BARE), Plan(rounds=1))
    publish_parts(Run(folder=tmp_path), [part], {"a-peer": "1.2.3"})
    page = (tmp_path / "requests.md").read_text()
    assert "a-peer 1.2.3" in page
    assert "| of a core | p50 (µs) | p99 (µs) |" in page
    for way in part.measured:
        assert way.median > 0
        assert 0 < way.beside["p50 (µs)"] <= way.beside["p99 (µs)"]


@pytest.mark.parametrize("framework", [FASTAPI, FLASK, DJANGO], ids=lambda framework: framework.name)
def test_what_is_measured_lets_in_who_is_signed_in_and_nobody_else(framework: Framework) -> None:
    with serving(ours(framework)) as servers:
        assert not servers["no authentication"].headers
        server = servers["Doorward, hybrid"]
        assert server.ask("/me", server.headers)[0] == 200
        assert server.ask("/me", {})[0] == 401
        assert server.ask("/me", {"Authorization": "Bearer x"})[0] == 401
