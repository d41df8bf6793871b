"""Operations for synchronous callers: Django, Flask, the command line.

An operation is written once, as a coroutine.  Over a store that blocks it never suspends, so that stepping it once runs
it to its end, without an event loop and without a thread.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class WouldSuspend(RuntimeError):
    """A coroutine waited for an event loop that is not there; it was closed where it stood."""


def run_blocking(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in the calling thread.

    Args:
        coroutine: an operation over ports that block, such as ``open_store(..., blocking=True)``.

    Raises:
        WouldSuspend: it awaits something that needs an event loop; what it did before that is done.
    """
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # what the coroutine returns is T
    coroutine.close()
    name = getattr(coroutine, "__qualname__", repr(coroutine))
    raise WouldSuspend(f"{name} waits for an event loop; open the store with blocking=True, or await it")
