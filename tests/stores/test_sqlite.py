from __future__ import annotations

from pathlib import Path

from doorward.ports import Store
from doorward.stores import open_store
from doorward.testing import FakeClock
from doorward.testing.store_suite import StoreSuite
from tests.stores.at_once import InThreads
from tests.stores.new_file import a_new_file


class TestSqliteStore(StoreSuite):
    def make_store(self, clock: FakeClock, tmp_path: Path) -> Store:
        return open_store(a_new_file(tmp_path), clock=clock)


class TestBlockingSqliteStore(InThreads):
    """The same file from synchronous code."""

    threads = 16

    def make_store(self, clock: FakeClock, tmp_path: Path) -> Store:
        return open_store(a_new_file(tmp_path), clock=clock, blocking=True)
