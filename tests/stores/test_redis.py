from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from doorward.ports import Store
from doorward.stores import open_store
from doorward.stores.redis import clients
from doorward.testing import FakeClock
from doorward.testing.store_suite import StoreSuite
from tests.stores.at_once import InThreads
from tests.stores.new_file import a_new_file
from tests.valkey import ValkeyCluster, ValkeyServer, a_cluster, missing


@pytest.fixture(scope="module")
def cluster() -> Iterator[ValkeyCluster]:
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    with a_cluster() as nodes:
        yield nodes


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Races of a hundred on a busy machine take longer than somebody who signs in should wait."""
    monkeypatch.setattr(clients, "POOL_TIMEOUT", timedelta(seconds=60))
    monkeypatch.setattr(clients, "OPERATION_TIMEOUT", timedelta(seconds=60))


class OnRedis(StoreSuite):
    forgets_by_itself = True
    redis_url: str

    @pytest.fixture(autouse=True)
    def empty_server(self, valkey: ValkeyServer) -> None:
        self.redis_url = valkey.emptied()

    def make_store(self, clock: FakeClock, tmp_path: Path) -> Store:
        return open_store(a_new_file(tmp_path), clock=clock, redis_url=self.redis_url)


class TestRedisStore(OnRedis):
    """One node, under an event loop."""


class TestBlockingRedisStore(InThreads, OnRedis):
    """The same from synchronous code."""

    threads = 8

    def make_store(self, clock: FakeClock, tmp_path: Path) -> Store:
        return open_store(a_new_file(tmp_path), clock=clock, redis_url=self.redis_url, blocking=True)


class TestRedisClusterStore(OnRedis):
    """Three nodes, under an event loop."""

    @pytest.fixture(autouse=True)
    def empty_server(self, cluster: ValkeyCluster) -> None:
        self.redis_url = cluster.emptied()
