"""All numbers as one list, and a page with what was to be reached; out of what the benchmarks have left."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.measuring import Run, tell, write_number
from benchmarks.results import FILE, Result, read_machines, read_results
from benchmarks.targets import TARGETS, Target

ABOUT = """
What Doorward costs, beside what one would pick instead and beside the physical limit: measured on one machine, in turns
(A B A B), several rounds each; a number is the median of its rounds. `python3 dev.py bench` measures everything anew
and writes these pages; it takes the names of parts, `--quick` tries whether it works, and `bench summary` writes this
page alone, out of the numbers that are there. All of them, with minimum and maximum and what each ratio is to, are in
[results.json](results.json).
"""

LIMITS = """
- **One machine.** Servers, databases and clients share its cores, without a network or TLS between them. Ratios within
  one table were measured in the same turns; rates from different pages were not, and another machine has others.
- **One process.** No server has more than one worker, and no page shows how several of them add up.
- **Defaults, and small applications.** Peers are as their documentation sets them up, each page says how; what they do
  with a request differs, and a page says that too. Whoever configures them otherwise gets other numbers.
- **Speed says nothing about safety.** Several peers are fast because they do not ask whether a session has ended; what
  each does under races and loss is a table of its own.
- No test asserts a time. One does count the [calls of the hot path](../../tests/benchmarks/test_guard.py).
"""


def main(run: Run) -> None:
    """Write both."""
    results = read_results(run.folder)
    text = json.dumps([asdict(each) for each in results], indent=1)
    (run.folder / FILE).write_text(text + "\n")
    reached = {target: value for target in TARGETS if (value := _value(target, results)) is not None}
    if reached:
        _draw(reached, run.folder / "summary.svg")
    (run.folder / "README.md").write_text("\n".join(_page(run.folder, results)))
    tell("")
    print(f"wrote README.md and {FILE} to {os.path.relpath(run.folder)}", flush=True)


def _value(target: Target, results: Sequence[Result]) -> float | None:
    try:
        return target.value(results)
    except LookupError:
        return None


def _page(folder: Path, results: Sequence[Result]) -> Iterator[str]:
    yield from ("# Benchmarks", "", ABOUT.strip(), "", "## What was to be reached", "")
    yield from ("| | wanted | measured | reached |", "| --- | ---: | ---: | --- |")
    yield from (_row(target, results) for target in TARGETS)
    if (folder / "summary.svg").exists():
        yield from ("", "![How much of each target is reached](summary.svg)")
    yield from ("", "## Pages", "")
    yield from (f"- [{title}]({name})" for name, title in _pages(folder).items())
    yield from ("", "## What these numbers do not show", "", LIMITS.strip())
    yield from ("", "## Measured on", "", "| | measured | on | versions |", "| --- | --- | --- | --- |")
    yield from (_machine(name, told) for name, told in read_machines(folder).items())
    yield ""


def _row(target: Target, results: Sequence[Result]) -> str:
    bound, word = (target.at_least, "at least") if target.at_least is not None else (target.at_most, "at most")
    wanted = f"{word} {_told(target, bound)}"
    try:
        value = target.value(results)
    except LookupError as error:
        return f"| {target.what} | {wanted} | | {error} |"
    measured = _told(target, value) + (f" of {target.to}" if target.to else "")
    missed = f"**no**: {target.why_not or 'nobody has written down why'}"
    return f"| {target.what} | {wanted} | {measured} | {'yes' if target.share(value) >= 1 else missed} |"


def _told(target: Target, value: float | None) -> str:
    assert value is not None
    if target.over:
        return f"{value:.2f}" if value < 10 else f"{value:,.0f}"
    return f"{write_number(value)} {target.unit}"


def _pages(folder: Path) -> dict[str, str]:
    files = (file for file in sorted(folder.glob("*.md")) if file.name != "README.md")
    return {file.name: file.read_text().partition("\n")[0].removeprefix("# ") for file in files}


def _machine(name: str, told: Mapping[str, str]) -> str:
    versions = {what: each for what, each in told.items() if what not in {"measured", "system"}}
    listed = ", ".join(f"{what} {each}" for what, each in versions.items())
    return f"| `bench {name}` | {told.get('measured', '')} | {told.get('system', '')} | {listed} |"


def _draw(reached: Mapping[Target, float], file: Path) -> None:
    """How much of each is reached: a dot for each, on a line that says where it is reached."""
    # Late: it takes a second, and writes its cache of fonts when it is first used.
    from matplotlib.figure import Figure
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    figure = Figure(figsize=(9, 0.9 + 0.27 * len(reached)), layout="constrained")
    axes = figure.subplots()
    shares = [target.share(value) for target, value in reached.items()]
    names = [target.what.replace("`", "") for target in reached]
    axes.hlines(names, 1, shares, color="#b8c4d0", linewidth=2)
    axes.scatter(shares, names, color=["#4477aa" if share >= 1 else "#cc7733" for share in shares], s=28, zorder=2)
    axes.axvline(1, color="#333333", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlim(min(0.5, *shares) / 1.1, max(2.0, *shares) * 1.1)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_title("How much of each target is reached: 1 is reached, 2 is twice as good", fontsize=9, loc="left")
    axes.invert_yaxis()
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, metadata={"Date": None})
