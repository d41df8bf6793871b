"""The page and the list are written out of whatever numbers are there, and say what is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.measuring import Measured, Part, Run, publish
from benchmarks.results import Result, read_results
from benchmarks.summary import main
from benchmarks.targets import TARGETS, Figure, Target

FAST, SLOW = Figure(benchmark="some", part="T", rows=("a", "b")), Figure(benchmark="some", part="T", rows=("c",))


def results(**medians: float) -> list[Result]:
    return [
        Result(
            benchmark="some", part="T", name=name, median=each, minimum=each, maximum=each, unit="ms", ratio=1, to="a"
        )
        for name, each in medians.items()
    ]


@pytest.mark.parametrize(
    ("target", "value", "share"),
    [
        (Target(what="", of=FAST, at_least=20), 10, 0.5),
        (Target(what="", of=FAST, at_most=20), 40, 0.5),
        (Target(what="", of=FAST, over=SLOW, at_least=2), 2, 1),
        (Target(what="", of=FAST, over=SLOW, at_most=16), 8, 2),
    ],
)
def test_of_several_numbers_the_worst_counts(target: Target, value: float, share: float) -> None:
    assert target.value(results(a=10, b=40, c=5)) == value
    assert target.share(value) == share


def test_a_number_that_is_not_there_is_named() -> None:
    with pytest.raises(LookupError, match="not measured: b of “T” in some"):
        Target(what="", of=FAST, at_least=1).value(results(a=1))


def test_the_page_is_written_where_only_one_benchmark_has_run(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    run = Run(folder=tmp_path)
    ways = (Measured(name="doorward.Verifier", rounds=(80.0, 100.0, 90.0)), Measured(name="PyJWT", rounds=(45.0,)))
    nothing = Part(title="Nothing", unit="ms", measured=(Measured(name="zero", rounds=(0.0,)),))
    parts = [Part(title="Importing", unit="ms", measured=ways), nothing]
    publish(run, "start", title="Start and size", about="About it.", parts=parts, packages=())
    spans = [{"store": "PostgreSQL", "verifiers": 100, "load": 0, "milliseconds": {"p50": 10.0, "p99": 40.0}}]
    (tmp_path / "fleet.json").write_text(json.dumps({"machine": {"measured": "today"}, "unit": "ms", "spans": spans}))
    (tmp_path / "races.json").write_text(json.dumps({"rows": {"nobody": "knows"}}))
    main(run)
    main(run)  # what it has written is not read again
    page = (tmp_path / "README.md").read_text()
    assert "| importing the verifier | at most 250 ms | 90 ms | yes |" in page
    assert "| at most 20 ms | 40 ms | **no**: all hundred" in page
    assert "not measured: Verifier.verify of “Seen before” in verify |" in page
    assert "[Start and size](start.md)" in page
    assert "| `bench fleet` | today |" in page
    assert "](summary.svg)" in page
    found = json.loads((tmp_path / "results.json").read_text(), parse_constant=pytest.fail)
    assert found[3] == {
        "benchmark": "start", "part": "Importing", "name": "PyJWT", "median": 45, "minimum": 45, "maximum": 45,
        "unit": "ms", "ratio": 0.5, "to": "doorward.Verifier", "beside": {},
    }  # fmt: skip
    assert found[1]["ratio"] == 4
    assert found[4]["ratio"] is None


def test_a_folder_without_numbers_makes_a_page_as_well(tmp_path: Path) -> None:
    main(Run(folder=tmp_path))
    assert "not measured" in (tmp_path / "README.md").read_text()
    assert read_results(tmp_path) == []


def test_a_target_has_one_bound() -> None:
    assert all((target.at_least is None) != (target.at_most is None) for target in TARGETS)
    assert all((target.over is None) == bool(target.unit) for target in TARGETS)
