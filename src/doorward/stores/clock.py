"""The time that a store gives unless it is handed another clock."""

from __future__ import annotations

from datetime import UTC, datetime


def system_clock() -> datetime:
    """This machine's time."""
    return datetime.now(UTC)
