from __future__ import annotations

from pathlib import Path

import pytest

from doorward.ports import Store
from doorward.stores import open_store
from doorward.testing import FakeClock
from doorward.testing.store_suite import StoreSuite
from tests.postgres import PostgresServer
from tests.stores.at_once import InThreads


class OnPostgres(StoreSuite):
    address: str

    @pytest.fixture(autouse=True)
    def empty_database(self, postgres: PostgresServer) -> None:
        self.address = postgres.emptied()


class TestPostgresStore(OnPostgres):
    def make_store(self, clock: FakeClock, tmp_path: Path) -> Store:
        return open_store(self.address, clock=clock)


class TestBlockingPostgresStore(InThreads, OnPostgres):
    """The same database from synchronous code."""

    threads = 8

    def make_store(self, clock: FakeClock, tmp_path: Path) -> Store:
        return open_store(self.address, clock=clock, blocking=True)
