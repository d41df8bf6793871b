"""A thread that works off a bounded queue and answers an event loop."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

from doorward.errors import Busy, StoreUnavailable
from doorward.stores.sql.transaction import Transaction

T = TypeVar("T")

QUEUE_BOUND = 512
BATCH_BOUND = 64
"""How many jobs are done in one go: enough to share a wait for the disk, few enough to keep the lock for a moment."""

QUEUE_TIMEOUT = timedelta(seconds=2)
"""A job that waited for longer is not begun: whoever asked has given up."""


@dataclass(slots=True, eq=False)
class Job:
    """Something to be done in the thread, and who waits for it."""

    statement: Callable[[Transaction], Any]
    future: asyncio.Future[Any]
    queued_at: float
    result: Any = None
    error: Exception | None = None

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Keep what goes wrong as the job's outcome."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 -- it is raised where the job was asked for
            self.error = error

    def answer(self) -> None:
        """Tell who waits; in their event loop.  Who was cancelled meanwhile has lost the answer, not the work."""
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class Worker:
    """One thread.

    Args:
        name: of the thread.
        work: does several jobs and leaves each its result or error; must not raise.
    """

    def __init__(self, name: str, work: Callable[[list[Job]], None]) -> None:
        self._name = name
        self._work = work
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        # A daemon: a process that ends without closing the store does not hang, and SQLite survives a death anywhere.
        self._thread = threading.Thread(target=self._main, name=self._name, daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Do what was asked before, then end."""
        if self._thread is not None:
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join)
            self._thread = None

    async def do(self, statement: Callable[[Transaction], T]) -> T:
        """Have something done.  It is done even if whoever waits for it is cancelled.

        Raises:
            Busy: the queue is full.
            StoreUnavailable: the thread does not run, or did not get round to it.
        """
        # A process that was forked has the queue and not the thread.
        if self._thread is None or not self._thread.is_alive():
            raise StoreUnavailable(detail="the store is not open in this process")
        if self._queue.qsize() >= QUEUE_BOUND:
            raise Busy(detail=f"{QUEUE_BOUND} jobs wait for {self._name}")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put(
            Job(statement=statement, future=cast("asyncio.Future[Any]", future), queued_at=time.monotonic())
        )
        return await future

    def _main(self) -> None:
        goes_on = True
        while goes_on:
            jobs, goes_on = self._take()
            begun = [job for job in jobs if not _is_stale(job)]
            if begun:
                self._work(begun)
            _answer(jobs)
            # Otherwise the frame holds on to the last results until there are new ones.
            del jobs, begun

    def _take(self) -> tuple[list[Job], bool]:
        """What waits, and whether there is to be more after it."""
        jobs: list[Job] = []
        try:
            job = self._queue.get()
            while job is not None:
                jobs.append(job)
                if len(jobs) == BATCH_BOUND:
                    return jobs, True
                job = self._queue.get_nowait()
        except queue.Empty:
            return jobs, True
        return jobs, False


def _is_stale(job: Job) -> bool:
    if time.monotonic() - job.queued_at <= QUEUE_TIMEOUT.total_seconds():
        return False
    job.error = Busy(detail="waited too long for its turn; not begun")
    return True


def _answer(jobs: Sequence[Job]) -> None:
    """Wake each event loop once, however many of its callers wait."""
    of_loop: dict[asyncio.AbstractEventLoop, list[Job]] = defaultdict(list)
    for job in jobs:
        of_loop[job.future.get_loop()].append(job)
    for loop, answered in of_loop.items():
        try:
            loop.call_soon_threadsafe(_answer_all, answered)
        except RuntimeError:
            # The loop is closed: nobody waits there any more.
            continue


def _answer_all(jobs: Sequence[Job]) -> None:
    for job in jobs:
        job.answer()
