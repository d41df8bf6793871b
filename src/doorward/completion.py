"""Running an operation to its end although whoever asked for it has gone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_log = logging.getLogger(__name__)


async def to_the_end(operation: Coroutine[Any, Any, T]) -> T:
    """Run an operation so that cancelling the caller does not stop it half-way.

    Between the commit and what follows from it in memory a cancellation would leave a session ended in the store and
    honoured by this process, until it reads what has been revoked.
    """
    task = asyncio.get_running_loop().create_task(operation)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_report)
        raise


def _report(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.info("an operation that nobody waits for any more ended with %s", type(error).__name__)
