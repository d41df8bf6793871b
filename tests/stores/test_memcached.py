from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from doorward.errors import ConfigurationError
from doorward.ports import Store
from doorward.sessions.model import NewSession
from doorward.stores import open_store
from doorward.stores.memcached import CachedSqlStore
from doorward.testing import FakeClock, a_new_session
from doorward.testing.store_suite import StoreSuite, accounts, case, sessions
from doorward.testing.store_suite.accounts import AccountCases
from doorward.testing.store_suite.housekeeping import HousekeepingCases
from doorward.testing.store_suite.revocations import RevocationCases
from doorward.testing.store_suite.sessions import SessionCases
from tests.memcached import MemcachedServer
from tests.stores.cached import known_by, patient
from tests.stores.new_file import a_new_file

__all__ = ["patient"]


class BeforeSqlite:
    """A cache that is always believed to be fresh, and whose live set never learns anything."""

    memcached_url: str

    @pytest.fixture(autouse=True)
    def empty_cache(self, memcached: MemcachedServer) -> None:
        self.memcached_url = memcached.emptied()

    def make_store(self, clock: FakeClock, tmp_path: Path) -> Store:
        known = known_by(clock)
        return open_store(
            a_new_file(tmp_path),
            clock=clock,
            memcached_url=self.memcached_url,
            knowledge=lambda: known,
        )


class TestCachedStore(BeforeSqlite, StoreSuite):
    pass


class TestCachedHandles(BeforeSqlite, AccountCases, SessionCases, RevocationCases, HousekeepingCases):
    """The cases in which nothing rotates, with sessions that are kept in the cache."""

    @pytest.fixture(autouse=True)
    def by_handle(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def a_handles_session(number: int = 1, **changes: Any) -> NewSession:
            return a_new_session(number, **{"strategy": "session", "carrier": "cookie", **changes})

        for module in (accounts, case, sessions):
            if hasattr(module, "a_new_session"):
                monkeypatch.setattr(module, "a_new_session", a_handles_session)


def test_a_blocking_store_keeps_away_from_the_cache(tmp_path: Path) -> None:
    store = open_store(a_new_file(tmp_path), blocking=True, memcached_url="memcached://127.0.0.1:1")
    assert not isinstance(store, CachedSqlStore)
    with pytest.raises(ConfigurationError):
        open_store(a_new_file(tmp_path), blocking=True, memcached_url="redis://127.0.0.1:1")
