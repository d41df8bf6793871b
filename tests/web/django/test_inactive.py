"""A user who is not active, or who has been deleted, is nobody: at once, everywhere, whichever way it came about."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection, transaction
from django.test import AsyncClient, override_settings
from django.test.utils import CaptureQueriesContext

from doorward.accounts.model import Account
from doorward.doorward import Doorward
from doorward.errors import SessionEnded
from doorward.web.django import standing, tables
from doorward.web.django.conf import run
from doorward.web.django.models import LinkedAccount
from doorward.web.django.users import user_of_account
from tests.web.django.people import PASSWORD, a_browser, an_account, configured, signed_in

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
Users: Any = get_user_model()._default_manager


def user_of(account: Account) -> Any:
    return LinkedAccount.objects.get(account=account.id).user


def by_save(account: Account) -> None:
    user = user_of(account)
    user.is_active = False
    user.save()


def by_update(account: Account) -> None:
    Users.filter(doorward_account__account=account.id).update(is_active=False)


def by_bulk_update(account: Account) -> None:
    user = user_of(account)
    user.is_active = False
    Users.bulk_update([user], ["is_active"])


def by_sql(account: Account) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE auth_user SET is_active = %s WHERE id = %s", [False, user_of(account).pk])


def by_delete(account: Account) -> None:
    user_of(account).delete()


def by_queryset_delete(account: Account) -> None:
    Users.filter(doorward_account__account=account.id).delete()


def by_unlinking(account: Account) -> None:
    LinkedAccount.objects.filter(account=account.id).delete()


WAYS: list[Callable[[Account], None]] = [
    by_save,
    by_update,
    by_bulk_update,
    by_sql,
    by_delete,
    by_queryset_delete,
    by_unlinking,
]


@pytest.mark.parametrize("way", WAYS)
def test_whose_user_is_inactive_or_deleted_is_nobody_everywhere_at_once(way: Callable[[Account], None]) -> None:
    for page, status in (("/mine/", 302), ("/me", 401), ("/auth/v1/sessions/current", 401), ("/asynchronous", 401)):
        account = an_account()
        browser = signed_in(account)
        assert browser.get(page).status_code == 200
        way(account)
        assert browser.get(page).status_code == status, page
        assert run(partial(Doorward.sessions, account_id=account.id)) == (), page


@pytest.mark.parametrize("way", WAYS)
def test_no_new_session_starts_for_such_a_user(way: Callable[[Account], None]) -> None:
    account = an_account()
    signed_in(account)
    way(account)
    before = Users.count()
    form = a_browser().post("/sign-in/", {"username": account.email, "password": PASSWORD})
    assert (form.status_code, "doorward_session" in form.cookies) == (200, False)
    person = {"email": account.email, "password": PASSWORD}
    call = a_browser().post("/auth/v1/sessions", person, content_type=JSON)
    assert (call.status_code, call.json()["code"], "doorward_session" in call.cookies) == (
        401,
        "invalid_credentials",
        False,
    )
    assert run(lambda auth: auth.sessions(account.id)) == ()
    assert Users.count() == before


@pytest.mark.parametrize("way", WAYS)
def test_neither_an_access_token_nor_a_refresh_of_such_a_user_is_honoured(way: Callable[[Account], None]) -> None:
    with configured(STRATEGY="hybrid", ADMIN_KEY="an-administrators-key-that-is-long-4711"):
        account, browser = an_account(), a_browser()
        person = {"email": account.email, "password": PASSWORD}
        answer = browser.post("/auth/v1/sessions", person, content_type=JSON).json()
        user_of_account(account)
        admin_key = {"authorization": "Bearer an-administrators-key-that-is-long-4711"}
        way(account)
        asked = a_browser().post(
            "/auth/v1/introspect", f"token={answer['access_token']}", content_type=FORM, headers=admin_key
        )
        assert asked.json() == {"active": False}
        form = f"grant_type=refresh_token&refresh_token={answer['refresh_token']}"
        refreshed = browser.post("/auth/v1/token", form, content_type=FORM)
        assert (refreshed.status_code, refreshed.json()["error"]) == (400, "invalid_grant")
        bearer = {"authorization": f"Bearer {answer['access_token']}"}
        assert browser.get("/me", headers=bearer).status_code == 401
        assert browser.get("/auth/v1/check", headers=bearer).status_code == 401
        assert run(lambda auth: auth.sessions(account.id)) == ()


def test_a_deleted_user_never_comes_back_by_itself_and_a_link_brings_another(
    capsys: pytest.CaptureFixture[str],
) -> None:
    account = an_account()
    browser = signed_in(account)
    user_of(account).delete()
    before = Users.count()
    for _ in range(2):
        assert browser.get("/mine/").status_code == 302
        LinkedAccount.objects.filter(account=account.id).delete()
    assert (Users.count(), LinkedAccount.objects.get(account=account.id).user) == (before, None)
    user = Users.create_user(f"again-{account.id}")
    call_command("doorward_link", account.email, user.username)
    assert signed_in(account).get("/mine/").wsgi_request.user == user


def test_an_inactive_user_signs_in_again_once_active() -> None:
    account = an_account()
    signed_in(account)
    by_update(account)
    assert a_browser().post("/sign-in/", {"username": account.email, "password": PASSWORD}).status_code == 200
    Users.filter(doorward_account__account=account.id).update(is_active=True)
    assert signed_in(account).get("/me").status_code == 200


def test_what_is_rolled_back_ends_nothing() -> None:
    account = an_account()
    browser = signed_in(account)
    with transaction.atomic():
        by_save(account)
        transaction.set_rollback(True)
    assert browser.get("/me").status_code == 200


def test_a_wrapper_of_the_projects_takes_ours_not_away() -> None:
    wrappers = connection.execute_wrappers
    with connection.execute_wrapper(lambda execute, *query: execute(*query)):
        standing.watch_connection(connection=connection)
    assert standing._notice in wrappers
    wrappers.clear()
    with connection.execute_wrapper(lambda execute, *query: execute(*query)):
        standing.watch_connection(connection=connection)
    assert wrappers == [standing._notice]


def test_a_lock_of_a_shared_file_is_not_waited_for() -> None:
    with override_settings(DOORWARD={"STRATEGY": "session", "INSECURE_FAST_HASHING": True}):
        tables.migrate()
        account = an_account()
        signed_in(account)
        with transaction.atomic():
            by_update(account)
            with pytest.raises(SessionEnded):
                standing.require_active(account.id)
        assert run(lambda auth: auth.sessions(account.id)) == ()


def test_deleting_in_the_admin_ends_the_sessions() -> None:
    account, admin = an_account(), signed_in(an_account("admin"))
    browser = signed_in(account)
    answer = admin.post(f"/admin/auth/user/{user_of(account).pk}/delete/", {"post": "yes"})
    assert answer.status_code == 302
    assert browser.get("/me").json()["reason"] == "account_disabled"


def test_a_view_that_needs_no_user_costs_no_query(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "ticks", lambda: 1000.0)
    standing.memory.forget()
    browser = signed_in(an_account())
    assert browser.get("/me").status_code == 200
    with CaptureQueriesContext(connection) as queries:
        assert browser.get("/me").status_code == 200
    assert not [each["sql"] for each in queries if "django_session" not in each["sql"]]
    # Where the user is asked for, one query finds it and says that it is active.
    for now in (1000.0, 2000.0):
        monkeypatch.setattr(standing, "ticks", partial(float, now))
        with CaptureQueriesContext(connection) as queries:
            assert browser.get("/").status_code == 200
        assert len([each for each in queries if "linkedaccount" in each["sql"]]) == 1


def test_it_is_believed_for_a_second_at_most() -> None:
    account, memory = "somebody", standing._Memory()
    memory.keep(account, now=10.0, written=memory.written)
    assert memory.stands(account, now=10.999)
    assert not memory.stands(account, now=11.0)
    # What was read before something was written is not kept.
    written = memory.written
    memory.forget()
    memory.keep(account, now=10.0, written=written)
    assert not memory.stands(account, now=10.0)


def test_what_another_process_has_written_is_seen_after_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(standing, "ticks", lambda: now[0])
    account = an_account()
    browser = signed_in(account)
    assert browser.get("/me").status_code == 200
    forget = standing.memory.forget
    monkeypatch.setattr(standing._Memory, "forget", lambda self: None)  # this process does not hear of it
    by_update(account)
    assert browser.get("/me").status_code == 200
    now[0] += standing.STANDS_FOR_SECONDS
    assert browser.get("/me").status_code == 401
    monkeypatch.undo()
    forget()


def test_a_database_that_does_not_answer_is_answered_with_503(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import OperationalError

    def broken(*_: Any, **__: Any) -> Any:
        raise OperationalError("the server is gone")

    browser = signed_in(an_account())
    standing.memory.forget()
    monkeypatch.setattr(type(LinkedAccount.objects), "select_related", broken, raising=False)
    answer = browser.get("/me")
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert answer["retry-after"]


def test_a_project_that_asks_for_principals_alone_needs_no_table_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    account = an_account()
    browser = signed_in(account)
    monkeypatch.setattr(standing, "_is_migrated", False)
    monkeypatch.setattr(type(connection.introspection), "table_names", lambda *_: ["auth_user"])
    standing.memory.forget()
    with CaptureQueriesContext(connection) as queries:
        assert browser.get("/me").status_code == 200
    assert not [each for each in queries if "linkedaccount" in each["sql"]]


def test_deleting_what_is_no_user_stays_one_statement() -> None:
    """A receiver for every model would make Django load each row that it deletes."""
    from django.contrib.sessions.models import Session
    from django.db.models.signals import post_delete, pre_delete

    assert not pre_delete.has_listeners(Session)
    assert not post_delete.has_listeners(Session)


@pytest.mark.anyio
async def test_an_asynchronous_view_refuses_an_inactive_user_too() -> None:
    import asyncio

    account = await asyncio.to_thread(an_account)
    browser = AsyncClient()
    await browser.post("/auth/v1/sessions", {"email": account.email, "password": PASSWORD}, content_type=JSON)
    assert (await browser.get("/asynchronous")).status_code == 200
    await asyncio.to_thread(by_update, account)
    assert (await browser.get("/asynchronous")).status_code == 401
