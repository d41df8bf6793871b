"""Doorward's own column of the table of races holds; the others' is played where they are installed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.measuring import Run
from benchmarks.race_scenarios import SCENARIOS, Pauses
from benchmarks.races import OURS, SYSTEMS, Outcome, Plan, System, outcomes, publish_table
from benchmarks.refreshing_peers import installed
from tests.postgres import PostgresServer

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

# Mostly waiting, all at once: rest is three times the grace.
SHORT = Plan(times=2, grace=2, pauses=Pauses(past_grace=2.1, much_later=6.1, near=0.005, far=0.05))
AT_ONCE = Plan(times=1, grace=0, pauses=Pauses(past_grace=0, much_later=0, near=0.005, far=0.02))


async def test_nobody_is_signed_out_by_doorward_for_a_race_or_a_loss_and_no_thief_stays(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    column = await outcomes(OURS, postgres, tmp_path, SHORT)
    assert [(scenario.name, outcome.mark) for scenario, outcome in zip(SCENARIOS, column, strict=True)] == [
        (scenario.name, "yes (2 of 2)") for scenario in SCENARIOS
    ]
    publish_table(Run(folder=tmp_path), [OURS], [[each] for each in column])
    page = (tmp_path / "races.md").read_text()
    assert "| [Two continents of tabs](#two-continents-of-tabs) | yes (2 of 2) |" in page
    assert "## Two continents of tabs\n" in page
    assert len(json.loads((tmp_path / "races.json").read_text())["rows"]) == len(SCENARIOS)


@pytest.mark.parametrize("system", SYSTEMS[1:], ids=lambda system: system.name)
async def test_a_peer_is_played_with_by_the_same_client(
    system: System, postgres: PostgresServer, tmp_path: Path
) -> None:
    if not installed(system.refresher):
        pytest.skip("the peers are missing: python3 dev.py bench races --quick")
    column = await outcomes(system, postgres, tmp_path, AT_ONCE)
    assert all(each.seen or each.not_offered for each in column)


def test_one_that_went_wrong_is_no() -> None:
    assert Outcome(system="it", well=50, of=50, seen={}).mark == "yes (50 of 50)"
    assert Outcome(system="it", well=49, of=50, seen={}).mark == "no (49 of 50)"
    assert Outcome(system="it", well=0, of=0, seen={}, not_offered="why").mark == "not offered"
