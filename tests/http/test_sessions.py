from __future__ import annotations

import re

import pytest

from doorward.options import Strategy
from doorward.principal import Carrier
from doorward.testing.cookie_client import Answer, CookieClient
from tests.http.world import PASSWORD, World, a_world, sign_in

pytestmark = pytest.mark.anyio

ACCESS = {"access_token", "token_type", "expires_in"}
REFRESH = {"refresh_token", "refresh_token_expires_in"}


@pytest.mark.parametrize(
    ("strategy", "carrier", "beside", "cookie"),
    [
        ("session", None, {"csrf_token"}, "doorward_session"),
        ("session", "cookie", {"csrf_token"}, "doorward_session"),
        ("jwt", None, ACCESS, None),
        ("jwt", "token", ACCESS, None),
        ("hybrid", None, ACCESS | REFRESH, None),
        ("hybrid", "token", ACCESS | REFRESH, None),
        ("hybrid", "cookie", ACCESS | {"refresh_token_expires_in", "csrf_token"}, "doorward_refresh"),
    ],
)
async def test_what_signing_in_answers_depends_on_strategy_and_carrier(
    strategy: Strategy, carrier: Carrier | None, beside: set[str], cookie: str | None
) -> None:
    async with a_world(strategy=strategy) as world:
        await world.sign_up()
        client = world.client()
        answer = await sign_in(client, carrier=carrier)
        assert answer.status == 201
        body = answer.json()
        assert set(body) == {"account", "session"} | beside
        assert set(client.cookies) == ({cookie} if cookie else set())
        assert client.readable_cookies == {}
        assert answer.header("cache-control") == "no-store"
        # What a cookie carries is in the cookie alone.
        assert all(value not in answer.body.decode() for value in client.cookies.values())
        if "token_type" in body:
            assert (body["token_type"], body["expires_in"]) == ("Bearer", 900)
        me = await client.get("/v1/sessions/current", bearer=body.get("access_token"))
        assert (me.status, me.json()) == (200, {"account": body["account"], "session": body["session"]})


@pytest.mark.parametrize(
    ("strategy", "carrier"), [("session", "token"), ("jwt", "cookie"), ("hybrid", "pigeon"), ("hybrid", "")]
)
async def test_a_carrier_that_the_strategy_has_not_is_refused(strategy: Strategy, carrier: str) -> None:
    async with a_world(strategy=strategy) as world:
        await world.sign_up()
        answer = await sign_in(world.client(), carrier=carrier or "x")
        assert (answer.status, answer.json()["errors"][0]["field"]) == (422, "carrier")


async def test_a_session_has_exactly_these_members(world: World) -> None:
    client = world.client(user_agent="Lynx/2.9")
    body = {"email": "ada@example.com", "password": PASSWORD, "label": "Laptop"}
    session = (await client.post("/v1/sessions", json=body)).json()["session"]
    assert session.pop("id")
    assert session == {
        "created_at": "2026-11-03T10:00:00.000Z",
        "last_seen_at": "2026-11-03T10:00:00.000Z",
        "idle_expires_at": "2026-11-17T10:00:00.000Z",
        "expires_at": "2026-12-03T10:00:00.000Z",
        "label": "Laptop",
        "ip": "127.0.0.1",
        "user_agent": "Lynx/2.9",
        "location": None,
        "methods": ["pwd"],
        "current": True,
    }


async def test_the_session_cookie_has_its_attributes(session_world: World) -> None:
    answer = await sign_in(session_world.client(), remember=True)
    (line,) = answer.values("set-cookie")
    value = "Path=/; Max-Age=2592000; HttpOnly; Secure; SameSite=Lax"
    assert re.fullmatch(r"doorward_session=dws_[\w-]{32}; " + value, line)
    assert len(line.partition(";")[0]) < 100


@pytest.mark.parametrize(("strategy", "cookie"), [("session", "doorward_session"), ("hybrid", "doorward_refresh")])
@pytest.mark.parametrize(
    ("remember", "idle", "age"), [(None, 43_200, None), (False, 43_200, None), (True, 1_209_600, 2_592_000)]
)
async def test_a_cookie_is_kept_beyond_the_browser_and_for_weeks_only_where_that_was_asked_for(
    strategy: Strategy, cookie: str, *, remember: bool | None, idle: int, age: int | None
) -> None:
    async with a_world(strategy=strategy) as world:
        await world.sign_up()
        client = world.client()
        answer = await sign_in(client, carrier="cookie", remember=remember)
        (line,) = answer.values("set-cookie")
        assert line.startswith(f"{cookie}=")
        assert re.findall(r"Max-Age=(\d+)", line) == ([str(age)] if age else [])
        world.clock.advance(idle - 1)
        assert (await again(client, cookie)).status == 200
        # The use has moved the end by as much as at the start.
        world.clock.advance(idle - 1)
        assert (await again(client, cookie)).status == 200
        world.clock.advance(idle)
        # 400 as RFC 6749 has it of a refresh token.
        assert (await again(client, cookie)).status == (401 if strategy == "session" else 400)


async def again(client: CookieClient, cookie: str) -> Answer:
    """Use the session of a cookie."""
    if cookie == "doorward_session":
        return await client.get("/v1/sessions/current")
    return await client.post("/v1/token", form={"grant_type": "refresh_token"})


async def test_a_client_that_keeps_tokens_itself_is_remembered_without_asking(world: World) -> None:
    client, body = await world.signed_in(carrier="token")
    assert body["refresh_token_expires_in"] == 1_209_600
    world.clock.advance(1_209_599)
    form = {"grant_type": "refresh_token", "refresh_token": body["refresh_token"]}
    answer = await client.post("/v1/token", form=form)
    assert (answer.status, answer.json()["refresh_token_expires_in"]) == (200, 1_209_600)


async def test_a_cookie_that_rotates_stays_one_of_the_browsers_window(world: World) -> None:
    client, _ = await world.signed_in(carrier="cookie")
    world.clock.advance(60)
    answer = await again(client, "doorward_refresh")
    (line,) = answer.values("set-cookie")
    assert "Max-Age" not in line


async def test_whether_to_remember_is_a_truth_and_nothing_else(world: World) -> None:
    answer = await sign_in(world.client(), remember="yes")
    assert (answer.status, answer.json()["errors"][0]["field"]) == (422, "remember")


async def test_on_https_cookies_have_the_prefix() -> None:
    async with a_world(strategy="session", issuer="https://auth.example.com") as world:
        await world.sign_up()
        client = world.client()
        (line,) = (await sign_in(client)).values("set-cookie")
        assert line.startswith("__Host-doorward_session=")
        assert "; Secure" in line
        assert (await client.get("/v1/sessions/current")).status == 200


async def test_secure_is_left_off_only_by_the_insecure_option_and_on_plain_http() -> None:
    async with a_world(strategy="session", insecure_cookies_over_http=True) as world:
        await world.sign_up()
        (line,) = (await sign_in(world.client())).values("set-cookie")
        assert "Secure" not in line
        (line,) = (await sign_in(world.client(base_url="https://127.0.0.1:8000"))).values("set-cookie")
        assert line.startswith("__Host-")
        assert "; Secure" in line


async def test_an_unknown_account_is_answered_like_a_wrong_password(world: World) -> None:
    answers = [
        await world.client().post("/v1/sessions", json={"email": email, "password": "wrong-password"})
        for email in ("ada@example.com", "nobody@example.com", "nonsense", "", "\u0000")
    ]
    assert {answer.status for answer in answers} == {401}
    assert {answer.header("www-authenticate") for answer in answers} == {"Bearer"}
    assert len({answer.body for answer in answers}) == 1
    assert answers[0].json()["code"] == "invalid_credentials"


async def test_a_handle_that_was_planted_ends_and_is_not_carried_on(session_world: World) -> None:
    attacker, _ = await session_world.signed_in()
    planted = attacker.cookies["doorward_session"]
    victim = session_world.client()
    victim.plant("doorward_session", planted)
    assert (await sign_in(victim)).status == 201
    assert victim.cookies["doorward_session"] != planted
    assert (await victim.get("/v1/sessions/current")).status == 200
    refused = await attacker.get("/v1/sessions/current")
    assert (refused.status, refused.json()["code"], refused.json()["reason"]) == (401, "session_ended", "signed_out")


async def test_even_two_planted_handles_end(session_world: World) -> None:
    (one, _), (two, _) = await session_world.signed_in(), await session_world.signed_in()
    crumbs = [f"doorward_session={each.cookies['doorward_session']}" for each in (one, two)]
    body = {"email": "ada@example.com", "password": PASSWORD}
    answer = await session_world.client().post("/v1/sessions", json=body, headers={"cookie": "; ".join(crumbs)})
    assert answer.status == 201
    for client in (one, two):
        assert (await client.get("/v1/sessions/current")).status == 401


async def test_a_refresh_cookie_that_was_sent_along_ends_its_session(world: World) -> None:
    client, before = await world.signed_in(carrier="cookie")
    assert (await sign_in(client, carrier="cookie")).status == 201
    refused = await client.get("/v1/sessions/current", bearer=before["access_token"])
    assert (refused.status, refused.json()["reason"]) == (401, "signed_out")


async def test_a_failed_sign_in_ends_and_clears_nothing(session_world: World) -> None:
    client, _ = await session_world.signed_in()
    answer = await client.post("/v1/sessions", json={"email": "ada@example.com", "password": "wrong"})
    assert (answer.status, answer.values("set-cookie")) == (401, [])
    assert (await client.get("/v1/sessions/current")).status == 200


async def test_signing_in_again_with_a_cookie_needs_no_ceremony_of_a_client_that_is_no_browser(
    session_world: World,
) -> None:
    client = session_world.client(page=None)
    assert (await sign_in(client)).status == 201
    assert (await sign_in(client)).status == 201


# Seeing and ending


async def test_ones_own_sessions_are_listed_and_which_is_this_one(session_world: World) -> None:
    client, mine = await session_world.signed_in()
    _, other = await session_world.signed_in()
    await session_world.sign_up("bea@example.com")
    await session_world.signed_in("bea@example.com")
    listed = (await client.get("/v1/sessions")).json()["sessions"]
    assert {session["id"]: session["current"] for session in listed} == {
        mine["session"]["id"]: True,
        other["session"]["id"]: False,
    }


async def test_signing_out_ends_the_session_and_clears_both_cookies(session_world: World) -> None:
    client, _ = await session_world.signed_in()
    thief = client.copy()
    answer = await client.delete("/v1/sessions/current")
    assert (answer.status, answer.body) == (204, b"")
    assert answer.values("set-cookie") == [
        "doorward_session=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
        "doorward_refresh=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict",
    ]
    assert client.cookies == {}
    refused = await thief.get("/v1/sessions/current")
    assert (refused.status, refused.json()["reason"]) == (401, "signed_out")
    assert refused.values("set-cookie") == []


async def test_signing_out_twice_says_that_it_is_over(session_world: World) -> None:
    client, _ = await session_world.signed_in()
    again = client.copy()
    await client.delete("/v1/sessions/current")
    answer = await again.delete("/v1/sessions/current")
    assert (answer.status, answer.json()["code"]) == (401, "session_ended")


async def test_the_refresh_cookie_signs_out_where_the_access_token_has_expired(world: World) -> None:
    client, body = await world.signed_in(carrier="cookie")
    thief = client.copy()
    world.clock.advance(901 + 60)
    for bearer in (body["access_token"], None):
        foreign = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
        refused = await client.delete("/v1/sessions/current", bearer=bearer, headers=foreign)
        assert (refused.status, refused.json()["code"]) == (403, "csrf_failed")
    answer = await client.delete("/v1/sessions/current", bearer=body["access_token"])
    assert answer.status == 204
    assert client.cookies == {}
    form = {"grant_type": "refresh_token"}
    over = await thief.post("/v1/token", form=form)
    assert (over.status, over.json()["error"], over.json()["reason"]) == (400, "invalid_grant", "signed_out")


async def test_a_refresh_cookie_of_a_dead_session_signs_nobody_out(world: World) -> None:
    client, body = await world.signed_in(carrier="cookie")
    again = client.copy()
    await client.delete("/v1/sessions/current", bearer=body["access_token"])
    answer = await again.delete("/v1/sessions/current", bearer=body["access_token"])
    assert (answer.status, answer.json()["code"], answer.json()["reason"]) == (401, "session_ended", "signed_out")
    answer = await again.delete("/v1/sessions/current")
    assert (answer.status, answer.json()["code"]) == (401, "not_authenticated")


async def test_one_of_ones_sessions_can_be_ended(session_world: World) -> None:
    client, _ = await session_world.signed_in()
    other, body = await session_world.signed_in()
    answer = await client.delete("/v1/sessions/" + body["session"]["id"])
    assert (answer.status, answer.values("set-cookie")) == (204, [])
    assert (await other.get("/v1/sessions/current")).status == 401
    assert (await client.delete("/v1/sessions/" + body["session"]["id"])).status == 404


async def test_ending_ones_own_by_its_id_clears_the_cookies(session_world: World) -> None:
    client, body = await session_world.signed_in()
    answer = await client.delete("/v1/sessions/" + body["session"]["id"])
    assert (answer.status, len(answer.values("set-cookie"))) == (204, 2)


async def test_another_accounts_session_is_not_there(session_world: World) -> None:
    await session_world.sign_up("bea@example.com")
    client, _ = await session_world.signed_in()
    other, body = await session_world.signed_in("bea@example.com")
    for session_id in (body["session"]["id"], "a" * 16, "nonsense", "\u0000", "%00", "é" * 300):
        answer = await client.delete("/v1/sessions/" + session_id)
        assert (answer.status, answer.json()["code"]) == (404, "not_found")
    assert (await other.get("/v1/sessions/current")).status == 200


async def test_all_sessions_can_be_ended_but_this_one(session_world: World) -> None:
    client, _ = await session_world.signed_in()
    other, _ = await session_world.signed_in()
    answer = await client.delete("/v1/sessions?keep=current")
    assert (answer.status, answer.json(), answer.values("set-cookie")) == (200, {"revoked": 1}, [])
    assert (await other.get("/v1/sessions/current")).status == 401
    assert (await client.get("/v1/sessions/current")).status == 200


async def test_all_sessions_can_be_ended_this_one_too(world: World) -> None:
    client, body = await world.signed_in()
    await world.signed_in()
    answer = await client.delete("/v1/sessions", bearer=body["access_token"])
    assert (answer.status, answer.json(), len(answer.values("set-cookie"))) == (200, {"revoked": 2}, 2)
    assert (await client.get("/v1/sessions/current", bearer=body["access_token"])).status == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/sessions"),
        ("DELETE", "/v1/sessions"),
        ("GET", "/v1/sessions/current"),
        ("DELETE", "/v1/sessions/current"),
        ("DELETE", "/v1/sessions/aaaaaaaaaaaaaaaa"),
    ],
)
async def test_nobody_sees_or_ends_sessions_without_signing_in(world: World, method: str, path: str) -> None:
    answer = await world.client().request(method, path)
    assert (answer.status, answer.json()["code"]) == (401, "not_authenticated")
    assert answer.header("www-authenticate") == "Bearer"


async def test_a_session_that_timed_out_says_why(session_world: World) -> None:
    client, _ = await session_world.signed_in()
    session_world.clock.advance(43_200)
    answer = await client.get("/v1/sessions/current")
    assert (answer.status, answer.json()["code"], answer.json()["reason"]) == (401, "session_ended", "idle")


async def test_a_page_may_ask_who_is_signed_in_without_an_error_for_each_visitor(session_world: World) -> None:
    visitor = session_world.client()
    answer = await visitor.get("/v1/sessions/current?optional=true")
    assert (answer.status, answer.body) == (204, b"")
    assert (await visitor.get("/v1/sessions/current?optional=false")).status == 401
    assert (await visitor.get("/v1/sessions/current?optional=perhaps")).status == 422
    client, body = await session_world.signed_in()
    assert (await client.get("/v1/sessions/current?optional=true")).json()["account"] == body["account"]


async def test_a_credential_that_is_not_accepted_is_refused_where_none_is_needed(session_world: World) -> None:
    path = "/v1/sessions/current?optional=true"
    client, _ = await session_world.signed_in()
    session_world.clock.advance(43_201)
    answer = await client.get(path)
    assert (answer.status, answer.json()["reason"]) == (401, "idle")
    assert (await session_world.client().get(path, bearer="forged")).status == 401
