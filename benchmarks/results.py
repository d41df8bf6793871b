"""Every number that the benchmarks have left in a folder, as one list."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan
from pathlib import Path
from typing import Any

from benchmarks.measuring import Measured, Part

FILE = "results.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One number.

    Args:
        benchmark: that measured it.
        part: its table.
        name: what was measured.
        median: of its rounds.
        minimum: of them.
        maximum: of them.
        unit: of the three.
        ratio: of the median to that of another one; None where that is nothing.
        to: the name of that one; of the same table.
        beside: medians of what else was told.
    """

    benchmark: str
    part: str
    name: str
    median: float
    minimum: float
    maximum: float
    unit: str
    ratio: float | None
    to: str
    beside: Mapping[str, float] = field(default_factory=dict)


def read_results(folder: Path) -> list[Result]:
    """What is there, in the order of its files; a file of another form is left out."""
    found = [_read(file.stem, json.loads(file.read_text())) for file in _files(folder)]
    return [each for some in found for each in some]


def read_machines(folder: Path) -> dict[str, Mapping[str, str]]:
    """When and on what each benchmark ran, by its name."""
    told = {file.stem: json.loads(file.read_text()) for file in _files(folder)}
    return {name: numbers["machine"] for name, numbers in told.items() if "machine" in numbers}


def _files(folder: Path) -> Iterator[Path]:
    return (file for file in sorted(folder.glob("*.json")) if file.name != FILE)


def _read(benchmark: str, numbers: Mapping[str, Any]) -> Iterator[Result]:
    for told in numbers.get("parts", ()):
        part = Part(title=told["title"], unit=told["unit"], measured=tuple(map(_measured, told["measured"])))
        for way in part.measured:
            yield Result(
                benchmark=benchmark,
                part=part.title,
                name=way.name,
                median=way.median,
                minimum=min(way.rounds),
                maximum=max(way.rounds),
                unit=part.unit,
                ratio=None if isnan(part.ratio(way)) else part.ratio(way),
                to=way.to or part.measured[0].name,
                beside=way.beside,
            )
    yield from _spans(benchmark, numbers)


def _measured(told: Mapping[str, Any]) -> Measured:
    beside = {what: value for what, value in told.get("beside", {}).items() if not isnan(value)}
    return Measured(name=told["name"], rounds=tuple(told["rounds"]), beside=beside, to=told.get("to"))


def _spans(benchmark: str, numbers: Mapping[str, Any]) -> Iterator[Result]:
    """Percentiles of a distribution, as the fleet tells them: each is a number of its own."""
    for span in numbers.get("spans", ()):
        at: Mapping[str, float] = span["milliseconds"]
        first = next(iter(at))
        for name, value in at.items():
            yield Result(
                benchmark=benchmark,
                part=f"{span['store']}, {span['verifiers']} verifiers, {span['load']} requests a second",
                name=name,
                median=value,
                minimum=value,
                maximum=value,
                unit=numbers.get("unit", "ms"),
                ratio=value / at[first] if at[first] else None,
                to=first,
            )


def only(results: Sequence[Result], benchmark: str, part: str, name: str) -> Result | None:
    """The one that is called so, or None where it has not been measured, or is called otherwise."""
    return next((each for each in results if (each.benchmark, each.part, each.name) == (benchmark, part, name)), None)
