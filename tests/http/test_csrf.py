from __future__ import annotations

from typing import Any

import pytest

from doorward.http.csrf import decide_csrf, origin_of
from tests.http.world import ISSUER, PASSWORD, World, a_world, sign_in

OWN = "https://auth.example.com"
SPA = "https://app.example.com"
EVIL = "https://evil.example"


def decide(**changes: Any) -> str | None:
    call: dict[str, Any] = {
        "method": "POST",
        "sec_fetch_site": None,
        "origin": None,
        "own_origins": {OWN},
        "allowed_origins": {SPA},
        "cookie_call": True,
        "has_csrf_token": lambda: False,
    }
    return decide_csrf(**{**call, **changes})


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_what_changes_nothing_is_not_checked(method: str) -> None:
    assert decide(method=method, sec_fetch_site="cross-site", origin=EVIL) is None


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "WEBSOCKET", "get"])
def test_everything_else_is(method: str) -> None:
    assert decide(method=method, sec_fetch_site="cross-site", origin=EVIL) == "sec_fetch_site"


@pytest.mark.parametrize(
    ("site", "origin", "failed"),
    [
        ("same-origin", OWN, None),
        ("same-origin", None, None),
        ("none", None, None),
        ("same-site", SPA, None),
        ("cross-site", SPA, None),
        ("same-site", EVIL, "sec_fetch_site"),
        ("cross-site", EVIL, "sec_fetch_site"),
        ("same-site", None, "sec_fetch_site"),
        ("cross-site", None, "sec_fetch_site"),
        ("cross-site", "null", "sec_fetch_site"),
        # Our own origin is no ticket where the browser says that the page is another's.
        ("cross-site", OWN, "sec_fetch_site"),
        ("", OWN, "sec_fetch_site"),
        ("Same-Origin", OWN, "sec_fetch_site"),
        ("same-origin, same-origin", OWN, "sec_fetch_site"),
    ],
)
def test_the_browsers_word_on_the_site_comes_first(site: str, origin: str | None, failed: str | None) -> None:
    assert decide(sec_fetch_site=site, origin=origin) == failed
    # And a token does not heal it: a page that has read one token would have a way in for ever.
    assert decide(sec_fetch_site=site, origin=origin, has_csrf_token=lambda: True) == failed


@pytest.mark.parametrize(
    ("origin", "failed"),
    [
        (OWN, None),
        (SPA, None),
        (EVIL, "origin"),
        ("null", "origin"),
        ("", "origin"),
        (OWN + "/", "origin"),
        (OWN.upper(), "origin"),
        (OWN + ".evil.example", "origin"),
        ("http://auth.example.com", "origin"),
        (OWN + ":8443", "origin"),
        (f"{OWN}, {OWN}", "origin"),
    ],
)
def test_without_it_the_origin_must_be_ours_or_listed(origin: str, failed: str | None) -> None:
    assert decide(origin=origin) == failed


def test_null_passes_for_nobody() -> None:
    assert decide(origin="null", own_origins={"null"}, allowed_origins={"null"}) == "origin"


def test_with_neither_a_cookie_call_needs_the_token() -> None:
    assert decide() == "csrf_token"
    assert decide(has_csrf_token=lambda: True) is None


def test_with_neither_a_call_without_cookies_passes() -> None:
    assert decide(cookie_call=False) is None


@pytest.mark.parametrize(
    ("scheme", "host", "origin"),
    [
        ("https", "A.example", "https://a.example"),
        ("https", "a.example:443", "https://a.example"),
        ("http", "a.example:80", "http://a.example"),
        ("https", "a.example:80", "https://a.example:80"),
        ("http", "[::1]:8000", "http://[::1]:8000"),
        ("http", "[", "http://["),
    ],
)
def test_an_origin_is_written_as_browsers_write_it(scheme: str, host: str, origin: str) -> None:
    assert origin_of(scheme, host) == origin


# Over the API

UNSAFE_BY_COOKIE = [
    ("PUT", "/v1/password", {"current_password": PASSWORD, "new_password": "another walrus, eight teapots"}),
    ("DELETE", "/v1/sessions/current", None),
    ("DELETE", "/v1/sessions", None),
    ("DELETE", "/v1/sessions/abcdefghijklmnop", None),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("method", "path", "body"), UNSAFE_BY_COOKIE)
async def test_a_foreign_page_changes_nothing_by_cookie(
    session_world: World, method: str, path: str, body: object
) -> None:
    client, _ = await session_world.signed_in()
    for headers, check in (
        ({"sec-fetch-site": "cross-site", "origin": EVIL}, "sec_fetch_site"),
        ({"sec-fetch-site": None, "origin": "null"}, "origin"),
        ({"sec-fetch-site": None, "origin": None}, "csrf_token"),
        ({"sec-fetch-site": None, "origin": None, "x-csrf-token": "0" * 64}, "csrf_token"),
        ({"sec-fetch-site": None, "origin": None, "x-csrf-token": "é"}, "csrf_token"),
    ):
        answer = await client.request(method, path, json=body, headers=headers)
        assert (answer.status, answer.json()["code"], answer.json()["check"]) == (403, "csrf_failed", check)
    assert (await client.get("/v1/sessions/current")).status == 200


@pytest.mark.anyio
async def test_the_token_of_ones_own_session_passes_and_anothers_does_not(session_world: World) -> None:
    client, mine = await session_world.signed_in()
    _, other = await session_world.signed_in()
    bare = {"sec-fetch-site": None, "origin": None}
    refused = await client.delete("/v1/sessions/current", headers={**bare, "x-csrf-token": other["csrf_token"]})
    assert refused.status == 403
    taken = await client.delete("/v1/sessions/current", headers={**bare, "x-csrf-token": mine["csrf_token"]})
    assert taken.status == 204


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/v1/sessions", "/v1/accounts"])
async def test_a_foreign_page_signs_nobody_in_or_up(world: World, path: str) -> None:
    body = {"email": "new@example.com", "password": PASSWORD}
    for headers in ({"sec-fetch-site": "cross-site", "origin": EVIL}, {"sec-fetch-site": None, "origin": EVIL}):
        answer = await world.client().post(path, json=body, headers=headers)
        assert (answer.status, answer.json()["code"]) == (403, "csrf_failed")
        assert answer.values("set-cookie") == []


@pytest.mark.anyio
async def test_a_client_that_is_no_browser_signs_in_without_ceremony(world: World) -> None:
    answer = await sign_in(world.client(page=None))
    assert answer.status == 201


@pytest.mark.anyio
async def test_bearer_calls_are_exempt(world: World) -> None:
    client, body = await world.signed_in()
    answer = await client.delete(
        "/v1/sessions/current",
        bearer=body["access_token"],
        headers={"sec-fetch-site": "cross-site", "origin": EVIL},
    )
    assert answer.status == 204


@pytest.mark.anyio
async def test_a_listed_origin_may_call_by_cookie() -> None:
    async with a_world(strategy="session", cors_origins=(SPA,)) as world:
        await world.sign_up()
        client = world.client(page=SPA)
        assert (await sign_in(client)).status == 201
        assert (await client.delete("/v1/sessions/current")).status == 204


@pytest.mark.anyio
async def test_the_host_that_the_client_asked_for_is_our_own_origin_too(session_world: World) -> None:
    client = session_world.client(base_url="http://localhost:9000")
    assert (await sign_in(client)).status == 201
    answer = await client.delete("/v1/sessions/current", headers={"sec-fetch-site": None})
    assert answer.status == 204


@pytest.mark.anyio
async def test_behind_a_proxy_the_issuers_origin_is_ours() -> None:
    async with a_world(strategy="session", issuer=OWN) as world:
        await world.sign_up()
        # The proxy speaks plain HTTP to us and keeps the client's Host.
        client = world.client(base_url="https://auth.example.com", page=OWN)
        assert (await sign_in(client)).status == 201
        answer = await client.delete("/v1/sessions/current", headers={"host": "10.0.0.7:8000", "sec-fetch-site": None})
        assert answer.status == 204


@pytest.mark.anyio
async def test_the_refresh_cookie_is_checked(world: World) -> None:
    client, body = await world.signed_in(carrier="cookie")
    form = {"grant_type": "refresh_token"}
    for headers in (
        {"sec-fetch-site": "cross-site", "origin": EVIL},
        {"sec-fetch-site": None, "origin": "null"},
        {"sec-fetch-site": None, "origin": None},
    ):
        answer = await client.post("/v1/token", form=form, headers=headers)
        assert (answer.status, answer.json()["error"], answer.json()["code"]) == (403, "csrf_failed", "csrf_failed")
        assert answer.values("set-cookie") == []
    token = {"sec-fetch-site": None, "origin": None, "x-csrf-token": body["csrf_token"]}
    assert (await client.post("/v1/token", form=form, headers=token)).status == 200


def test_the_issuer_of_these_tests_is_the_address_of_their_client() -> None:
    assert origin_of("http", "127.0.0.1:8000") == ISSUER
