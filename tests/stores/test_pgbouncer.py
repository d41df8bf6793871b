"""A pooler before PostgreSQL: by the session it works and keeps the bounds, by the transaction it is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from doorward.blocking import run_blocking
from doorward.doorward import Doorward
from doorward.errors import DatabaseUnusable
from doorward.stores import migrate, open_store
from doorward.stores.sql import postgres_connecting
from doorward.stores.sql.postgres_address import parse_postgres
from doorward.stores.sql.postgres_connecting import settings_of
from doorward.stores.sql.store import SqlStore
from doorward.stores.sql.transaction import Transaction
from tests import pgbouncer
from tests.pgbouncer import a_pgbouncer
from tests.postgres import PostgresServer
from tests.sessions.deployments import ACTOR, EMAIL, HOME, PASSWORD, SECRET, next_access, refresh_token, sign_in


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    reason = pgbouncer.missing()
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture(scope="module")
def by_session(postgres: PostgresServer) -> Iterator[int]:
    with a_pgbouncer(postgres, pool_mode="session") as port:
        yield port


@pytest.fixture(scope="module")
def by_transaction(postgres: PostgresServer) -> Iterator[int]:
    with a_pgbouncer(postgres, pool_mode="transaction") as port:
        yield port


def address(port: int, postgres: PostgresServer) -> str:
    return postgres.emptied().replace(f":{postgres.port}/", f":{port}/")


def show(name: str) -> Any:
    return lambda tx: tx.connection.exec_driver_sql(f"SHOW {name}").scalar()


@pytest.mark.anyio
async def test_a_pooler_by_the_session_is_as_good_as_the_database(by_session: int, postgres: PostgresServer) -> None:
    database = address(by_session, postgres)
    async with Doorward(database, secret=SECRET, insecure_fast_hashing=True) as auth:
        await auth.sign_up(email=EMAIL, password=PASSWORD, actor=ACTOR)
        refreshed = await auth.refresh(refresh_token(await sign_in(auth)), origin=HOME)
        assert await auth.authenticate(bearer=next_access(refreshed))
        await auth.ping()
        store = auth.deployment.store
        assert isinstance(store, SqlStore)
        assert await store._runner.look_up(show("statement_timeout")) == "5s"
        assert await store._runner.look_up(show("lock_timeout")) == "2s"


def test_the_same_for_a_host_without_a_loop_and_for_migrating(by_session: int, postgres: PostgresServer) -> None:
    database = address(by_session, postgres)
    assert migrate(database).before == migrate(database).after
    store = open_store(database, blocking=True)
    assert isinstance(store, SqlStore)
    run_blocking(store.open())
    for name, value in settings_of(parse_postgres(database)).items():
        found = run_blocking(store._runner.look_up(setting(name)))
        assert found == value.removesuffix("ms") or name == "timezone"
    run_blocking(store.ping())
    run_blocking(store.close())


def setting(name: str) -> Any:
    def read(tx: Transaction) -> Any:
        return tx.connection.exec_driver_sql(f"SELECT setting FROM pg_settings WHERE lower(name) = '{name}'").scalar()

    return read


@pytest.mark.anyio
@pytest.mark.parametrize("blocking", [False, True])
async def test_a_pooler_by_the_transaction_is_refused_with_the_remedy(
    by_transaction: int, postgres: PostgresServer, *, blocking: bool
) -> None:
    store = open_store(address(by_transaction, postgres), blocking=blocking)
    with pytest.raises(DatabaseUnusable, match="pool_mode = session"):
        await store.open()


@pytest.mark.anyio
@pytest.mark.parametrize("blocking", [False, True])
async def test_a_bound_that_cannot_be_set_is_said_once_and_the_others_hold(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, *, blocking: bool
) -> None:
    def with_an_unknown_one(parsed: Any) -> dict[str, str]:
        return {"unheard_of": "1", **settings_of(parsed)}

    monkeypatch.setattr(postgres_connecting, "settings_of", with_an_unknown_one)
    monkeypatch.setattr(postgres_connecting, "_warned", set())
    store = open_store(postgres.emptied(), blocking=blocking)
    assert isinstance(store, SqlStore)
    await store.open()
    assert await store._runner.look_up(show("lock_timeout")) == "2s"
    await store.close()
    told = [record.getMessage() for record in caplog.records if "unheard_of" in record.getMessage()]
    assert len(told) == 1
