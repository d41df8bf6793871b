"""Listening on and on: what every kind of announcement does when the connection is gone."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

_SHORTEST_WAIT, _LONGEST_WAIT = 0.1, 10.0

_log = logging.getLogger(__name__)


async def listen_on(
    listen_once: Callable[[], Awaitable[None]], *, place: str, told: Callable[[Exception], str]
) -> None:
    """Listen until cancelled, with longer and longer pauses while nobody is there.

    Args:
        listen_once: returns when a connection that was listened on is gone; raises where there is none to be had.
        place: where, for people.
        told: what may be said of an error.
    """
    failures = 0
    while True:
        try:
            await listen_once()
            failures = 0
        except Exception as error:  # noqa: BLE001 -- drivers and networks fail in many ways; none may end this
            if failures == 0:
                detail = told(error) or type(error).__name__
                _log.warning("no announcements from %s, revocations of others come by reading: %s", place, detail)
            failures += 1
        longest = min(_SHORTEST_WAIT * 2.0 ** min(failures, 30), _LONGEST_WAIT)
        await asyncio.sleep(longest * random.random())  # noqa: S311 -- so that not all come at one moment
