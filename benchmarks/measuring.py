"""What benchmarks have in common: rounds in turns, medians, and a page with a table and a picture.

Ways of doing one thing are measured in turns (A B A B), so that whatever else the machine does meets all of them alike;
what is told of each is the median of its rounds, and the least and the most.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "benchmarks"

Round = Callable[[], Awaitable[float]]
"""One measurement; returns a number in the unit of its part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How much is measured, and where the page goes.

    Args:
        folder: for ``NAME.md``, ``NAME.json`` and ``NAME.svg``.
        quick: rough numbers in a few seconds: whether it works at all.
    """

    folder: Path = PAGES
    quick: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One way of doing it, and what each of its rounds gave.

    Args:
        name: for people.
        rounds: what is compared.
        beside: medians of what else there is to tell, by what it is.
        to: the way of the same part that its ratio is to; the first one, where nothing is said.
    """

    name: str
    rounds: tuple[float, ...]
    beside: Mapping[str, float] = field(default_factory=dict)
    to: str | None = None

    @property
    def median(self) -> float:
        return median(self.rounds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Ways that are compared with one another: a table and a group of bars."""

    title: str
    measured: tuple[Measured, ...]
    unit: str = "a second"

    def ratio(self, way: Measured) -> float:
        """How its median compares with that of the way that its ratio is to, which counts as 1."""
        to = next((each for each in self.measured if each.name == way.to), self.measured[0])
        return way.median / to.median if to.median else float("nan")


async def in_turns(
    title: str,
    ways: Mapping[str, Round],
    *,
    rounds: int,
    unit: str = "a second",
    beside: Callable[[str], Mapping[str, float]] = lambda _: {},
) -> Part:
    """Measure several ways, each once without counting and then ``rounds`` times, in turns.

    Args:
        title: of the part.
        ways: by name.
        rounds: that count.
        unit: of what a round returns.
        beside: what else there is to tell of a way in the end, by its name.
    """
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, measure in ways.items():
            tell(f"{title}: {name}, round {number} of {rounds}")
            found[name].append(await measure())
    part = Part(
        title=title,
        measured=tuple(Measured(name=name, rounds=tuple(found[name][1:]), beside=beside(name)) for name in ways),
        unit=unit,
    )
    tell("")
    print("\n".join(_table(part)), flush=True)
    return part


def with_column(part: Part, what: str, told: Callable[[Measured], float]) -> Part:
    """The same part with one more column, before those there are.

    Args:
        part: as it was measured.
        what: the column's head.
        told: of each way.
    """
    ways = (replace(way, beside={what: told(way), **way.beside}) for way in part.measured)
    return replace(part, measured=tuple(ways))


def a_second(operation: Callable[[int], Awaitable[object]], *, at_once: int, seconds: float) -> Round:
    """Operations a second of so many callers, each of whom begins another once the last is done.

    Args:
        operation: is given the number of its caller, from 0.
        at_once: callers.
        seconds: how long a round takes.
    """

    async def measure() -> float:
        done, begun = 0, time.perf_counter()

        async def call(number: int) -> None:
            nonlocal done
            while time.perf_counter() - begun < seconds:
                await operation(number)
                done += 1

        await asyncio.gather(*map(call, range(at_once)))
        return done / (time.perf_counter() - begun)

    return measure


def tell(text: str) -> None:
    """Say what is being done, on one line that the next one takes the place of."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def publish(
    run: Run,
    name: str,
    *,
    title: str,
    about: str,
    parts: Sequence[Part],
    packages: Sequence[str],
    versions: Mapping[str, str] | None = None,
) -> None:
    """Write the numbers, the picture and the page.

    Args:
        run: says where.
        name: of the benchmark and its files.
        title: of the page.
        about: what is compared and what to make of it; Markdown.
        parts: one table and one group of bars each.
        packages: whose versions matter.
        versions: of what is elsewhere.
    """
    body = [line for part in parts for line in (f"## {part.title}", "", *_table(part), "")]
    numbers = {"parts": [asdict(part) for part in parts]}
    draw = partial(_draw, parts)
    write_page(
        run, name, title=title, about=about, body=body, numbers=numbers, draw=draw, packages=packages, versions=versions
    )


def write_page(
    run: Run,
    name: str,
    *,
    title: str,
    about: str,
    body: Sequence[str],
    numbers: Mapping[str, object],
    draw: Callable[[Path], None],
    packages: Sequence[str],
    versions: Mapping[str, str] | None = None,
) -> None:
    """Write the numbers, the picture and the page of a benchmark whose tables are its own.

    Args:
        run: says where.
        name: of the benchmark and its files.
        title: of the page.
        about: what is compared and what to make of it; Markdown.
        body: the lines of its tables.
        numbers: what the tables and the picture are made of.
        draw: writes the picture to this file.
        packages: whose versions matter.
        versions: of what is elsewhere.
    """
    run.folder.mkdir(parents=True, exist_ok=True)
    machine = measured_on(packages, versions)
    (run.folder / f"{name}.json").write_text(json.dumps({"machine": machine, **numbers}, indent=1) + "\n")
    draw(run.folder / f"{name}.svg")
    page = [f"# {title}", "", about.strip(), "", f"![{title}]({name}.svg)", "", *body, *closing(name, machine)]
    (run.folder / f"{name}.md").write_text("\n".join(page))
    tell("")
    print(f"wrote {name}.md, {name}.json and {name}.svg to {os.path.relpath(run.folder)}", flush=True)


def measured_on(packages: Sequence[str], versions: Mapping[str, str] | None = None) -> dict[str, str]:
    """When and on what, and the versions that matter: of packages here, and of what is elsewhere."""
    return {
        "measured": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        **{package: version(package) for package in packages},
        **(versions or {}),
    }


def closing(name: str, machine: Mapping[str, str]) -> list[str]:
    """The end of a page: on what it was measured, and how it is made again."""
    told = ", ".join(f"{what} {value}" for what, value in machine.items())
    again = f"Made by `python3 dev.py bench {name}`; the numbers are in [{name}.json]({name}.json)."
    return ["## Measured on", "", f"{told}.", "", again, ""]


def write_number(value: float) -> str:
    """A number for people: whole where it is large, else by three digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _table(part: Part) -> list[str]:
    beside = list(part.measured[0].beside)
    return [
        f"| {part.title} | {part.unit}: median | least | most | ratio |" + "".join(f" {what} |" for what in beside),
        "| --- | ---: | ---: | ---: | ---: |" + " ---: |" * len(beside),
        *(_row(part, way, beside) for way in part.measured),
    ]


def _row(part: Part, way: Measured, beside: Sequence[str]) -> str:
    numbers = map(write_number, (way.median, min(way.rounds), max(way.rounds)))
    ratio = f"{part.ratio(way):.2f}" + (f" of {way.to}" if way.to else "")
    cells = (way.name, *numbers, ratio, *(write_number(way.beside[what]) for what in beside))
    return f"| {' | '.join(cells)} |"


def _draw(parts: Sequence[Part], file: Path) -> None:
    # Late: it takes a second, and writes its cache of fonts when it is first used.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 0.6 + sum(0.7 + 0.28 * len(part.measured) for part in parts)), layout="constrained")
    heights = [1.5 + len(part.measured) for part in parts]
    rows = figure.subplots(len(parts), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    for axes, part in zip(rows, parts, strict=True):
        medians = [way.median for way in part.measured]
        spread = [
            [way.median - min(way.rounds) for way in part.measured],
            [max(way.rounds) - way.median for way in part.measured],
        ]
        bars = axes.barh([way.name for way in part.measured], medians, xerr=spread, color="#4477aa", height=0.6)
        axes.bar_label(bars, labels=[write_number(value) for value in medians], padding=4, fontsize=8)
        axes.set_title(f"{part.title} ({part.unit})", fontsize=9, loc="left")
        axes.invert_yaxis()
        axes.margins(x=0.12)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, metadata={"Date": None})
