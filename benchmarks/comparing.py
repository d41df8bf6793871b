"""Another column: what a table tells of each way beside its ratio to the first one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from benchmarks.measuring import Measured, Part


def with_column(part: Part, what: str, told: Callable[[Measured], float]) -> Part:
    """The same part with one more column, before those there are.

    Args:
        part: as it was measured.
        what: the column's head.
        told: of each way.
    """
    ways = (replace(way, beside={what: told(way), **way.beside}) for way in part.measured)
    return replace(part, measured=tuple(ways))
