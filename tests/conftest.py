from __future__ import annotations

import gc
import os
import sys
from collections.abc import Generator, Iterator
from datetime import timedelta

import pytest
from hypothesis import settings

from doorward import background
from tests import memcached as memcached_programs
from tests import valkey as valkey_programs
from tests.memcached import MemcachedServer, a_memcached
from tests.postgres import PostgresServer, a_postgres, missing
from tests.valkey import ValkeyServer, a_valkey

# Before anything imports it.
pytest.register_assert_rewrite("doorward.testing.store_suite")

# No deadline: a machine that is busy is no defect.  CI draws the same examples every time, so that its answer does not
# depend on luck; a developer's runs go on looking.
settings.register_profile("developer", deadline=None, print_blob=True)
settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "developer")

# A machine that is busy must not decide whether a write in the background is done before the answer.
background.WAITED_FOR = timedelta(seconds=30)

# What was compiled for one process is kept for the next, also where the machine says not to: tests start hundreds.
os.environ["PYTHONDONTWRITEBYTECODE"] = ""
sys.dont_write_bytecode = False


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the collector away from the collected tests: going through all of them again and again takes a third as
    long as the tests themselves.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real server for each process of tests; its database is at head, and each test empties it for itself."""
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    with a_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def memcached() -> Iterator[MemcachedServer]:
    """A real server for each process of tests; each test empties it for itself."""
    reason = memcached_programs.missing()
    if reason is not None:
        pytest.skip(reason)
    with a_memcached() as server:
        yield server


@pytest.fixture(scope="session")
def valkey() -> Iterator[ValkeyServer]:
    """A real server for each process of tests; each test empties it for itself."""
    reason = valkey_programs.missing()
    if reason is not None:
        pytest.skip(reason)
    with a_valkey() as server:
        yield server
