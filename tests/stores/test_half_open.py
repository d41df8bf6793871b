"""PostgreSQL behind a network that swallows everything, and what an address of a provider asks of both drivers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, cast

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from doorward.blocking import run_blocking
from doorward.errors import Busy, DatabaseUnusable, StoreUnavailable, Unavailable
from doorward.stores import migrate, open_store, readiness
from doorward.stores.sql import postgres_runners
from doorward.stores.sql.store import SqlStore
from doorward.testing.store_suite.case import sign_up
from tests.postgres import PostgresServer
from tests.stores.on_postgres import a_store
from tests.tcp_proxy import TcpProxy, a_proxy

SOON = timedelta(milliseconds=50)


@pytest.fixture(scope="module")
def proxy(postgres: PostgresServer) -> Iterator[TcpProxy]:
    with a_proxy(postgres.port) as proxy:
        yield proxy


def behind(proxy: TcpProxy, postgres: PostgresServer) -> str:
    return postgres.emptied().replace(f":{postgres.port}/", f":{proxy.port}/")


@pytest.mark.anyio
async def test_readiness_does_not_wait_for_what_is_swallowed_and_says_so(
    proxy: TcpProxy, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = a_store(behind(proxy, postgres))
    await store.open()
    monkeypatch.setattr(readiness, "PING_TIMEOUT", SOON)
    proxy.swallow()
    try:
        with pytest.raises(StoreUnavailable, match="no answer in time"):
            await store.ping()
    finally:
        proxy.let_through()
        await store.close()


def test_the_same_for_a_host_without_a_loop(
    proxy: TcpProxy, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(behind(proxy, postgres), blocking=True)
    run_blocking(store.open())
    run_blocking(store.ping())
    monkeypatch.setattr(postgres_runners, "PING_TIMEOUT", SOON)
    proxy.swallow()
    try:
        with pytest.raises(Unavailable):
            run_blocking(store.ping())
    finally:
        proxy.let_through()
        run_blocking(store.close())


@pytest.mark.anyio
async def test_a_pool_that_is_all_in_use_is_named_as_the_cause(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = a_store(postgres.emptied() + "?pool_size=2")
    await store.open()
    engine = cast("AsyncEngine", cast("Any", store._runner)._engine)
    async with engine.connect(), engine.connect():
        with monkeypatch.context() as impatient:
            impatient.setattr(readiness, "PING_TIMEOUT", SOON)
            with pytest.raises(Busy, match="2 connections of the pool are in use"):
                await store.ping()
    await store.ping()
    await store.close()


# Addresses


@pytest.mark.anyio
@pytest.mark.parametrize("blocking", [False, True])
async def test_tables_land_in_the_schema_that_an_address_names(postgres: PostgresServer, *, blocking: bool) -> None:
    database = postgres.new_database()
    name = database.rpartition("/")[2]
    postgres.run("CREATE SCHEMA mine", name)
    address = database + "?options=-c%20search_path%3Dmine"
    migrate(address)
    store = a_store(address, blocking=blocking)
    await store.open()
    await sign_up(store)
    await store.close()
    assert postgres.run("SELECT count(*) FROM mine.doorward_account", name) == [(1,)]
    assert postgres.run("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", name) == [(0,)]


@pytest.mark.anyio
@pytest.mark.parametrize("blocking", [False, True])
async def test_a_server_without_tls_is_not_spoken_to_where_channel_binding_is_required(
    postgres: PostgresServer, *, blocking: bool
) -> None:
    store: SqlStore = a_store(postgres.emptied() + "?sslmode=require&channel_binding=require", blocking=blocking)
    with pytest.raises(StoreUnavailable):
        await store.open()


@pytest.mark.anyio
async def test_a_setting_of_an_address_that_the_engine_does_not_take_is_no_trifle(postgres: PostgresServer) -> None:
    store = a_store(postgres.emptied() + "?options=-c%20unheard_of%3D1")
    with pytest.raises(DatabaseUnusable, match="unheard_of"):
        await store.open()
