from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any, TypeVar

import pytest

from doorward.blocking import run_blocking
from doorward.ports import Store
from doorward.stores import open_store
from doorward.testing import FakeClock
from doorward.testing.store_suite import StoreSuite
from tests.postgres import PostgresServer

T = TypeVar("T")
THREADS = 8


class OnPostgres(StoreSuite):
    address: str

    @pytest.fixture(autouse=True)
    def empty_database(self, postgres: PostgresServer) -> None:
        self.address = postgres.emptied()


class TestPostgresStore(OnPostgres):
    def make_store(self, clock: FakeClock, tmp_path: Path) -> Store:
        return open_store(self.address, clock=clock)


class TestBlockingPostgresStore(OnPostgres):
    """The same database from synchronous code; what happens at once happens in threads."""

    def make_store(self, clock: FakeClock, tmp_path: Path) -> Store:
        return open_store(self.address, clock=clock, blocking=True)

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
