from __future__ import annotations

from pathlib import Path

from doorward.ports import Store
from doorward.stores.memory import MemoryStore
from doorward.testing import FakeClock
from doorward.testing.store_suite import StoreSuite


class TestMemoryStore(StoreSuite):
    def make_store(self, clock: FakeClock, tmp_path: Path) -> Store:
        return MemoryStore(clock)


def test_two_memory_stores_are_two() -> None:
    assert MemoryStore().identity != MemoryStore().identity
