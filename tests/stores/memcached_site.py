"""Processes side by side over one cache, and what may happen to a session meanwhile."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from doorward.accounts.model import AccountChange
from doorward.ports import Store
from doorward.secret import Secret
from doorward.stores.sql.sqlite import migrate_sqlite
from doorward.testing import FakeClock, a_new_session, a_session, an_account, an_ending
from tests.memcached import MemcachedServer
from tests.stores.cached import Process, Site, a_site

MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "template.db"
    migrate_sqlite(str(path))
    return path


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def site(template: Path, tmp_path: Path, clock: FakeClock, memcached: MemcachedServer) -> AsyncIterator[Site]:
    place = shutil.copy(template, tmp_path / "doorward.db")
    async with a_site(str(place), clock, memcached) as site:
        yield site


@pytest.fixture
async def one(site: Site) -> Process:
    return await site.process()


@pytest.fixture
async def other(site: Site) -> Process:
    return await site.process()


async def ends(store: Store) -> None:
    await store.end_session(a_new_session().id, an_ending())


async def ends_all(store: Store) -> None:
    await store.end_sessions(an_account().id, an_ending())


async def ends_the_others(store: Store) -> None:
    await store.end_sessions(an_account().id, an_ending(), keep="another")


async def is_disabled(store: Store) -> None:
    await store.change_account(an_account().id, AccountChange(disabled=True), an_ending())


async def gets_roles(store: Store) -> None:
    await store.change_account(an_account().id, AccountChange(roles=("admin",)), an_ending())


async def changes_its_password(store: Store) -> None:
    await store.change_password(an_account(), Secret("new"), keep=None, new_secret_hash=None, ending=an_ending())


async def moves_to_another_handle(store: Store) -> None:
    keep = a_session(strategy="session")
    await store.change_password(an_account(), Secret("new"), keep=keep, new_secret_hash=b"n" * 32, ending=an_ending())


async def signs_in_anew(store: Store) -> None:
    await store.start_session(a_new_session(2), limit=None, replaces=[1], ending=an_ending())


async def signs_in_elsewhere(store: Store) -> None:
    await store.start_session(a_new_session(2), limit=1, replaces=(), ending=an_ending())


EVENTS: list[Callable[[Store], Awaitable[None]]] = [
    ends,
    ends_all,
    ends_the_others,
    is_disabled,
    gets_roles,
    changes_its_password,
    moves_to_another_handle,
    signs_in_anew,
    signs_in_elsewhere,
]
