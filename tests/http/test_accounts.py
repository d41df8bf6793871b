from __future__ import annotations

import re

import pytest

from tests.http.world import PASSWORD, World, sign_in

pytestmark = pytest.mark.anyio

NEW = "another walrus in eight teapots"


async def test_signing_up_answers_the_account_and_no_credential(world: World) -> None:
    body = {"email": "Bea@Example.com", "password": PASSWORD, "name": "Bea"}
    answer = await world.client().post("/v1/accounts", json=body)
    assert answer.status == 201
    account = answer.json().pop("account")
    assert set(account) == {"id", "email", "email_verified", "name", "roles", "created_at"}
    assert (account["email_verified"], account["name"], account["roles"]) == (False, "Bea", [])
    assert account["created_at"] == "2026-11-03T10:00:00.000Z"
    assert answer.values("set-cookie") == []
    assert PASSWORD not in answer.body.decode()


async def test_a_name_is_no_must(world: World) -> None:
    for name in ({}, {"name": None}):
        email = f"n{len(name)}@example.com"
        answer = await world.client().post("/v1/accounts", json={"email": email, "password": PASSWORD, **name})
        assert (answer.status, answer.json()["account"]["name"]) == (201, None)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"email": "ada@example.com", "password": PASSWORD}, 409, "email_taken"),
        ({"email": "ADA@example.com", "password": PASSWORD}, 409, "email_taken"),
        ({"email": "b@example.com", "password": "password1"}, 422, "weak_password"),
        ({"email": "b@example.com", "password": "short"}, 422, "weak_password"),
        ({"email": "b@example.com", "password": "x" * 300}, 422, "validation_failed"),
        ({"email": "nonsense", "password": PASSWORD}, 422, "validation_failed"),
        ({"email": "a\u0000@example.com", "password": PASSWORD}, 422, "validation_failed"),
        ({"email": "b@example.com", "password": PASSWORD, "name": "a\u0000b"}, 422, "validation_failed"),
        ({"email": "b@example.com", "password": PASSWORD, "roles": ["admin"]}, 422, "validation_failed"),
    ],
)
async def test_what_will_not_do_is_refused(world: World, body: dict[str, str], status: int, code: str) -> None:
    answer = await world.client().post("/v1/accounts", json=body)
    assert (answer.status, answer.json()["code"]) == (status, code)
    assert body["password"] not in answer.body.decode()


async def test_a_weak_password_gets_advice(world: World) -> None:
    answer = await world.client().post("/v1/accounts", json={"email": "b@example.com", "password": "password1"})
    assert all(isinstance(line, str) for line in answer.json()["advice"])


async def test_changing_the_password_ends_the_other_sessions_and_keeps_this_one(world: World) -> None:
    client, mine = await world.signed_in()
    _, other = await world.signed_in()
    body = {"current_password": PASSWORD, "new_password": NEW}
    answer = await client.put("/v1/password", json=body, bearer=mine["access_token"])
    assert (answer.status, answer.body, answer.values("set-cookie")) == (204, b"", [])
    assert (await client.get("/v1/sessions/current", bearer=mine["access_token"])).status == 200
    refused = await client.get("/v1/sessions/current", bearer=other["access_token"])
    assert (refused.status, refused.json()["reason"]) == (401, "password_changed")
    assert (await sign_in(world.client())).status == 401


@pytest.mark.parametrize("remember", [True, False])
async def test_a_cookie_session_moves_to_a_new_handle(session_world: World, *, remember: bool) -> None:
    client, _ = await session_world.signed_in(remember=remember)
    thief = client.copy()
    old = client.cookies["doorward_session"]
    body = {"current_password": PASSWORD, "new_password": NEW}
    session_world.clock.advance(3600)
    answer = await client.put("/v1/password", json=body)
    assert answer.status == 204
    assert client.cookies["doorward_session"] != old
    # The cookie does not outlive the session, which is an hour older by now.
    (line,) = answer.values("set-cookie")
    assert ([f"Max-Age={2_592_000 - 3600}"] if remember else []) == re.findall(r"Max-Age=\d+", line)
    assert (await client.get("/v1/sessions/current")).status == 200
    assert (await thief.get("/v1/sessions/current")).status == 401


async def test_who_does_not_know_the_password_does_not_change_it(session_world: World) -> None:
    client, _ = await session_world.signed_in()
    body = {"current_password": "wrong-" + PASSWORD, "new_password": NEW}
    answer = await client.put("/v1/password", json=body)
    assert (answer.status, answer.json()["code"]) == (401, "invalid_credentials")
    assert answer.values("set-cookie") == []
    assert (await client.get("/v1/sessions/current")).status == 200


async def test_a_weak_new_password_changes_nothing(session_world: World) -> None:
    client, _ = await session_world.signed_in()
    answer = await client.put("/v1/password", json={"current_password": PASSWORD, "new_password": "password1"})
    assert (answer.status, answer.json()["code"]) == (422, "weak_password")
    assert (await sign_in(session_world.client())).status == 201


async def test_nobody_changes_a_password_without_signing_in(world: World) -> None:
    body = {"current_password": PASSWORD, "new_password": NEW}
    answer = await world.client().put("/v1/password", json=body)
    assert (answer.status, answer.json()["code"]) == (401, "not_authenticated")


async def test_a_space_around_the_address_is_no_part_of_it(world: World) -> None:
    typed = {"email": " Grace@example.com\t", "password": PASSWORD}
    answer = await world.client().post("/v1/accounts", json=typed)
    assert (answer.status, answer.json()["account"]["email"]) == (201, "Grace@example.com")
    assert (await world.client().post("/v1/accounts", json={**typed, "email": "grace@example.com "})).status == 409
    assert (await world.client().post("/v1/sessions", json={**typed, "email": "  grace@example.com"})).status == 201
