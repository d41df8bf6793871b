from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from doorward.blocking import run_blocking
from doorward.ports import Store
from doorward.revocation.model import Kind
from doorward.secret import Secret
from doorward.sessions.model import Ended, NewSession
from doorward.stores import open_store
from doorward.testing import FakeClock, a_new_session, an_account, an_ending
from doorward.testing.store_suite import StoreSuite, accounts, case, sessions
from doorward.testing.store_suite.accounts import AccountCases
from doorward.testing.store_suite.housekeeping import HousekeepingCases
from doorward.testing.store_suite.revocations import RevocationCases
from doorward.testing.store_suite.sessions import SessionCases
from tests.memcached import MemcachedServer
from tests.stores.cached import known_by, patient

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
            f"sqlite:///{tmp_path}/doorward.db",
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

    async def test_a_new_password_ends_the_other_sessions_and_moves_the_kept_one(self, store: Store) -> None:
        """And revokes the handle that the kept one had."""
        await case.sign_up(store)
        kept, other = await case.start(store, 1), await case.start(store, 2)
        ended = await store.change_password(
            an_account(), Secret("new"), keep=kept, new_secret_hash=b"n" * 32, ending=an_ending()
        )
        assert isinstance(ended, Ended)
        handle = (Kind.TOKEN, f"handle:{kept.secret_hash.hex()}")
        assert [(entry.kind, entry.id) for entry in ended.revocations] == [(Kind.SESSION, other.id), handle]
        assert {entry.id for entry in (await store.revocations()).revocations} == {other.id, handle[1]}
        assert await case.row(store, kept) == replace(kept, account_version=1, secret_hash=b"n" * 32)


def test_a_blocking_host_neither_reads_nor_waits_for_the_cache(tmp_path: Path) -> None:
    """And what it moves is revoked all the same: others keep it."""
    address = f"sqlite:///{tmp_path}/doorward.db"
    store = open_store(address, blocking=True, memcached_url="memcached://127.0.0.1:1")
    run_blocking(store.open())
    run_blocking(case.sign_up(store))
    kept = run_blocking(case.start(store, strategy="session", carrier="cookie"))
    run_blocking(
        store.change_password(an_account(), Secret("new"), keep=kept, new_secret_hash=b"n" * 32, ending=an_ending())
    )
    assert [entry.kind for entry in run_blocking(store.revocations()).revocations] == [Kind.TOKEN]
    assert run_blocking(case.row(store, kept)).secret_hash == b"n" * 32
    run_blocking(store.close())
