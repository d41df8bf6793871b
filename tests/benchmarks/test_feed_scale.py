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
async def test_a_fleet_is_measured_and_published_and_every_verifier_refuses(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    plan = fleet.Plan(sizes=((2, 3),), processes=1, load=20, servers=1)
    store = fleet.Store(name="PostgreSQL", settings={"DATABASE": postgres.emptied()})
    found = await fleet.measured(store, tmp_path, plan)
    assert [(each.verifiers, each.load, each.sessions) for each in found] == [(2, 0, 3), (2, 20, 3)]
    for each in found:
        assert 0 < each.milliseconds["p50"] <= each.milliseconds["p99"] <= each.milliseconds["slowest"]
    fleet.publish(Run(folder=tmp_path), found)
    page = (tmp_path / "fleet.md").read_text()
    assert "\n## PostgreSQL\n" in page
    assert f"\n| 2 | 20 | 3 | {found[1].milliseconds['p50']:.1f} |" in page
    assert (tmp_path / "fleet.svg").read_text().startswith("<?xml")
    assert str(tmp_path) not in page + (tmp_path / "fleet.json").read_text()
