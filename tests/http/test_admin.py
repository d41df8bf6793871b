from __future__ import annotations

from typing import Any

import pytest

from doorward.http.operation import AnyOperation
from doorward.http.operations import TABLE
from doorward.testing.cookie_client import Answer, CookieClient
from tests.http.world import ADMIN_KEY, PASSWORD, World, sign_in

pytestmark = pytest.mark.anyio

ADMIN = [operation for operation in TABLE if operation.tag == "Admin"]


def test_every_path_below_admin_is_for_administrators() -> None:
    below = {operation.id for operation in TABLE if operation.path.startswith("/v1/admin")}
    assert below == {operation.id for operation in ADMIN}
    assert len(below) == 7


async def ask(world: World, operation: AnyOperation, account: str, session: str, **options: Any) -> Answer:
    path = operation.path.replace("{id}", account).replace("{sid}", session)
    client: CookieClient = options.pop("client", None) or world.client()
    return await client.request(operation.method, path, json={} if operation.body else None, **options)


@pytest.mark.parametrize("operation", ADMIN, ids=lambda each: each.id)
async def test_who_may_administer(session_world: World, operation: AnyOperation) -> None:
    world = session_world
    await world.make_admin(await world.sign_up("root@example.com"))
    root, _ = await world.signed_in("root@example.com")
    ada, body = await world.signed_in()
    account, session = body["account"]["id"], body["session"]["id"]

    nobody = await ask(world, operation, account, session)
    assert (nobody.status, nobody.json()["code"]) == (401, "not_authenticated")
    wrong = await ask(world, operation, account, session, bearer=ADMIN_KEY + "x")
    assert (wrong.status, wrong.json()["code"]) == (401, "invalid_token")
    herself = await ask(world, operation, account, session, client=ada)
    assert (herself.status, herself.json()["code"]) == (403, "not_permitted")
    if operation.method != "GET":
        foreign = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
        forged = await ask(world, operation, account, session, client=root, headers=foreign)
        assert (forged.status, forged.json()["code"]) == (403, "csrf_failed")
    assert (await ada.get("/v1/sessions/current")).status == 200

    by_role = await ask(world, operation, account, session, client=root)
    assert by_role.status in {200, 204}
    await sign_in(ada)
    session = (await ada.get("/v1/sessions/current")).json()["session"]["id"]
    by_key = await ask(world, operation, account, session, bearer=ADMIN_KEY, headers={"origin": "null"})
    assert by_key.status in {200, 204}


async def test_without_an_admin_key_none_is_taken() -> None:
    from tests.http.world import a_world

    async with a_world(admin_key=None) as world:
        for bearer in ("None", "null", ADMIN_KEY, "x"):
            assert (await world.client().get("/v1/admin/accounts", bearer=bearer)).status == 401


async def test_the_role_taken_away_is_gone_at_once(world: World) -> None:
    account_id = await world.sign_up("root@example.com")
    await world.make_admin(account_id)
    client, body = await world.signed_in("root@example.com")
    assert (await client.get("/v1/admin/accounts", bearer=body["access_token"])).status == 200
    await client.patch(f"/v1/admin/accounts/{account_id}", json={"roles": []}, bearer=ADMIN_KEY)
    assert (await client.get("/v1/admin/accounts", bearer=body["access_token"])).status in {401, 403}


async def test_accounts_are_found_page_by_page(world: World) -> None:
    made = {await world.sign_up(f"user{n}@example.org") for n in range(5)}
    client = world.client()
    found: list[str] = []
    cursor = ""
    while True:
        answer = await client.get(f"/v1/admin/accounts?query=EXAMPLE.org&limit=2{cursor}", bearer=ADMIN_KEY)
        assert answer.status == 200
        page = answer.json()
        assert len(page["accounts"]) <= 2
        found += [account["id"] for account in page["accounts"]]
        if page["next_cursor"] is None:
            break
        cursor = "&cursor=" + page["next_cursor"]
    assert sorted(found) == sorted(made)


@pytest.mark.parametrize("path", ["/v1/admin/accounts", "/v1/admin/audit"])
@pytest.mark.parametrize("cursor", ["x", "", "YWNjb3VudHM6", "%00", "YXVkaXQ6eA", "YXVkaXQ6LTE", "a" * 1000, "é"])
async def test_a_cursor_that_is_none_is_refused(world: World, path: str, cursor: str) -> None:
    answer = await world.client().get(f"{path}?cursor={cursor}", bearer=ADMIN_KEY)
    assert (answer.status, answer.json()["errors"][0]["field"]) == (422, "cursor")


async def test_an_account_is_read_without_secrets(world: World) -> None:
    account_id = await world.sign_up("bea@example.com")
    answer = await world.client().get(f"/v1/admin/accounts/{account_id}", bearer=ADMIN_KEY)
    assert answer.json() == {
        "account": {
            "id": account_id,
            "email": "bea@example.com",
            "email_verified": False,
            "name": None,
            "roles": [],
            "created_at": "2026-11-03T10:00:00.000Z",
            "disabled": False,
        }
    }


@pytest.mark.parametrize(
    "path", ["/v1/admin/accounts/{}", "/v1/admin/accounts/{}/sessions", "/v1/admin/accounts/{}/sessions/" + "b" * 16]
)
@pytest.mark.parametrize("account_id", ["a" * 16, "nonsense", "\u0000", "A" * 16, "é"])
async def test_what_is_not_there_is_404(world: World, path: str, account_id: str) -> None:
    for method in ("GET", "DELETE", "PATCH"):
        answer = await world.client().request(method, path.format(account_id), json={}, bearer=ADMIN_KEY)
        assert answer.status in {404, 405}


async def test_an_account_is_changed_and_what_is_left_out_stays(world: World) -> None:
    account_id = await world.sign_up("bea@example.com")
    path = f"/v1/admin/accounts/{account_id}"
    client = world.client()
    named = await client.patch(path, json={"name": "Bea", "roles": ["editor", "admin"]}, bearer=ADMIN_KEY)
    assert named.json()["account"]["roles"] == ["admin", "editor"]
    unchanged = await client.patch(path, json={}, bearer=ADMIN_KEY)
    assert unchanged.json() == named.json()
    assert unchanged.json()["account"]["name"] == "Bea"


async def test_disabling_ends_all_sessions_at_once(world: World) -> None:
    client, body = await world.signed_in()
    path = f"/v1/admin/accounts/{body['account']['id']}"
    answer = await client.patch(path, json={"disabled": True}, bearer=ADMIN_KEY)
    assert answer.json()["account"]["disabled"] is True
    refused = await client.get("/v1/sessions/current", bearer=body["access_token"])
    assert (refused.status, refused.json()["reason"]) == (401, "account_disabled")
    assert (await sign_in(client)).status == 401
    await client.patch(path, json={"disabled": False}, bearer=ADMIN_KEY)
    assert (await sign_in(client)).status == 201


async def test_sessions_are_seen_and_ended(world: World) -> None:
    client, body = await world.signed_in()
    await world.signed_in()
    path = f"/v1/admin/accounts/{body['account']['id']}/sessions"
    listed = (await client.get(path, bearer=ADMIN_KEY)).json()["sessions"]
    assert [session["current"] for session in listed] == [False, False]
    assert (await client.delete(f"{path}/{body['session']['id']}", bearer=ADMIN_KEY)).status == 204
    refused = await client.get("/v1/sessions/current", bearer=body["access_token"])
    assert (refused.status, refused.json()["reason"]) == (401, "admin")
    assert (await client.delete(f"{path}/{body['session']['id']}", bearer=ADMIN_KEY)).status == 404
    assert (await client.delete(path, bearer=ADMIN_KEY)).json() == {"revoked": 1}
    assert (await client.get(path, bearer=ADMIN_KEY)).json() == {"sessions": []}


async def test_a_session_is_ended_only_under_its_own_account(world: World) -> None:
    bea = await world.sign_up("bea@example.com")
    client, body = await world.signed_in()
    path = f"/v1/admin/accounts/{bea}/sessions/{body['session']['id']}"
    assert (await client.delete(path, bearer=ADMIN_KEY)).status == 404
    assert (await client.get("/v1/sessions/current", bearer=body["access_token"])).status == 200


async def test_the_trail_is_read_the_newest_first_and_page_by_page(world: World) -> None:
    client, body = await world.signed_in()
    await client.post("/v1/sessions", json={"email": "ada@example.com", "password": "wrong"})
    whole = (await client.get("/v1/admin/audit", bearer=ADMIN_KEY)).json()
    assert whole["next_cursor"] is None
    actions = [event["action"] for event in whole["events"]]
    assert actions[:2] == ["session.refused", "session.started"]
    paged: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await client.get(f"/v1/admin/audit?limit=1{cursor}", bearer=ADMIN_KEY)).json()
        paged += page["events"]
        cursor = "&cursor=" + page["next_cursor"] if page["next_cursor"] else None
    assert paged == whole["events"]
    started = (await client.get("/v1/admin/audit?action=session.started&limit=200", bearer=ADMIN_KEY)).json()["events"]
    assert [event["session"] for event in started] == [body["session"]["id"]]
    assert started[0]["actor"] == {
        "name": body["account"]["id"],
        "ip": "127.0.0.1",
        "user_agent": "doorward-cookie-client",
    }
    nobodys = await client.get("/v1/admin/audit?account=" + "a" * 16, bearer=ADMIN_KEY)
    assert nobodys.json() == {"events": [], "next_cursor": None}


async def test_the_trail_holds_no_secret(world: World) -> None:
    client, body = await world.signed_in()
    await client.post("/v1/token", form={"grant_type": "refresh_token", "refresh_token": body["refresh_token"]})
    trail = (await client.get("/v1/admin/audit", bearer=ADMIN_KEY)).body.decode()
    for secret in (PASSWORD, body["refresh_token"], body["access_token"], ADMIN_KEY):
        assert secret not in trail


@pytest.mark.parametrize("query", ["action=nonsense", "action=", "account=" + "a" * 101, "limit=0", "session=x"])
async def test_a_filter_that_is_none_is_refused(world: World, query: str) -> None:
    answer = await world.client().get("/v1/admin/audit?" + query, bearer=ADMIN_KEY)
    assert (answer.status, answer.json()["code"]) == (422, "validation_failed")
