"""The deployment of a synchronous host once more, for an event loop of its process."""

from __future__ import annotations

from typing import TypeVar

from doorward.clocks import system_clock
from doorward.doorward import Doorward

D = TypeVar("D", bound=Doorward)


def beside(other: Doorward, kind: type[D]) -> D:
    """What ``other`` was made of, as one that awaits.

    The two share what they keep and nothing else: what the one ends, the other learns as it learns it of any process.

    Args:
        other: opened or not.
        kind: what it is to be.
    """
    in_memory = other.database == "memory:"
    made = kind(
        other.database,
        secret=other._secret,  # noqa: SLF001 -- this is the other half of its constructor
        redis=None if in_memory else other._redis,  # noqa: SLF001
        on_sign_up=other._on_sign_up,  # noqa: SLF001
        clock=None if other._clock is system_clock else other._clock,  # noqa: SLF001
        ticks=other._ticks,  # noqa: SLF001
        entropy=other._entropy,  # noqa: SLF001
    )
    made.options = other.options
    if in_memory:
        # There is no second way to it, and both threads and event loops may call it.
        made._store = other._store  # noqa: SLF001
    return made
