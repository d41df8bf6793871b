from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any, TypeVar

from doorward.blocking import run_blocking
from doorward.ports import Store
from doorward.stores import open_store
from doorward.testing import FakeClock
from doorward.testing.store_suite import StoreSuite

T = TypeVar("T")
THREADS = 16


class TestSqliteStore(StoreSuite):
    def make_store(self, clock: FakeClock, tmp_path: Path) -> Store:
        return open_store(f"sqlite:///{tmp_path}/doorward.db", clock=clock)


class TestBlockingSqliteStore(StoreSuite):
    """The same file from synchronous code; what happens at once happens in threads."""

    def make_store(self, clock: FakeClock, tmp_path: Path) -> Store:
        return open_store(f"sqlite:///{tmp_path}/doorward.db", clock=clock, blocking=True)

    async def at_once(self, *operations: Callable[[], Coroutine[Any, Any, T]]) -> Sequence[T]:
        together = Barrier(min(THREADS, len(operations)))

        def run(share: Sequence[Callable[[], Coroutine[Any, Any, T]]]) -> list[T]:
            together.wait()
            return [run_blocking(operation()) for operation in share]

        shares = [operations[start :: together.parties] for start in range(together.parties)]
        with ThreadPoolExecutor(together.parties) as threads:
            done = list(threads.map(run, shares))
        # Back in the order in which they were given.
        return [done[place % together.parties][place // together.parties] for place in range(len(operations))]
