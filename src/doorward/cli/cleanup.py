"""``doorward cleanup``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from doorward.cli.flags import AsJson, Config, Database
from doorward.cli.opening import opened

if TYPE_CHECKING:
    from doorward.doorward import Doorward
    from doorward.ports import Removed

_TURN_SECONDS = 0.1
_KINDS = ("sessions", "revocations", "audit_events", "keys")


def cleanup(*, database: Database = None, config: Config = None, as_json: AsJson = False) -> None:
    """Remove what has expired and been kept long enough, batch by batch.

    A running server does so itself every minute: this is for databases that no server is kept running on.
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    from doorward.cli.output import print_json

    totals = dict.fromkeys(_KINDS, 0)
    # How much there is to remove is not known before: counting takes as long as removing.
    columns = (SpinnerColumn(), TextColumn("removed {task.completed:,.0f} rows"))
    console = Console(stderr=True)
    with (
        opened(config=config, database=database) as auth,
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar,
    ):
        task = bar.add_task("", total=None)
        for removed in _batches(auth):
            counts = {kind: getattr(removed, kind) for kind in _KINDS}
            totals = {kind: totals[kind] + counts[kind] for kind in _KINDS}
            bar.advance(task, sum(counts.values()))
    if as_json:
        print_json(totals)
    else:
        print("Removed: " + ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in totals.items()) + ".")


def _batches(auth: Doorward) -> Iterator[Removed]:
    from doorward.blocking import run_blocking

    more = True
    while more:
        removed = run_blocking(auth.remove_expired())
        yield removed
        if removed.elsewhere:
            # A server has its turn, for a batch.
            time.sleep(_TURN_SECONDS)
        more = removed.more or removed.elsewhere
