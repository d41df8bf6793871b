"""What is asked for in one tick of an event loop travels together.

Clients are the limit of the hot path, not engines: a way there and back costs as much for one key as for a hundred.
Whoever asks alone waits for nobody: a batch leaves at the end of the tick, whatever is in it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

from doorward.errors import Busy, ValidationFailed

Q = TypeVar("Q")
A = TypeVar("A")

BATCH_BOUND = 500
WAITING_BOUND = 5_000
TURN_TIMEOUT = timedelta(seconds=2)
"""How long a request waits for its batch to leave."""

ANSWER_TIMEOUT = timedelta(seconds=8)
"""How long the first of a batch waits in all."""


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Q, A]):
    request: Q
    future: asyncio.Future[A]
    asked_at: float


class Coalescer(Generic[Q, A]):
    """Answers requests in batches; for one event loop.

    A request whose caller was cancelled before its batch left is left out; afterwards it has lost the answer, not the
    work.  Nothing that becomes of one caller becomes of another.

    Args:
        work: answers a batch, in order.  What it raises is the outcome of all.
        told: the error that one caller is told; makes a new one for each, since a traceback grows with every place
            that raises it.
        most_in_flight: batches at once, at most.
        apart: of requests for which it is equal, one is in flight at a time.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Q]], Awaitable[Sequence[A]]],
        *,
        told: Callable[[Exception], Exception],
        most_in_flight: int,
        apart: Callable[[Q], Hashable] | None = None,
    ) -> None:
        self._work = work
        self._told = told
        self._most_in_flight = most_in_flight
        self._apart = apart
        self._waiting: deque[_Waiting[Q, A]] = deque()
        self._busy: set[Hashable] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_due = False
        self._turn: asyncio.TimerHandle | None = None

    async def ask(self, request: Q) -> A:
        """The answer to one request.

        Raises:
            Busy: too many wait, or its turn did not come.
        """
        if len(self._waiting) >= WAITING_BOUND:
            raise Busy(detail=f"{WAITING_BOUND} requests wait for a connection")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[A] = loop.create_future()
        self._waiting.append(_Waiting(request, future, loop.time()))
        if not self._is_due:
            self._is_due = True
            # Whoever runs in this tick asks before it.
            loop.call_soon(self._send)
        return await future

    async def stop(self) -> None:
        """Wait for what is in flight."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _send(self) -> None:
        self._is_due = False
        while len(self._tasks) < self._most_in_flight and (batch := self._take()):
            task = asyncio.get_running_loop().create_task(self._answer(batch))
            # The loop itself holds tasks weakly.
            self._tasks.add(task)
            task.add_done_callback(self._done)
        if self._waiting and self._turn is None:
            at = self._waiting[0].asked_at + TURN_TIMEOUT.total_seconds()
            self._turn = asyncio.get_running_loop().call_at(at, self._refuse_overdue)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._send()

    def _take(self) -> list[_Waiting[Q, A]]:
        """The next batch; what must not be in it goes on waiting, in its order."""
        batch: list[_Waiting[Q, A]] = []
        kept: list[_Waiting[Q, A]] = []
        while self._waiting and len(batch) < BATCH_BOUND:
            waiting = self._waiting.popleft()
            if waiting.future.done():
                continue
            if self._apart is not None and not self._reserve(self._apart(waiting.request)):
                kept.append(waiting)
                continue
            batch.append(waiting)
        self._waiting.extendleft(reversed(kept))
        return batch

    def _reserve(self, name: Hashable) -> bool:
        if name in self._busy:
            return False
        self._busy.add(name)
        return True

    async def _answer(self, batch: Sequence[_Waiting[Q, A]]) -> None:
        try:
            await self._answer_together(batch)
        finally:
            for waiting in batch:
                # Cancelled from outside: the loop is being closed.
                waiting.future.cancel()
            if self._apart is not None:
                self._busy.difference_update(self._apart(waiting.request) for waiting in batch)

    async def _answer_together(self, batch: Sequence[_Waiting[Q, A]]) -> None:
        try:
            async with asyncio.timeout_at(batch[0].asked_at + ANSWER_TIMEOUT.total_seconds()):
                answers = await self._work([waiting.request for waiting in batch])
        except Exception as error:  # noqa: BLE001 -- it is raised where the answer was asked for
            if len(batch) > 1 and isinstance(self._told(error), ValidationFailed):
                # A value that no column takes: whoever sent it speaks for nobody else.
                for waiting in batch:
                    await self._answer_together([waiting])
                return
            for waiting in batch:
                if not waiting.future.done():
                    waiting.future.set_exception(self._told(error))
            return
        for waiting, answer in zip(batch, answers, strict=True):
            if not waiting.future.done():
                waiting.future.set_result(answer)

    def _refuse_overdue(self) -> None:
        self._turn = None
        overdue = asyncio.get_running_loop().time() - TURN_TIMEOUT.total_seconds()
        while self._waiting and self._waiting[0].asked_at <= overdue:
            future = self._waiting.popleft().future
            if not future.done():
                future.set_exception(Busy(detail="all connections of the hot path are in use"))
        self._send()
