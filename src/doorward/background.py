"""Writes that no request has to wait for: that a token has arrived, that a session was used.

A request waits for such a write for a moment, so that a store in good health has it before the answer is sent.  A store
that hangs delays one request by that moment, and no other until a write succeeds again.  A write that is skipped or
fails is made up for when the credential is next used.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import timedelta

from doorward.blocking import run_blocking
from doorward.errors import Unavailable

WAITED_FOR = timedelta(milliseconds=50)
"""How long a request waits for the write that it causes."""

MOST_AT_ONCE = 64
"""How many writes run or wait, while the store is in good health."""

CLOSE_TIMEOUT = timedelta(seconds=1)

Write = Callable[[], Awaitable[None]]
Failed = Callable[[Unavailable], None]

_log = logging.getLogger(__name__)


class _Writes(ABC):
    """Runs writes beside the requests that cause them."""

    def __init__(self) -> None:
        self._is_slow = False

    @abstractmethod
    async def run(self, write: Write, *, failed: Failed) -> None:
        """Start a write and wait for it for a moment at most; skip it where too many are running.

        Args:
            write: may raise Unavailable.
            failed: is called with it.
        """

    @abstractmethod
    async def close(self) -> None:
        """Let what is running end, within a bound."""

    def _takes(self, running: int) -> bool:
        return running < (1 if self._is_slow else MOST_AT_ONCE)

    async def _attempt(self, write: Write, failed: Failed) -> None:
        try:
            await write()
            self._is_slow = False
        except Unavailable as error:
            failed(error)
        except Exception:  # noqa: BLE001 -- whatever it is, nobody else would report it
            _log.exception("a background write failed")


class LoopWrites(_Writes):
    """For hosts with an event loop."""

    def __init__(self) -> None:
        super().__init__()
        self._running: set[asyncio.Task[None]] = set()

    async def run(self, write: Write, *, failed: Failed) -> None:
        if not self._takes(len(self._running)):
            return
        waits = not self._is_slow
        task = asyncio.get_running_loop().create_task(self._attempt(write, failed))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        if waits:
            _, pending = await asyncio.wait({task}, timeout=WAITED_FOR.total_seconds())
            self._is_slow = self._is_slow or bool(pending)

    async def close(self) -> None:
        here = asyncio._get_running_loop()  # noqa: SLF001 -- documented for this: None where there is none
        running = [task for task in self._running if task.get_loop() is here]
        for task in self._running.difference(running):
            # Of a loop that runs elsewhere, or has been closed: then the task is over with it.
            if not task.get_loop().is_closed():
                task.get_loop().call_soon_threadsafe(task.cancel)
        self._running.clear()
        if running:
            await asyncio.wait(running, timeout=CLOSE_TIMEOUT.total_seconds())
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


class ThreadWrites(_Writes):
    """For hosts without an event loop: a thread that ends when nothing is left to write.

    A fork takes the thread along as one that has ended, so that the next write starts another.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Write, Failed, threading.Event]] = deque()
        self._thread: threading.Thread | None = None

    async def run(self, write: Write, *, failed: Failed) -> None:
        done = threading.Event()
        with self._lock:
            runs = self._thread is not None and self._thread.is_alive()
            if not self._takes(len(self._waiting) + runs):
                return
            waits = not self._is_slow
            self._waiting.append((write, failed, done))
            if not runs:
                # A daemon: a store that hangs does not keep a process from ending.
                self._thread = threading.Thread(target=self._drain, name="doorward-background", daemon=True)
                self._thread.start()
        if waits and not done.wait(WAITED_FOR.total_seconds()):
            self._is_slow = True

    async def close(self) -> None:
        thread = self._thread
        if thread is not None and thread.is_alive():
            thread.join(CLOSE_TIMEOUT.total_seconds())

    def _drain(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                write, failed, done = self._waiting.popleft()
            run_blocking(self._attempt(write, failed))
            done.set()
