from __future__ import annotations

import pytest

from doorward.http.cors import cors_headers, preflight_headers
from doorward.http.operations import TABLE
from tests.http.world import World, a_world

SPA = "https://app.example.com"
EVIL = "https://evil.example"


def test_a_listed_origin_may_read_with_credentials() -> None:
    headers = dict(cors_headers(SPA, allowed=(SPA,), public=False))
    assert headers["access-control-allow-origin"] == SPA
    assert headers["access-control-allow-credentials"] == "true"
    assert headers["vary"] == "origin"


@pytest.mark.parametrize("origin", [EVIL, "null", None, SPA + "/", SPA.upper(), SPA + ".evil.example", "*"])
def test_nobody_else_may(origin: str | None) -> None:
    assert cors_headers(origin, allowed=(SPA,), public=False) == [("vary", "origin")]
    assert preflight_headers(origin, allowed=(SPA,), public=False, methods=["GET"]) == []


def test_where_nothing_is_listed_nothing_varies() -> None:
    assert cors_headers(SPA, allowed=(), public=False) == []


def test_public_documents_are_anybodys_without_credentials() -> None:
    assert cors_headers(EVIL, allowed=(), public=True) == [("access-control-allow-origin", "*")]
    assert ("vary", "origin") in cors_headers(EVIL, allowed=(SPA,), public=True)


@pytest.mark.parametrize("origin", [SPA, EVIL, None])
@pytest.mark.parametrize("public", [True, False])
def test_a_wildcard_never_goes_with_credentials(origin: str | None, *, public: bool) -> None:
    headers = cors_headers(origin, allowed=(SPA,), public=public)
    wildcard = ("access-control-allow-origin", "*") in headers
    assert not (wildcard and ("access-control-allow-credentials", "true") in headers)


@pytest.mark.anyio
async def test_a_preflight_tells_a_listed_origin_what_it_may_send() -> None:
    async with a_world(cors_origins=(SPA,)) as world:
        ask = {"origin": SPA, "access-control-request-method": "PUT"}
        answer = await world.client().request("OPTIONS", "/v1/password", headers=ask)
        assert answer.status == 204
        assert answer.header("access-control-allow-origin") == SPA
        assert answer.header("access-control-allow-credentials") == "true"
        assert answer.header("access-control-allow-methods") == "PUT, OPTIONS"
        assert answer.header("access-control-allow-headers") == (
            "authorization, content-type, idempotency-key, x-csrf-token"
        )
        assert answer.header("access-control-max-age") == "600"
        assert answer.header("vary") == "origin"


@pytest.mark.anyio
async def test_a_preflight_tells_others_nothing() -> None:
    async with a_world(cors_origins=(SPA,)) as world:
        answer = await world.client().request("OPTIONS", "/v1/password", headers={"origin": EVIL})
        assert [name for name, _ in answer.headers if name.startswith("access-control")] == []
        assert answer.header("vary") == "origin"


@pytest.mark.anyio
async def test_errors_can_be_read_by_a_listed_origin_too() -> None:
    async with a_world(cors_origins=(SPA,)) as world:
        for path in ("/v1/sessions/current", "/v1/nothing"):
            answer = await world.client().get(path, headers={"origin": SPA})
            assert answer.status in {401, 404}
            assert answer.header("access-control-allow-origin") == SPA


@pytest.mark.anyio
async def test_only_discovery_is_public(world: World) -> None:
    open_to_all = set()
    for operation in TABLE:
        path = operation.path.replace("{id}", "a" * 16).replace("{sid}", "b" * 16)
        answer = await world.client().request(operation.method, path, headers={"origin": EVIL})
        if answer.header("access-control-allow-origin") is not None:
            assert answer.header("access-control-allow-origin") == "*"
            open_to_all.add(operation.path)
    assert open_to_all == {
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
        "/.well-known/jwks.json",
        "/openapi.json",
        "/v1/status/{id}",
    }
