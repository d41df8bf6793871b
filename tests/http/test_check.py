"""Forward authentication (CONTRACT, Tokens; docs/guides/forward-auth.md)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from doorward.accounts.model import AccountChange
from doorward.audit.model import Actor
from doorward.errors import ConfigurationError, InvalidToken
from doorward.http.csrf import method_behind
from doorward.keys.model import Algorithm
from doorward.options import Options
from doorward.testing.cookie_client import Answer, CookieClient
from doorward.tokens.access import AccessClaims, AccessTokenVerifier
from doorward.tokens.forwarding import AGAIN_WITHIN
from tests.http.world import ISSUER, World, a_world, sign_in

pytestmark = pytest.mark.anyio

CHECK = "/v1/check"
OPERATOR = Actor(name="operator")
GET = {"x-forwarded-method": "GET"}
POST = {"x-forwarded-method": "POST"}


async def ask(client: CookieClient, query: str = "", **more: Any) -> Answer:
    more["headers"] = GET | (more.get("headers") or {})
    return await client.get(f"{CHECK}{query}", **more)


def claims_of(world: World, answer: Answer, *, audience: str = "intranet") -> AccessClaims:
    """What an upstream reads of the token that it is handed; raises InvalidToken."""
    scheme, _, token = (answer.header("authorization") or "").partition(" ")
    assert scheme == "Bearer"
    keys = world.auth.deployment.desk._verifier.keys
    return AccessTokenVerifier(issuer=ISSUER, audience=audience, keys=keys).verify(token, now=world.clock())


# Who it is


async def test_by_cookie_the_proxy_learns_who_it_is_and_nothing_is_set(session_world: World) -> None:
    client, body = await session_world.signed_in()
    answer = await ask(client)
    assert (answer.status, answer.body) == (200, b"")
    assert answer.header("x-auth-subject") == body["account"]["id"]
    assert answer.header("x-auth-session") == body["session"]["id"]
    assert answer.header("x-auth-roles") == ""
    assert answer.header("cache-control") == "no-store"
    assert answer.header("authorization") is None
    assert answer.header("set-cookie") is None


@pytest.mark.parametrize("strategy", ["jwt", "hybrid"])
async def test_by_access_token_as_well(strategy: Any) -> None:
    async with a_world(strategy=strategy) as world:
        await world.sign_up()
        _, body = await world.signed_in()
        answer = await ask(world.client(), bearer=body["access_token"])
        assert (answer.status, answer.header("x-auth-subject")) == (200, body["account"]["id"])


async def test_head_is_answered_as_get(session_world: World) -> None:
    client, body = await session_world.signed_in()
    answer = await client.request("HEAD", CHECK, headers=GET)
    assert (answer.status, answer.header("x-auth-session")) == (200, body["session"]["id"])


async def test_whoever_is_nobody_gets_401_and_no_window_that_asks_for_a_password(session_world: World) -> None:
    client, body = await session_world.signed_in()
    planted = client.copy()
    planted.plant("doorward_session", client.cookies["doorward_session"] + "; doorward_session=other")
    await session_world.auth.end_session(body["session"]["id"], account_id=None, actor=OPERATOR)
    for asks in (session_world.client(), client, planted):
        answer = await ask(asks)
        assert answer.status == 401
        assert (answer.header("www-authenticate") or "").startswith("Bearer")
        assert answer.header("x-auth-subject") is None
        assert answer.header("set-cookie") is None
    assert (await ask(client)).json()["reason"] == "signed_out"


async def test_a_refresh_cookie_opens_nothing(world: World) -> None:
    client, _ = await world.signed_in(carrier="cookie")
    assert "doorward_refresh" in client.cookies
    assert (await ask(client)).status == 401


async def test_what_the_client_says_of_itself_changes_nothing(session_world: World) -> None:
    client, body = await session_world.signed_in()
    lies = {"x-auth-subject": "somebody", "x-auth-roles": "admin", "x-auth-session": "another"}
    answer = await ask(client, headers=lies)
    assert answer.values("x-auth-subject") == [body["account"]["id"]]
    assert answer.values("x-auth-roles") == [""]
    assert (await ask(session_world.client(), headers=lies)).status == 401


async def test_within_a_moment_the_answer_comes_from_memory(session_world: World) -> None:
    client, _ = await session_world.signed_in()
    cookies = session_world.auth.deployment.cookies
    await ask(client)
    misses = cookies.misses
    for _ in range(3):
        assert (await ask(client)).status == 200
    assert cookies.misses == misses


# Roles and scopes


async def test_whoever_lacks_a_role_or_a_scope_gets_403() -> None:
    async with a_world(strategy="session", role_scopes={"admin": ("books:read", "books:write")}) as world:
        account_id = await world.sign_up()
        await world.auth.change_account(account_id, AccountChange(roles=("admin", "editor")), actor=OPERATOR)
        client, _ = await world.signed_in()
        for query, status in {
            "?roles=admin": 200, "?roles=admin,editor": 200, "?roles=admin,owner": 403, "?roles=ADMIN": 422,
            "?roles=": 422, "?roles=admin,": 422, "?scope=books:read": 200, "?scope=books:write%20books:read": 200,
            "?scope=books:burn": 403, "?scope=": 422, "?rolls=admin": 422, "?roles=admin&roles=editor": 422,
            "?roles=editor&scope=books:read": 200, "?token=maybe": 422,
        }.items():  # fmt: skip
            assert (await ask(client, query)).status == status, query
        assert (await ask(client)).header("x-auth-roles") == "admin,editor"
        assert (await ask(world.client(), "?roles=owner")).status == 401


# Foreign pages


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "cross-site", **GET}, 200),  # a link on a foreign page is followed
        ({"sec-fetch-site": "cross-site", **POST}, 403),
        ({"sec-fetch-site": "same-site", **POST}, 403),
        ({"sec-fetch-site": "same-origin", **POST}, 200),
        ({"sec-fetch-site": "cross-site", "x-original-method": "POST"}, 403),
        ({"sec-fetch-site": "cross-site", "x-original-method": "GET"}, 200),
        # The proxy does not say which method it asks about: it may be any.
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
        # Browsers say one of the two with whatever changes something.
        ({}, 200),
        # Two that contradict each other, in two headers or in one.
        ({"sec-fetch-site": "cross-site", "x-original-method": "POST", **GET}, 403),
        ({"sec-fetch-site": "cross-site", "x-forwarded-method": "GET, POST"}, 403),
        ({"origin": "https://evil.example", **POST}, 403),
        ({"origin": "null", **POST}, 403),
        ({"origin": ISSUER, **POST}, 200),
        ({"origin": ISSUER, "host": "doorward.internal:8000", **POST}, 200),
        (POST, 403),
        # The handshake of a websocket is a GET, and a page may open one to anywhere.
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "websocket", **GET}, 403),
        ({"origin": "https://evil.example", "sec-websocket-key": "eA==", **GET}, 403),
        ({"origin": ISSUER, "sec-websocket-key": "eA==", **GET}, 200),
    ],
)
async def test_by_cookie_nothing_changes_for_a_foreign_page(
    session_world: World, headers: dict[str, str], status: int
) -> None:
    client, _ = await session_world.signed_in()
    answer = await client.get(CHECK, headers=headers)
    assert answer.status == status
    if status == 403:
        assert answer.json()["code"] == "csrf_failed"


async def test_the_token_of_the_session_is_enough_where_a_browser_says_nothing(session_world: World) -> None:
    client, body = await session_world.signed_in()
    assert (await client.get(CHECK, headers={**POST, "x-csrf-token": body["csrf_token"]})).status == 200


async def test_a_bearer_is_exempt(world: World) -> None:
    _, body = await world.signed_in()
    headers = {"sec-fetch-site": "cross-site", **POST}
    assert (await world.client().get(CHECK, headers=headers, bearer=body["access_token"])).status == 200


@pytest.mark.parametrize(
    ("headers", "method"),
    [
        ({}, "GET"),
        ({"host": "x"}, "GET"),
        ({"origin": "https://evil.example"}, "UNKNOWN"),
        ({"sec-fetch-site": "same-origin"}, "UNKNOWN"),
        (GET, "GET"),
        (POST, "POST"),
        ({**GET, "x-original-method": "GET"}, "GET"),
        ({**GET, "x-original-method": "HEAD"}, "UNKNOWN"),
    ],
)
def test_by_which_method_a_request_is_judged(headers: dict[str, str], method: str) -> None:
    assert method_behind(headers) == method


# A token for the upstream


async def test_on_demand_the_upstream_gets_a_short_token_in_place_of_the_cookie() -> None:
    async with a_world(strategy="session", forward_audience="intranet", role_scopes={"*": ("books:read",)}) as world:
        await world.sign_up()
        client, body = await world.signed_in()
        answer = await ask(client, "?token=true")
        claims = claims_of(world, answer)
        assert (claims.sub, claims.sid) == (body["account"]["id"], body["session"]["id"])
        assert (claims.exp - claims.iat, claims.scope, claims.amr) == (60, "books:read", ("pwd",))
        assert answer.header("set-cookie") is None
        # It is for the upstream, and opens nothing here.
        token = (answer.header("authorization") or "").removeprefix("Bearer ")
        assert (await world.client().get("/v1/sessions/current", bearer=token)).status == 401


async def test_without_an_audience_nobody_gets_a_token_for_a_cookie(session_world: World) -> None:
    client, _ = await session_world.signed_in()
    answer = await ask(client, "?token=true")
    assert (answer.status, answer.json()["errors"][0]["field"]) == (422, "token")
    assert answer.header("authorization") is None


async def test_the_token_says_no_generation_since_its_client_never_sees_it() -> None:
    async with a_world(forward_audience="intranet") as world:
        await world.sign_up()
        _, body = await world.signed_in()
        answer = await ask(world.client(), "?token=true", bearer=body["access_token"])
        assert claims_of(world, answer).gen is None


async def test_the_same_token_is_handed_out_for_half_its_life() -> None:
    async with a_world(strategy="session", forward_audience="intranet") as world:
        await world.sign_up()
        client, _ = await world.signed_in()
        first = (await ask(client, "?token=true")).header("authorization")
        world.clock.advance(AGAIN_WITHIN.total_seconds() - 1)
        assert (await ask(client, "?token=true")).header("authorization") == first
        world.clock.advance(1)
        fresh = await ask(client, "?token=true")
        assert fresh.header("authorization") != first
        world.clock.advance(-AGAIN_WITHIN.total_seconds() - 1)
        assert (await ask(client, "?token=true")).header("authorization") != fresh.header("authorization")


async def test_a_token_never_outlives_its_session() -> None:
    minute = timedelta(seconds=60)
    async with a_world(
        strategy="session",
        forward_audience="intranet",
        session_idle=minute,
        session_idle_remembered=minute,
        session_absolute=minute,
        lost_reply_window=minute,
    ) as world:
        await world.sign_up()
        client, _ = await world.signed_in()
        world.clock.advance(50)
        claims = claims_of(world, await ask(client, "?token=true"))
        assert claims.exp - claims.iat == 10


async def test_who_has_other_roles_or_whose_key_was_revoked_gets_another_token() -> None:
    async with a_world(strategy="session", forward_audience="intranet") as world:
        account_id = await world.sign_up()
        client, _ = await world.signed_in()
        before = await ask(client, "?token=true")
        await world.make_admin(account_id)
        after = await ask(client, "?token=true")
        assert (claims_of(world, before).roles, claims_of(world, after).roles) == ((), ("admin",))
        await world.auth.revoke_key(world.auth.deployment.desk.signing_key.kid, actor=OPERATOR)
        claims_of(world, await ask(client, "?token=true"))
        with pytest.raises(InvalidToken):
            claims_of(world, after)


async def test_how_many_tokens_are_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doorward.tokens.forwarding.MOST_REMEMBERED", 2)
    async with a_world(strategy="session", forward_audience="intranet") as world:
        await world.sign_up()
        for _ in range(4):
            client = world.client()
            await sign_in(client)
            await ask(client, "?token=true")
        assert len(world.auth.deployment.forwarded) == 2


def test_a_token_for_others_is_not_signed_with_a_secret_that_they_would_need() -> None:
    with pytest.raises(ConfigurationError, match="DW011"):
        Options(signing_algorithm=Algorithm.HS256, forward_audience="intranet").checked()


# Freshness


async def test_what_has_to_be_fresh_is_refused_where_it_cannot_be_told(world: World) -> None:
    client, body = await world.signed_in()
    assert (await ask(client, "?fresh=true", bearer=body["access_token"])).status == 200
    world.auth.deployment.freshness.known_as_of = None
    answer = await ask(client, "?fresh=true", bearer=body["access_token"])
    assert (answer.status, answer.header("retry-after")) == (503, "1")
    assert (await ask(client, bearer=body["access_token"])).status == 200


async def test_a_cookie_is_looked_up_where_memory_is_not_fresh(session_world: World) -> None:
    client, _ = await session_world.signed_in()
    await ask(client)
    deployment = session_world.auth.deployment
    deployment.freshness.known_as_of = None
    hits = deployment.cookies.hits
    assert (await ask(client, "?fresh=true")).status == 200
    assert deployment.cookies.hits == hits
