"""How long readiness may take: an orchestrator asks every few seconds, and gives up after one or two."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from doorward.errors import Unavailable

PING_TIMEOUT = timedelta(milliseconds=800)
"""How long one store is asked; where sessions live in Redis, two are asked one after the other."""


@asynccontextmanager
async def within_ping_timeout(overdue: Callable[[], Unavailable]) -> AsyncIterator[None]:
    """Raise the error that ``overdue`` makes where what is inside takes longer."""
    try:
        async with asyncio.timeout(PING_TIMEOUT.total_seconds()):
            yield
    except TimeoutError as error:
        raise overdue() from error
