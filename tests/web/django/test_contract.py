"""The HTTP contract in a Django project, synchronous and asynchronous, and Django REST framework."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from django.db import connections
from django.test import AsyncClient, override_settings

from doorward.http.message import LARGEST_BODY
from doorward.options import Strategy
from doorward.web.django.conf import run
from tests.web.django.people import FOREIGN, OWN_PAGE, PASSWORD, a_browser, an_account, configured
from tests.web.gunicorn import a_gunicorn

JSON = "application/json"


def bearer_of(signed_in: dict[str, Any]) -> dict[str, str]:
    token = signed_in.get("access_token")
    return {"authorization": f"Bearer {token}"} if token else {}


@pytest.mark.parametrize("strategy", get_args(Strategy))
def test_the_contract_is_served_under_every_strategy_and_views_know_who_asks(strategy: str) -> None:
    with configured(STRATEGY=strategy):
        account = an_account("analyst")
        # With Django's own check on: the contract does not need its token.
        browser = a_browser(enforce_csrf_checks=True)
        person = {"email": account.email, "password": PASSWORD}
        assert browser.get("/me").json()["code"] == "not_authenticated"
        answer = browser.post("/auth/v1/sessions", person, content_type=JSON)
        assert (answer.status_code, answer["content-type"]) == (201, JSON)
        bearer = bearer_of(answer.json())
        session = answer.json()["session"]["id"]
        assert browser.get("/me", headers=bearer).json() == {"account": account.id, "session": session}
        assert browser.get("/reports", headers=bearer).status_code == 200
        assert browser.get("/auth/v1/sessions/current", headers=bearer).status_code == 200
        assert browser.delete("/auth/v1/sessions/current", headers=bearer).status_code == 204
        assert browser.get("/me", headers=bearer).status_code == 401


def test_who_lacks_a_role_is_refused() -> None:
    with configured():
        account, browser = an_account(), a_browser()
        browser.post("/auth/v1/sessions", {"email": account.email, "password": PASSWORD}, content_type=JSON)
        assert browser.get("/reports").json()["code"] == "not_permitted"


def test_the_contract_checks_for_itself_what_a_foreign_page_may_have_sent() -> None:
    account = an_account()
    person = {"email": account.email, "password": PASSWORD}
    refused = a_browser().post("/auth/v1/sessions", person, content_type=JSON, headers=FOREIGN)
    assert (refused.status_code, refused.json()["code"]) == (403, "csrf_failed")


def test_bodies_and_methods_are_answered_as_everywhere() -> None:
    browser = a_browser()
    large = browser.post("/auth/v1/sessions", "x" * (LARGEST_BODY + 1), content_type=JSON)
    assert (large.status_code, large.json()["code"]) == (413, "body_too_large")
    assert browser.get("/auth/nothing/here").status_code == 404
    assert browser.get("/auth/v1/accounts").status_code == 405
    assert (browser.head("/auth/healthz").status_code, browser.get("/auth/healthz").status_code) == (200, 200)


@pytest.mark.anyio
async def test_an_asynchronous_project_knows_who_asks_too() -> None:
    import asyncio

    account = await asyncio.to_thread(an_account)
    browser = AsyncClient()
    assert (await browser.get("/asynchronous")).status_code == 401
    signed_in = await browser.post(
        "/auth/v1/sessions", json.dumps({"email": account.email, "password": PASSWORD}), content_type=JSON
    )
    assert signed_in.status_code == 201
    assert (await browser.get("/asynchronous")).json() == {"email": account.email}
    assert (await browser.get("/me")).json()["account"] == account.id
    assert (await browser.get("/mine/")).status_code == 200
    assert (await browser.delete("/auth/v1/sessions/current", headers=OWN_PAGE)).status_code == 204
    assert (await browser.get("/asynchronous")).status_code == 401
    assert (await browser.get("/mine/")).status_code == 302
    assert not (await (await browser.get("/")).asgi_request.auser()).is_authenticated


# Django REST framework


@override_settings(ROOT_URLCONF="tests.web.django.api_urls")
def test_the_rest_framework_knows_who_asks_and_answers_like_the_contract() -> None:
    account, browser = an_account(), a_browser()
    nobody = browser.get("/who")
    assert (nobody.status_code, nobody["www-authenticate"]) == (401, "Bearer")
    assert browser.get("/anybody").json() == {"known": False}
    answer = browser.post("/auth/v1/sessions", {"email": account.email, "password": PASSWORD}, content_type=JSON)
    session = answer.json()["session"]["id"]
    assert browser.get("/who").json() == {"email": account.email, "session": session}
    assert browser.post("/who").status_code == 200
    assert browser.post("/who", headers=FOREIGN).status_code == 403
    run(lambda auth: auth.end_sessions(account.id, actor=an_actor()))
    ended = browser.get("/anybody")
    assert (ended.status_code, ended["www-authenticate"]) == (401, "Bearer")
    forged = browser.get("/who", headers={"authorization": "Bearer e30.e30.AA"})
    assert forged.status_code == 401


def an_actor() -> Any:
    from doorward.audit.model import Actor

    return Actor()


# A real server


def test_gunicorns_forked_workers_share_sessions(tmp_path: Path) -> None:
    # Migrated already, which takes seconds.
    shutil.copy(connections["default"].settings_dict["NAME"], tmp_path)
    environment = {"MONOLITH_DATA": str(tmp_path), "MONOLITH_FAST_HASHING": "1"}
    with (
        a_gunicorn("monolith.wsgi:application", tmp_path, ready="/auth/readyz", **environment) as address,
        httpx.Client(base_url=address, timeout=30) as client,
    ):
        person = {"email": "ada@example.com", "password": PASSWORD}
        assert client.post("/auth/v1/accounts", json=person).status_code == 201
        signed_in = client.post("/auth/v1/sessions", json=person)
        # The cookie is Secure; a connection of its own may be taken by either worker.
        cookie = {"cookie": signed_in.headers["set-cookie"].partition(";")[0], "connection": "close", **OWN_PAGE}
        for _ in range(4):
            assert "ada@example.com" in client.get("/mine/", headers=cookie).text
        assert client.delete("/auth/v1/sessions/current", headers=cookie).status_code == 204
