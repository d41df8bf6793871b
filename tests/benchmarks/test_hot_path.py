"""The benchmarks run, and write their page.  How fast is not asserted."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from benchmarks.__main__ import NAMES, main
from benchmarks.callers import Plan
from benchmarks.hot_path import on_postgres, on_redis, on_sqlite, publish_parts
from benchmarks.measuring import Measured, Part, Run, a_second, in_turns, publish
from tests.postgres import PostgresServer
from tests.valkey import ValkeyServer

pytestmark = pytest.mark.anyio
LEAST = Plan(at_once=(2,), rounds=1, seconds=0.001)


async def test_the_hot_path_is_measured_and_published(
    postgres: PostgresServer, valkey: ValkeyServer, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    parts = await on_postgres(postgres.emptied(), LEAST) + await on_sqlite(tmp_path, LEAST)
    parts += await on_redis(valkey.emptied(), tmp_path, LEAST)
    publish_parts(Run(folder=tmp_path), parts)
    page = (tmp_path / "hot_path.md").read_text()
    for part in parts:
        assert f"## {part.title}\n" in page
        assert all(f"| {way.name} |" in page for way in part.measured)
    numbers = json.loads((tmp_path / "hot_path.json").read_text())
    assert len(numbers["parts"]) == len(parts)
    assert "hot_path.svg" in page
    assert (tmp_path / "hot_path.svg").read_text().startswith("<?xml")
    assert str(tmp_path) not in page + json.dumps(numbers)


async def test_ways_are_measured_in_turns_and_the_first_round_of_each_is_not_counted() -> None:
    measured: list[str] = []

    async def a() -> float:
        measured.append("a")
        return float(len(measured))

    async def b() -> float:
        measured.append("b")
        return float(len(measured))

    part = await in_turns("turns", {"A": a, "B": b}, rounds=3)
    assert "".join(measured) == "abababab"
    assert part.measured == (Measured(name="A", rounds=(3.0, 5.0, 7.0)), Measured(name="B", rounds=(4.0, 6.0, 8.0)))
    assert part.measured[0].median == 5.0


async def test_a_ratio_is_to_the_first_way_or_to_the_one_that_it_names(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    ways = (
        Measured(name="A", rounds=(2_000.0,)),
        Measured(name="B", rounds=(1.234, 3.0, 1.0)),
        Measured(name="C", rounds=(2.468,), to="B"),
    )
    part = Part(title="ratios", measured=ways)
    assert list(map(part.ratio, ways)) == [1, 1.234 / 2_000, 2]
    publish(Run(folder=tmp_path), "some", title="Some", about="Of some.", parts=[part], packages=())
    page = (tmp_path / "some.md").read_text()
    assert "| A | 2,000 | 2,000 | 2,000 | 1.00 |\n" in page
    assert "| B | 1.23 | 1 | 3 | 0.00 |\n| C | 2.47 | 2.47 | 2.47 | 2.00 of B |\n" in page


async def test_each_caller_is_told_its_number() -> None:
    callers: set[int] = set()

    async def operation(number: int) -> None:
        callers.add(number)
        await asyncio.sleep(0)

    assert await a_second(operation, at_once=3, seconds=0.01)() > 0
    assert callers == {0, 1, 2}


def test_a_benchmark_that_there_is_not_is_answered_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nothing"]) == 2
    told = capsys.readouterr().err
    assert all(name in told for name in NAMES)
    assert "hot_path" in NAMES
