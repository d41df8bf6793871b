"""The application's own step of a sign-up, in the transaction of the account."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from doorward.accounts.hook import SignUp, SignUpHook
from doorward.audit.model import Actor
from doorward.blocking import run_blocking
from doorward.doorward import Doorward
from doorward.errors import ConfigurationError, FieldError, NotPermitted, ValidationFailed
from doorward.secret import Secret
from doorward.testing.cookie_client import CookieClient
from doorward.web.asgi import DoorwardApp
from tests.pages.visitor import PAGES

pytestmark = pytest.mark.anyio

PASSWORD = "a walrus in seven teapots"
ADA = {"email": "ada@example.com", "password": PASSWORD}


def keep_company(new: SignUp) -> None:
    """What an application would do: check its own field, and store it beside the account."""
    company = new.fields.get("company")
    if not isinstance(company, str) or not company:
        raise ValidationFailed([FieldError(field="fields.company", message="Say where you work.")])
    if company == "Evil Ltd.":
        raise NotPermitted
    statement = text("INSERT INTO profile (account, company) VALUES (:account, :company)")
    new.connection.execute(statement, {"account": new.account.id, "company": company})


def a_database(folder: Path) -> Path:
    file = folder / "app.db"
    with closing(sqlite3.connect(file)) as made, made:
        made.execute("CREATE TABLE profile (account TEXT PRIMARY KEY, company TEXT NOT NULL)")
    return file


def kept(file: Path) -> tuple[list[tuple[str]], list[tuple[str]]]:
    """The e-mail addresses of accounts, and the companies of profiles."""
    with closing(sqlite3.connect(file)) as made:
        accounts = made.execute("SELECT email FROM doorward_account ORDER BY 1").fetchall()
        return accounts, made.execute("SELECT company FROM profile ORDER BY 1").fetchall()


@asynccontextmanager
async def an_application(file: Path, hook: SignUpHook) -> AsyncIterator[CookieClient]:
    auth = Doorward(f"sqlite:///{file}", on_sign_up=hook, insecure_fast_hashing=True, rate_limits=False)
    async with auth:
        yield CookieClient(DoorwardApp(auth, pages=PAGES))


async def sign_up(client: CookieClient, **fields: Any) -> Any:
    return await client.post("/v1/accounts", json={**ADA, "fields": fields})


async def test_ones_own_fields_are_stored_with_the_account(tmp_path: Path) -> None:
    file = a_database(tmp_path)
    async with an_application(file, keep_company) as client:
        assert (await sign_up(client, company="Acme")).status == 201
        # An address that is taken never reaches the hook.
        assert (await sign_up(client, company="Evil Ltd.")).status == 409
    assert kept(file) == ([("ada@example.com",)], [("Acme",)])


async def test_a_refusal_leaves_no_account_and_is_answered_as_what_it_is(tmp_path: Path) -> None:
    file = a_database(tmp_path)
    async with an_application(file, keep_company) as client:
        for fields in ({}, {"company": ""}, {"company": 7}):
            answer = await sign_up(client, **fields)
            assert answer.status == 422
            assert answer.json()["errors"] == [{"field": "fields.company", "message": "Say where you work."}]
        without = await client.post("/v1/accounts", json=ADA)
        assert without.status == 422
        refused = await sign_up(client, company="Evil Ltd.")
        assert (refused.status, refused.json()["code"]) == (403, "not_permitted")
    assert kept(file) == ([], [])


@pytest.mark.parametrize("error", [RuntimeError("a bug"), sqlite3.OperationalError("a bug"), KeyError("a bug")])
async def test_a_strangers_exception_leaves_no_account_and_reaches_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    file = a_database(tmp_path)

    def fail(new: SignUp) -> None:
        keep_company(new)
        raise error

    async with an_application(file, fail) as client:
        answer = await sign_up(client, company="Acme")
        assert (answer.status, answer.json()["code"]) == (500, "internal_error")
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert record.exc_info[1] is error
    assert kept(file) == ([], [])


async def test_a_wrong_statement_of_the_hook_is_no_fault_of_the_store(tmp_path: Path) -> None:
    def misspell(new: SignUp) -> None:
        new.connection.execute(text("INSERT INTO profil VALUES (1)"))

    async with an_application(a_database(tmp_path), misspell) as client:
        assert (await sign_up(client)).status == 500
        assert (await client.get("/readyz")).status == 200


@pytest.mark.parametrize("end", ["commit", "rollback", "close"])
async def test_a_hook_cannot_commit_half_of_a_sign_up(tmp_path: Path, end: str) -> None:
    file = a_database(tmp_path)

    def commit(new: SignUp) -> None:
        keep_company(new)
        getattr(new.connection, end)()

    async with an_application(file, commit) as client:
        assert (await sign_up(client, company="Acme")).status == 500
        assert (await client.get("/readyz")).status == 200
    assert kept(file) == ([], [])


async def test_a_hook_may_use_an_orm_session_on_its_connection(tmp_path: Path) -> None:
    file = a_database(tmp_path)

    def by_orm(new: SignUp) -> None:
        with Session(new.connection) as session:
            session.execute(text("INSERT INTO profile VALUES (:account, 'Acme')"), {"account": new.account.id})
            session.commit()
        if new.fields:
            raise NotPermitted

    async with an_application(file, by_orm) as client:
        assert (await sign_up(client, refused=True)).status == 403
        assert kept(file) == ([], [])
        assert (await sign_up(client)).status == 201
    assert kept(file) == ([("ada@example.com",)], [("Acme",)])


CRASH = """
import os, sys
from doorward.audit.model import Actor
from doorward.blocking import run_blocking
from doorward.doorward import Doorward
from doorward.secret import Secret
from tests.accounts.test_sign_up_hook import PASSWORD, keep_company

def crash(new):
    keep_company(new)
    os._exit(9)

auth = Doorward(sys.argv[1], on_sign_up=crash, blocking=True, insecure_fast_hashing=True)
run_blocking(auth.open())
given = {"email": "ada@example.com", "password": Secret(PASSWORD), "fields": {"company": "Acme"}}
run_blocking(auth.sign_up(**given, actor=Actor()))
"""


def test_a_crash_in_between_leaves_neither_account_nor_profile(tmp_path: Path) -> None:
    file = a_database(tmp_path)
    root = Path(__file__).parents[2]
    died = subprocess.run([sys.executable, "-c", CRASH, f"sqlite:///{file}"], cwd=root, timeout=60, check=False)
    assert died.returncode == 9
    assert kept(file) == ([], [])


async def test_a_synchronous_application_and_one_without_a_database_have_the_hook_too(tmp_path: Path) -> None:
    seen: list[SignUp] = []
    file = a_database(tmp_path)
    for database in (f"sqlite:///{file}", "memory:"):
        auth = Doorward(database, on_sign_up=seen.append, blocking=True, insecure_fast_hashing=True)
        run_blocking(auth.open())
        account = run_blocking(
            auth.sign_up(email="ada@example.com", password=Secret(PASSWORD), fields={"plan": "free"}, actor=Actor())
        )
        run_blocking(auth.close())
        assert (seen[-1].account.id, seen[-1].fields) == (account.id, {"plan": "free"})
    assert [new.connection is None for new in seen] == [False, True]
    assert PASSWORD not in repr(seen)


async def test_fields_without_a_hook_are_refused_as_unknown() -> None:
    async with Doorward("memory:", insecure_fast_hashing=True) as auth:
        answer = await sign_up(CookieClient(DoorwardApp(auth)), company="Acme")
    assert (answer.status, answer.json()["errors"][0]["field"]) == (422, "fields")


async def test_a_hook_that_would_have_to_be_awaited_is_refused_at_start() -> None:
    async def hook(_new: SignUp) -> None: ...

    with pytest.raises(ConfigurationError, match="DW006"):
        Doorward("memory:", on_sign_up=hook)


async def test_the_page_has_the_fields_of_a_template_of_ones_own_and_says_what_is_wrong(tmp_path: Path) -> None:
    file = a_database(tmp_path)
    async with an_application(file, keep_company) as client:
        form = (await client.get("/sign-up")).body.decode()
        token = form.partition('name="csrf_token" value="')[2].partition('"')[0]
        typed = {**ADA, "csrf_token": token, "name": ""}
        refused = await client.post("/sign-up", form=typed)
        assert refused.status == 422
        assert "Say where you work." in refused.body.decode()
        done = await client.post("/sign-up", form={**typed, "fields.company": "Acme"})
        assert done.status == 303
    assert kept(file) == ([("ada@example.com",)], [("Acme",)])
