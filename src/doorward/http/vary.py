"""Answers that depend on who asks say so, for caches that keep answers for many (RFC 9110 section 12.5.5)."""

from __future__ import annotations

from collections.abc import Iterable

from doorward.http.message import Header

WHO_ASKS = ("Cookie", "Authorization")
"""The headers that say who makes a request."""

VARY: Header = ("vary", ", ".join(WHO_ASKS))


def merge_vary(present: Iterable[str]) -> str:
    """The value of ``Vary`` for an answer that depends on who asks.

    Args:
        present: the values that the answer has, one for each header of that name.
    """
    named = [name for value in present for part in value.split(",") if (name := part.strip())]
    if "*" in named:
        return "*"
    known = {name.lower() for name in named}
    return ", ".join([*named, *(name for name in WHO_ASKS if name.lower() not in known)])
