"""Where the time of a request goes: what a sampling profiler sees in a server that is asked as fast as it answers."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.measuring import Run, tell, write_page
from benchmarks.refreshing import Refreshing, a_database
from benchmarks.refreshing_peers import DOORWARD_EACH_TIME
from benchmarks.serving import Load, Way, asgi, serving
from tests.postgres import PostgresServer, a_postgres

ABOUT = """
A server of one process is asked as fast as it answers, by 32 connections, and pyinstrument looks 2,000 times a second
at what it is doing. Told is where it was *itself*, without what it had called, as a share of all looks; what C does
counts for the Python function that called it, the event loop for `runners.py run`; importing is left out. Looking slows
small functions down more than large ones: read the order of the rows, and take rates from the other pages.

- **Checking a request**: bare ASGI under uvicorn, as on [the page of requests](requests.md). What is not Doorward's
  is uvicorn, its parser and its event loop, which an application without authentication has as well.
- **Refreshing**: `POST /v1/token` on PostgreSQL, rotating with every request, as on [its page](refreshing.md).

**What was done about it.** Checking: see the page of requests. Refreshing: what is the same for all tokens of a key
(the first part), for all series of a metric and for all events of a generation is made once; forms without escapes
are split and not parsed; an answer's headers are added without copying it field by field; log lines of a level that
nobody reads are not made. `doorward serve` keeps what it started with from the garbage collector, which went through
all of it again and again and made the slowest requests two to three times as slow. What is left is the signature, the
statement and its rows, and HTTP itself.
"""

ROWS = 14
INTERVAL = "0.0005"
WRITTEN_WITHIN_SECONDS = 60

_OURS = re.compile(r"(?:^|/)(doorward/.+)$")
_PACKAGE = re.compile(r"site-packages/([^/]+?)(?:\.py)?(?:/|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Shares of the looks, the largest first.

    Args:
        title: what was going on.
        functions: by name.
        packages: by whose code it was.
    """

    title: str
    functions: Mapping[str, float]
    packages: Mapping[str, float]


def shares(title: str, session: Mapping[str, Any]) -> Profile:
    """What a session of pyinstrument, as it writes it in JSON, says of each function and each package by itself."""
    functions: defaultdict[str, float] = defaultdict(float)
    packages: defaultdict[str, float] = defaultdict(float)
    for frame, own in _own_times(_serving(session["root_frame"])):
        package, name = _named(frame)
        packages[package] += own
        functions[f"{name} {frame['function']}"] += own
    return Profile(title=title, functions=_largest(functions), packages=_largest(packages))


def _largest(spent: Mapping[str, float]) -> dict[str, float]:
    whole = sum(spent.values())
    return {name: spent[name] / whole for name in sorted(spent, key=lambda each: -spent[each])[:ROWS]}


def _own_times(frame: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], float]]:
    # What it spent itself stands among its children, as frames of another kind.
    inner = [child for child in frame["children"] if not child["function"].startswith("[")]
    yield frame, frame["time"] - sum(child["time"] for child in inner)
    for child in inner:
        # What is imported is imported once.
        if child["function"] != "<module>":
            yield from _own_times(child)


def _serving(root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Where the event loop runs: before it, programs are read and compiled."""
    frames = [root]
    for frame in frames:
        if frame["function"] == "run" and (frame["file_path"] or "").endswith("runners.py"):
            return frame
        frames += frame["children"]
    return root


def _named(frame: Mapping[str, Any]) -> tuple[str, str]:
    """Whose code it is, and its file as people know it."""
    path = (frame["file_path"] or "").replace(os.sep, "/")
    ours = _OURS.search(path)
    if ours is not None and "site-packages" not in path:
        return "doorward", ours[1]
    package = _PACKAGE.search(path)
    if package is not None:
        return package[1], path[package.start(1) :]
    if "/benchmarks/" in path:
        return "the application", path.rpartition("/benchmarks/")[2]
    return "Python", path.rpartition("/")[2]


def profiled(way: Way, file: Path) -> Way:
    """The same under the profiler, which writes there when it is interrupted."""
    python, *rest = way.command
    options = ("-m", "pyinstrument", "-r", "json", "-o", str(file), "-i", INTERVAL)
    return replace(way, command=(python, *options, *rest))


async def looked_at(way: Way, folder: Path, load: Any) -> Profile:
    """Serve, ask, interrupt, and read what was seen.

    Args:
        way: that serves under Python.
        folder: where the profiler writes.
        load: makes the load on a server.
    """
    file = folder / f"{way.name}.json"
    tell(f"{way.name}: looking")
    with serving([profiled(way, file)]) as servers:
        server = servers[way.name]
        await load(server).measure()
        # By Control-C: what ends by another signal leaves nothing behind.
        os.kill(server.pid, signal.SIGINT)
        waiting_until = time.monotonic() + WRITTEN_WITHIN_SECONDS
        while not (file.exists() and file.stat().st_size):
            if time.monotonic() > waiting_until:
                raise RuntimeError(f"the profiler of {way.name} has written nothing")
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.5)
    return shares(way.name, json.loads(file.read_text()))


async def measured(postgres: PostgresServer, folder: Path, *, seconds: int) -> list[Profile]:
    """Each of what is looked at."""
    checking = [
        asgi("Checking a session cookie", "bare", way="session"),
        asgi("Checking an access token, hybrid", "bare", way="hybrid"),
    ]
    found = [
        await looked_at(way, folder, lambda server: Load(server=server, seconds=seconds, first=seconds))
        for way in checking
    ]
    connections, name = 32, "Refreshing on PostgreSQL"
    tokens = folder / "tokens"
    own = {"DATABASE": a_database(postgres), "SESSIONS": str(connections), "TOKENS": str(tokens)}

    def refreshing(server: Any) -> Refreshing:
        return Refreshing(
            server=server,
            seconds=seconds,
            exchange=DOORWARD_EACH_TIME.exchange,
            tokens=tokens,
            connections=connections,
            offset=0,
        )

    return [*found, await looked_at(DOORWARD_EACH_TIME.way(name, own), folder, refreshing)]


def main(run: Run) -> None:
    if shutil.which("wrk") is None:
        print("Not installed: wrk; nothing is looked at.", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory(prefix="doorward-benchmark-") as place, a_postgres() as postgres:
        publish_profiles(run, asyncio.run(measured(postgres, Path(place), seconds=1 if run.quick else 10)))


def publish_profiles(run: Run, profiles: Sequence[Profile]) -> None:
    """The page: a table for each, and whose code it was as a picture."""
    body: list[str] = []
    for profile in profiles:
        body += [f"## {profile.title}", "", "| function | of the time |", "| --- | ---: |"]
        body += [f"| `{name}` | {share:.1%} |" for name, share in profile.functions.items()]
        body.append("")
    numbers = {each.title: {"functions": each.functions, "packages": each.packages} for each in profiles}
    write_page(
        run,
        "profiles",
        title="Where the time goes",
        about=ABOUT,
        body=body,
        numbers={"profiles": numbers},
        draw=lambda file: _draw(profiles, file),
        packages=("pyinstrument", "uvicorn", "uvloop", "httptools", "asyncpg", "cryptography"),
    )


def _draw(profiles: Sequence[Profile], file: Path) -> None:
    # Late: it takes a second, and writes its cache of fonts when it is first used.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 0.8 + 0.5 * len(profiles)), layout="constrained")
    axes = figure.subplots()
    packages = list(dict.fromkeys(name for profile in profiles for name in list(profile.packages)[:6]))
    left = [0.0] * len(profiles)
    colours = ("#4477aa", "#ee8866", "#bbcc33", "#99ddff", "#ffaabb", "#eedd88", "#77aadd", "#aaaa00", "#44bb99")
    for number, package in enumerate([*packages, "others"]):
        widths = [
            profile.packages.get(package, 0.0) if package != "others" else max(1 - left[row], 0.0)
            for row, profile in enumerate(profiles)
        ]
        colour = "#dddddd" if package == "others" else colours[number % len(colours)]
        axes.barh([profile.title for profile in profiles], widths, left=left, label=package, color=colour, height=0.6)
        left = [sum(pair) for pair in zip(left, widths, strict=True)]
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.invert_yaxis()
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    figure.savefig(file, metadata={"Date": None})
