"""How commands print: tables for people, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

_PIPED_WIDTH = 240


def print_json(value: Any) -> None:
    """Print a value of the contract's shapes, or plain JSON values."""
    import msgspec

    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str | None]]) -> None:
    """Print a table; what is None is shown as a dash."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"  # an id that is cut off is no id
    for row in rows:
        table.add_row(*(Text(plain(cell) if cell is not None else "–") for cell in row))
    Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH, highlight=False).print(table)


def plain(text: str) -> str:
    """Text without what steers a terminal: names and user agents come from strangers."""
    return "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in text)


def time(instant: datetime | None) -> str | None:
    """An instant for people, to the second, UTC."""
    return instant.strftime("%Y-%m-%d %H:%M:%SZ") if instant is not None else None


def relative(instant: datetime, *, now: datetime) -> str:
    """How far away an instant is, in words."""
    distance = instant - now
    if abs(distance) < timedelta(seconds=1):
        return "now"
    return f"in {span(distance)}" if distance > timedelta(0) else f"{span(-distance)} ago"


def span(duration: timedelta) -> str:
    """A duration in its largest two units."""
    seconds = int(duration.total_seconds())
    units = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))
    parts = []
    for name, size in units:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {name}{'s' if count > 1 else ''}")
    return " ".join(parts[:2]) or "less than a second"
