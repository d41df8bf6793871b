"""``doorward copy``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from doorward.cli.flags import AsJson

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from doorward.stores.sql.copying import Copied, Progress

From = Annotated[str, typer.Option("--from", metavar="URL", help="sqlite:///file.db or postgresql://...")]
To = Annotated[str, typer.Option("--to", metavar="URL", help="Another one, made by doorward migrate, and empty.")]


def copy(*, source: From, target: To, as_json: AsJson = False) -> None:
    """Copy everything from one database to another, while servers go on writing to the first.

    Begun again after it was broken off, it goes on where it was; begun again after it was finished, it writes what has
    changed since.  At the end everybody else is kept from writing while both are compared row by row.  The page
    docs/guides/moving-databases.md tells the steps of a move.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    from doorward.cli.output import print_json
    from doorward.stores.sql.copying import copy_database

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Bars(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        copied = copy_database(source, target, report=_shown_on(bars))
    if as_json:
        print_json(_as_json(copied))
    else:
        _print(copied)


def _shown_on(bars: Bars) -> Callable[[Progress], None]:
    """One bar a table, beginning anew with each pass."""
    tasks: dict[tuple[str, str], TaskID] = {}

    def show(progress: Progress) -> None:
        which = progress.during, progress.table
        if which not in tasks:
            tasks[which] = bars.add_task(f"{progress.during} {progress.table}", total=progress.total)
        bars.update(tasks[which], completed=progress.rows, total=max(progress.rows, progress.total))

    return show


def _as_json(copied: Copied) -> dict[str, object]:
    tables = [
        {
            "name": table.name,
            "rows": table.rows,
            "written": table.written,
            "removed": table.removed,
            "checksum": table.checksum,
        }
        for table in copied.tables
    ]
    return {
        "from": copied.source,
        "to": copied.target,
        "tables": tables,
        "seconds": round(copied.seconds, 3),
        "held_seconds": round(copied.held_seconds, 3),
    }


def _print(copied: Copied) -> None:
    from doorward.cli.output import print_table

    print_table(
        ["table", "rows", "written now", "removed", "SHA-256 of all rows"],
        [
            [table.name, f"{table.rows:,}", f"{table.written:,}", f"{table.removed:,}", table.checksum]
            for table in copied.tables
        ],
    )
    print(f"Copied from {copied.source} to {copied.target} in {copied.seconds:.1f} s; both have the same rows.")
    print(f"Others could not write to the first for {copied.held_seconds:.1f} s, and can again.")
    print("What they write from now on is copied by the same command, until a server has opened the copy.")
    print("The secret is not in either: servers on the copy need the same DOORWARD_SECRET, or secret file.")
