"""The benchmarks of the feed run: one verifier's memory and a server's work, and a fleet of real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import feed_scale, fleet
from benchmarks.measuring import Run
from tests.postgres import PostgresServer

pytestmark = pytest.mark.anyio


async def test_what_the_feed_costs_is_measured_multiplied_and_published(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plan = feed_scale.Plan(entries=(2_000,), readers=5, frames=20)
    parts = await feed_scale.measured(plan)
    feed_scale.publish_parts(Run(folder=tmp_path), parts)
    assert "## A verifier's memory, measured\n" in (tmp_path / "feed_scale.md").read_text()
    more = feed_scale.Fanned(handing=1e-7, sending=1e-6, learning=1e-5, beating=1e-5)
    assert feed_scale.cores(10_000, 1_000, more) > feed_scale.cores(1_000, 1_000, more) > feed_scale.cores(1, 1, more)


@pytest.mark.slow
async def test_a_fleet_is_measured_and_every_verifier_refuses(postgres: PostgresServer, tmp_path: Path) -> None:
    plan = fleet.Plan(sizes=((2, 3),), processes=1, load=20, servers=1)
    quiet, loaded = await fleet.measured(postgres.emptied(), tmp_path, plan, store="PostgreSQL")
    assert quiet.title == "PostgreSQL, 2 verifiers, 3 sessions"
    assert loaded.title == "PostgreSQL, 2 verifiers, 20 requests a second, 3 sessions"
    assert all(each.median > 0 for part in (quiet, loaded) for each in part.measured)
