"""How many requests are answered at once, and how long one may take.

A server that takes on more than it can do answers everybody late, health checks included, and does most of it for
clients that have given up.  So what is more than a bound is refused at once, before anything has been read, counted or
changed: whoever is refused may repeat the request as it is.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from datetime import timedelta

from doorward.doorward import Doorward
from doorward.errors import Busy, StoreUnavailable

MOST_IN_FLIGHT = 256
"""Requests of one process that wait for a store, for hashing or for their turn."""

ANSWERED_WITHIN = timedelta(seconds=8)
"""How long one request may take in all, under an event loop; docs/guides/stores.md says what bounds each step of it."""

_LONGEST_RETRY_SECONDS = 3

OVERDUE = "the request was not answered in time; whether it took is not known"


class Admission:
    """Counts the requests that one process is answering, and bounds them.

    ``refused`` counts those that were not taken on.
    """

    def __init__(self) -> None:
        self.in_flight = 0
        self.refused = 0

    @asynccontextmanager
    async def answering(self, auth: Doorward, *, always: bool = False) -> AsyncIterator[None]:
        """Answer one request inside, if there is room for it, and within a bound of time.

        A host without an event loop cannot interrupt itself; its stores bound each of their operations.

        Args:
            auth: the deployment.
            always: take it on whatever else waits, and do not count it.

        Raises:
            Busy: too many are being answered; nothing of this one has been done.
            StoreUnavailable: it takes too long.  What must run to its end does so all the same.
        """
        if not always and self.is_full:
            raise self.refusal()
        self.in_flight += not always
        bound = None if auth.is_blocking else asyncio.timeout(ANSWERED_WITHIN.total_seconds())
        try:
            async with bound or nullcontext():
                yield
        except TimeoutError as error:
            if bound is None or not bound.expired():
                raise
            raise StoreUnavailable(detail=OVERDUE) from error
        finally:
            self.in_flight -= not always

    @property
    def is_full(self) -> bool:
        return self.in_flight >= MOST_IN_FLIGHT

    def refusal(self) -> Busy:
        """What a request is told that is not taken on."""
        self.refused += 1
        # Spread: those who were refused at once do not come back at once.
        seconds = random.randint(1, _LONGEST_RETRY_SECONDS)  # noqa: S311 -- nothing secret hangs on it
        return Busy(timedelta(seconds=seconds), f"{MOST_IN_FLIGHT} requests are being answered")
