from __future__ import annotations

from datetime import timedelta

import pytest

from doorward.doorward import Doorward
from doorward.errors import Busy, DatabaseUnusable, KeysNotLoaded, StoreUnavailable, Unavailable
from doorward.web.asgi import DoorwardApp
from tests.http.world import World, a_world

pytestmark = pytest.mark.anyio

WELL_KNOWN = ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"]


@pytest.mark.rfc("8414", "3.2")
@pytest.mark.parametrize("path", WELL_KNOWN)
async def test_the_metadata_names_what_there_is_by_the_issuers_address(path: str) -> None:
    scopes = {"editor": ("posts:write",), "*": ("posts:read",)}
    async with a_world(issuer="https://app.example.com/auth", role_scopes=scopes) as world:
        answer = await world.client().get(path)
        assert answer.header("content-type") == "application/json"
        assert answer.json() == {
            "issuer": "https://app.example.com/auth",
            "jwks_uri": "https://app.example.com/auth/.well-known/jwks.json",
            "token_endpoint": "https://app.example.com/auth/v1/token",
            "revocation_endpoint": "https://app.example.com/auth/v1/revoke",
            "introspection_endpoint": "https://app.example.com/auth/v1/introspect",
            "grant_types_supported": ["refresh_token"],
            "response_types_supported": [],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "token_endpoint_auth_methods_supported": ["none"],
            "revocation_endpoint_auth_methods_supported": ["none"],
            "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "Bearer"],
            "scopes_supported": ["posts:read", "posts:write"],
        }


async def test_the_endpoints_named_are_there(world: World) -> None:
    client = world.client()
    metadata = (await client.get(WELL_KNOWN[0])).json()
    for name, method in (("jwks_uri", "GET"), ("token_endpoint", "POST"), ("revocation_endpoint", "POST")):
        path = metadata[name].removeprefix(metadata["issuer"])
        assert (await client.request(method, path)).status in {200, 400}


@pytest.mark.rfc("7517", "5")
async def test_the_keys_are_public_ones_and_may_be_cached(world: World) -> None:
    answer = await world.client().get("/.well-known/jwks.json")
    assert answer.header("cache-control") == "public, max-age=300"
    keys = answer.json()["keys"]
    assert len(keys) >= 2
    assert all({"kty", "kid", "alg", "use"} <= set(key) for key in keys)
    assert all(not {"d", "k", "p", "q"} & set(key) for key in keys)


async def test_the_process_lives_and_is_ready(world: World) -> None:
    for path in ("/healthz", "/readyz"):
        answer = await world.client().get(path)
        assert (answer.status, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("error", "dependency"),
    [
        (StoreUnavailable(timedelta(seconds=2), "at 10.0.0.7"), "database"),
        (Busy(detail="all connections of the pool are in use"), "database"),
        (KeysNotLoaded(detail="no keys"), "signing keys"),
    ],
)
async def test_what_is_down_is_named_and_the_process_lives_on(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Unavailable, dependency: str
) -> None:
    async def ping() -> None:
        raise error

    monkeypatch.setattr(world.auth, "ping", ping)
    answer = await world.client().get("/readyz")
    assert (answer.status, answer.json()["dependency"]) == (503, dependency)
    assert answer.header("retry-after")
    assert "10.0.0.7" not in answer.body.decode()
    assert (await world.client().get("/healthz")).status == 200


async def test_a_database_that_cannot_be_opened_is_a_503_and_not_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    auth = Doorward("memory:", secret="the secret of a deployment in tests")

    async def unusable() -> None:
        raise DatabaseUnusable("from a newer version: at /var/lib/doorward.db")

    monkeypatch.setattr(auth, "open", unusable)
    from doorward.testing.cookie_client import CookieClient

    client = CookieClient(DoorwardApp(auth))
    for path in ("/readyz", "/.well-known/jwks.json", "/v1/sessions/current"):
        answer = await client.get(path)
        assert (answer.status, answer.json()["code"]) == (503, "database_unusable")
        assert "/var/lib" not in answer.body.decode()
        assert answer.header("retry-after")
        assert answer.header("cache-control") == "no-store"
    assert (await client.get("/healthz")).status == 200


async def test_metrics_are_there_where_something_measures(world: World) -> None:
    answer = await world.client().get("/metrics")
    assert (answer.status, answer.body) == (200, b"# none\n")
    assert (answer.header("content-type") or "").startswith("text/plain; version=0.0.4")
    from doorward.testing.cookie_client import CookieClient

    assert (await CookieClient(DoorwardApp(world.auth)).get("/metrics")).status == 404
