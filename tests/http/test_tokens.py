from __future__ import annotations

from typing import Any

import pytest

from doorward.testing.cookie_client import Answer, CookieClient
from tests.http.world import ADMIN_KEY, World, a_world, sign_in

pytestmark = pytest.mark.anyio

MEMBERS = {"access_token", "token_type", "expires_in", "refresh_token_expires_in", "scope"}
REST = 31


async def refresh(client: CookieClient, token: str | None = None, **options: Any) -> Answer:
    form = {"grant_type": "refresh_token", **({"refresh_token": token} if token is not None else {})}
    return await client.post("/v1/token", form=form, **options)


async def test_a_refresh_token_in_the_body_is_answered_in_the_body(world: World) -> None:
    client, body = await world.signed_in()
    world.clock.advance(REST)
    answer = await refresh(client, body["refresh_token"])
    fresh = answer.json()
    assert answer.status == 200
    assert set(fresh) == MEMBERS | {"refresh_token"}
    assert (fresh["token_type"], fresh["expires_in"], fresh["scope"]) == ("Bearer", 900, "")
    assert fresh["refresh_token"] != body["refresh_token"]
    assert answer.values("set-cookie") == []
    assert answer.header("cache-control") == "no-store"
    assert (await client.get("/v1/sessions/current", bearer=fresh["access_token"])).status == 200


async def test_a_refresh_token_in_its_cookie_is_answered_in_its_cookie_alone(world: World) -> None:
    client, _ = await world.signed_in(carrier="cookie", remember=True)
    old = client.cookies["doorward_refresh"]
    world.clock.advance(REST)
    answer = await refresh(client)
    assert answer.status == 200
    assert set(answer.json()) == MEMBERS
    (line,) = answer.values("set-cookie")
    assert line.startswith("doorward_refresh=dwr_")
    assert line.endswith("; Path=/; Max-Age=2591969; HttpOnly; Secure; SameSite=Strict")
    assert client.cookies["doorward_refresh"] != old
    assert client.cookies["doorward_refresh"] not in answer.body.decode()


async def test_a_token_too_young_to_rotate_comes_back_and_no_cookie_is_set(world: World) -> None:
    client, _ = await world.signed_in(carrier="cookie")
    await refresh(client)
    current = client.cookies["doorward_refresh"]
    answer = await refresh(client)
    assert (answer.status, answer.values("set-cookie")) == (200, [])
    assert client.cookies["doorward_refresh"] == current

    client, body = await world.signed_in()
    fresh = (await refresh(client, body["refresh_token"])).json()["refresh_token"]
    assert (await refresh(client, fresh)).json()["refresh_token"] == fresh


async def test_a_retry_in_the_grace_gets_the_current_token_by_cookie(world: World) -> None:
    # Two tabs with one jar: the slower one must end up with the same cookie as the faster.
    client, _ = await world.signed_in(carrier="cookie")
    world.clock.advance(REST)
    slow = client.copy()
    await refresh(client)
    answer = await refresh(slow)
    assert answer.status == 200
    assert slow.cookies["doorward_refresh"] == client.cookies["doorward_refresh"]


async def test_no_failing_refresh_sets_or_clears_a_cookie(world: World) -> None:
    client, body = await world.signed_in(carrier="cookie")
    world.clock.advance(REST)
    thief = client.copy()
    await refresh(client)
    await client.get("/v1/sessions/current", bearer=body["access_token"])
    world.clock.advance(REST)
    assert (await refresh(client)).status == 200
    world.clock.advance(REST)
    reused = await refresh(thief)
    assert (reused.status, reused.json()["error"], reused.json()["reason"]) == (400, "invalid_grant", "reuse")
    over = await refresh(client)
    assert (over.status, over.json()["reason"]) == (400, "reuse")
    client.plant("doorward_refresh", "nonsense")
    forged = await refresh(client)
    assert (forged.status, forged.json()["error"]) == (400, "invalid_grant")
    assert "reason" not in forged.json()
    for answer in (reused, over, forged):
        assert answer.values("set-cookie") == []


async def test_too_early_to_tell_is_a_503_that_says_when(world: World) -> None:
    client, body = await world.signed_in()
    await refresh(client, body["refresh_token"])
    world.clock.advance(11)
    answer = await refresh(client, body["refresh_token"])
    assert (answer.status, answer.json()["code"]) == (503, "too_early")
    assert answer.json()["error"] == "temporarily_unavailable"
    assert int(answer.header("retry-after") or "") == answer.json()["retry_after"] == 19


async def test_the_attempts_owner_gets_its_answer_again_at_any_time(world: World) -> None:
    client, body = await world.signed_in()
    key = {"idempotency-key": "attempt-1"}
    first = (await refresh(client, body["refresh_token"], headers=key)).json()["refresh_token"]
    world.clock.advance(600)
    again = await refresh(client, body["refresh_token"], headers=key)
    assert (again.status, again.json()["refresh_token"]) == (200, first)


@pytest.mark.parametrize("key", ["", " ", "a b", "a" * 256, "é", "a\tb", "a, b", "\x7f"])
async def test_an_idempotency_key_is_1_to_255_visible_ascii_characters(world: World, key: str) -> None:
    client, body = await world.signed_in()
    answer = await refresh(client, body["refresh_token"], headers={"idempotency-key": key})
    assert (answer.status, answer.json()["error"]) == (400, "invalid_request")


async def test_255_of_them_are_taken(world: World) -> None:
    client, body = await world.signed_in()
    for key in ("!", "~" * 255):
        assert (await refresh(client, body["refresh_token"], headers={"idempotency-key": key})).status == 200


@pytest.mark.rfc("6749", "5.2")
@pytest.mark.parametrize(
    ("form", "error"),
    [
        ([], "invalid_request"),
        ([("refresh_token", "x")], "invalid_request"),
        ([("grant_type", "")], "invalid_request"),
        ([("grant_type", "refresh_token")], "invalid_request"),
        ([("grant_type", "refresh_token"), ("refresh_token", "")], "invalid_request"),
        ([("grant_type", "refresh_token"), ("grant_type", "refresh_token"), ("refresh_token", "x")], "invalid_request"),
        ([("grant_type", "refresh_token"), ("refresh_token", "x"), ("refresh_token", "x")], "invalid_request"),
        ([("grant_type", "password"), ("username", "ada@example.com")], "unsupported_grant_type"),
        ([("grant_type", "client_credentials")], "unsupported_grant_type"),
        ([("grant_type", "REFRESH_TOKEN"), ("refresh_token", "x")], "unsupported_grant_type"),
        ([("grant_type", "refresh_token"), ("refresh_token", "x")], "invalid_grant"),
        ([("grant_type", "refresh_token"), ("refresh_token", "x" * 20_000)], "invalid_grant"),
        ([("grant_type", "refresh_token"), ("refresh_token", "\u0000")], "invalid_grant"),
        ([("grant_type", "refresh_token"), ("refresh_token", "dwr_" + "A" * 86)], "invalid_grant"),
    ],
)
async def test_what_is_wrong_has_its_word(world: World, form: list[tuple[str, str]], error: str) -> None:
    answer = await world.client().post("/v1/token", form=form)
    assert (answer.status, answer.json()["error"]) == (400, error)
    assert answer.header("content-type") == "application/json"
    assert answer.json()["error_description"]


async def test_a_page_may_try_to_refresh_without_an_error_for_each_visitor(world: World) -> None:
    form = {"grant_type": "refresh_token", "optional": "true"}
    answer = await world.client().post("/v1/token", form=form)
    assert (answer.status, answer.body) == (204, b"")
    # A token that is there is judged all the same.
    assert (await world.client().post("/v1/token", form={**form, "refresh_token": "x"})).status == 400
    client, _ = await world.signed_in(carrier="cookie")
    assert (await client.post("/v1/token", form=form, headers={"sec-fetch-site": "same-origin"})).status == 200


@pytest.mark.rfc("6749", "3.2")
async def test_unknown_parameters_are_ignored(world: World) -> None:
    client, body = await world.signed_in()
    form = {"grant_type": "refresh_token", "refresh_token": body["refresh_token"], "hint": "x", "scope": "y"}
    assert (await client.post("/v1/token", form=form)).status == 200


async def test_a_token_of_another_client_is_foreign(world: World) -> None:
    client, body = await world.signed_in()
    form = {"grant_type": "refresh_token", "refresh_token": body["refresh_token"], "client_id": "somebody-else"}
    answer = await client.post("/v1/token", form=form)
    assert (answer.status, answer.json()["error"]) == (400, "invalid_grant")
    assert (await client.post("/v1/token", form={**form, "client_id": "first-party"})).status == 200


async def test_json_is_not_taken_here(world: World) -> None:
    client, body = await world.signed_in()
    json = {"grant_type": "refresh_token", "refresh_token": body["refresh_token"]}
    answer = await client.post("/v1/token", json=json)
    assert (answer.status, answer.json()["error"]) == (400, "invalid_request")


async def test_body_and_cookie_of_different_sessions_are_refused(world: World) -> None:
    by_cookie, _ = await world.signed_in(carrier="cookie")
    _, other = await world.signed_in()
    answer = await refresh(by_cookie, other["refresh_token"])
    assert (answer.status, answer.json()["error"], answer.values("set-cookie")) == (400, "invalid_request", [])


async def test_body_and_cookie_of_one_session_are_answered_in_the_body(world: World) -> None:
    client, body = await world.signed_in()
    client.plant("doorward_refresh", body["refresh_token"])
    answer = await refresh(client, body["refresh_token"])
    assert (answer.status, answer.values("set-cookie")) == (200, [])
    assert "refresh_token" in answer.json()


async def test_a_dead_cookie_beside_a_token_in_the_body_contradicts_nothing(world: World) -> None:
    client, body = await world.signed_in()
    client.plant("doorward_refresh", "nonsense")
    assert (await refresh(client, body["refresh_token"])).status == 200


async def test_a_token_that_a_page_posts_itself_sets_no_cookie(world: World) -> None:
    # A form of a foreign page may hold the attacker's own token: the victim's browser must not become his.
    attacker, _ = await world.signed_in(carrier="cookie")
    world.clock.advance(REST)
    victim = world.client(page="https://evil.example")
    answer = await refresh(victim, attacker.cookies["doorward_refresh"])
    assert answer.values("set-cookie") == []
    assert victim.cookies == {}


async def test_two_refresh_cookies_are_refused_and_not_picked_from(world: World) -> None:
    client, _ = await world.signed_in(carrier="cookie")
    cookie = f"doorward_refresh={client.cookies['doorward_refresh']}; doorward_refresh=planted"
    answer = await refresh(client, headers={"cookie": cookie})
    assert (answer.status, answer.json()["error"]) == (400, "invalid_request")


async def test_on_https_the_refresh_cookie_has_the_prefix() -> None:
    async with a_world(issuer="https://auth.example.com") as world:
        await world.sign_up()
        client = world.client()
        await sign_in(client, carrier="cookie")
        world.clock.advance(REST)
        (line,) = (await refresh(client)).values("set-cookie")
        assert line.startswith("__Host-doorward_refresh=dwr_")


# Revoking


@pytest.mark.rfc("7009", "2.1")
@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
async def test_revoking_either_token_ends_the_session(world: World, which: str) -> None:
    client, body = await world.signed_in()
    answer = await client.post("/v1/revoke", form={"token": body[which], "token_type_hint": "nonsense"})
    assert (answer.status, answer.body) == (200, b"")
    refused = await client.get("/v1/sessions/current", bearer=body["access_token"])
    assert (refused.status, refused.json()["reason"]) == (401, "signed_out")
    assert (await refresh(client, body["refresh_token"])).json()["reason"] == "signed_out"
    assert (await client.post("/v1/revoke", form={"token": body[which]})).status == 200


@pytest.mark.rfc("7009", "2.2")
@pytest.mark.parametrize("token", ["x", "a.b.c", "dwr_" + "A" * 86, "\u0000", "x" * 20_000])
async def test_a_token_that_is_nobodys_is_no_error(world: World, token: str) -> None:
    assert (await world.client().post("/v1/revoke", form={"token": token})).status == 200


@pytest.mark.parametrize("path", ["/v1/revoke", "/v1/introspect"])
@pytest.mark.parametrize("form", [[], [("token", "")], [("token", "x"), ("token", "x")]])
async def test_a_token_is_needed_once(world: World, path: str, form: list[tuple[str, str]]) -> None:
    answer = await world.client().post(path, form=form, bearer=ADMIN_KEY)
    assert (answer.status, answer.json()["error"]) == (400, "invalid_request")


# Introspecting


@pytest.mark.rfc("7662", "2.2")
async def test_a_good_token_is_told_about(world: World) -> None:
    client, body = await world.signed_in()
    for which in ("access_token", "refresh_token"):
        answer = await client.post("/v1/introspect", form={"token": body[which]}, bearer=ADMIN_KEY)
        said = answer.json()
        assert (answer.status, answer.header("cache-control")) == (200, "no-store")
        assert (said["active"], said["sub"], said["sid"]) == (True, body["account"]["id"], body["session"]["id"])


@pytest.mark.rfc("7662", "2.2")
async def test_of_any_other_there_is_nothing_to_say(world: World) -> None:
    client, body = await world.signed_in()
    await client.delete("/v1/sessions/current", bearer=body["access_token"])
    for token in (body["access_token"], body["refresh_token"], "x", "x" * 20_000, ADMIN_KEY):
        answer = await client.post("/v1/introspect", form={"token": token}, bearer=ADMIN_KEY)
        assert (answer.status, answer.json()) == (200, {"active": False})


@pytest.mark.rfc("7662", "2.1")
async def test_who_asks_must_say_who_it_is(world: World) -> None:
    client, body = await world.signed_in()
    form = {"token": body["access_token"]}
    for bearer, challenge in (
        (None, "Bearer"),
        ("nonsense", 'Bearer error="invalid_token"'),
        (body["access_token"], 'Bearer error="invalid_token"'),
        ("x" * 9_000, 'Bearer error="invalid_token"'),
    ):
        answer = await client.post("/v1/introspect", form=form, bearer=bearer)
        assert (answer.status, answer.json()["error"]) == (401, "invalid_client")
        assert answer.header("www-authenticate") == challenge


async def test_an_administrators_token_may_ask_and_a_cookie_may_not() -> None:
    async with a_world() as world:
        await world.make_admin(await world.sign_up())
        client, body = await world.signed_in()
        form = {"token": body["access_token"]}
        assert (await client.post("/v1/introspect", form=form, bearer=body["access_token"])).status == 200
    async with a_world(strategy="session") as world:
        await world.make_admin(await world.sign_up())
        client, _ = await world.signed_in()
        assert (await client.post("/v1/introspect", form=form)).status == 401
