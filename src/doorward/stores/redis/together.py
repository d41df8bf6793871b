"""What one tick of an event loop asks for, asked together: a way to the server costs the same for one and for many."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

from doorward.errors import Unavailable
from doorward.stores.redis.unavailable import RedisUnavailable

A = TypeVar("A")
B = TypeVar("B")

MOST_AT_ONCE = 128
"""How many travel together."""


class Together(Generic[A, B]):
    """Gathers questions until all that is ready in this tick has asked.

    Args:
        answer: answers several, in their order; an error in the place of an answer is one for who asked that alone.
        keep: runs what is on its way, until it is done or the store is closed.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[A]], Awaitable[Sequence[B | Exception]]],
        keep: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._answer = answer
        self._keep = keep
        self._waiting: list[tuple[A, asyncio.Future[B]]] = []

    async def ask(self, asked: A) -> B:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[B] = loop.create_future()
        self._waiting.append((asked, answer))
        if len(self._waiting) == 1:
            loop.call_soon(self._send)
        return await answer

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), MOST_AT_ONCE):
            self._keep(self._deliver(waiting[start : start + MOST_AT_ONCE]))

    async def _deliver(self, waiting: Sequence[tuple[A, asyncio.Future[B]]]) -> None:
        answers: Sequence[B | Exception]
        try:
            answers = await self._answer([asked for asked, _ in waiting])
        except BaseException as error:  # noqa: BLE001 -- whatever it is, those who wait are told
            cause = error if isinstance(error, Exception) else RedisUnavailable(detail="the store is being closed")
            answers = [_apart(cause) for _ in waiting]
        for (_, future), answer in zip(waiting, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)


def _apart(error: Exception) -> Exception:
    """One error for each who waits: a traceback grows with every place that raises it."""
    return type(error)(error.retry_after, error.detail) if isinstance(error, Unavailable) else error
