"""Django below the path prefix of a proxy (docs/guides/behind-a-proxy.md)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.test import override_settings

from doorward.testing import CookieClient
from tests.web.django.people import OWN_PAGE, PASSWORD, an_account, configured

ISSUER = "https://a.example/api/auth"


@pytest.mark.parametrize(
    ("settings", "script_name"),
    [
        pytest.param({"FORCE_SCRIPT_NAME": "/api"}, "", id="FORCE_SCRIPT_NAME"),
        pytest.param({}, "/api", id="SCRIPT_NAME"),
    ],
)
def test_the_contract_and_djangos_pages_are_below_the_prefix(settings: dict[str, Any], script_name: str) -> None:
    """The proxy has removed the prefix from the path."""
    with configured(ISSUER=ISSUER), override_settings(**settings):
        account = an_account()
        transport = httpx.WSGITransport(app=WSGIHandler(), script_name=script_name)
        with httpx.Client(transport=transport, base_url="http://testserver", headers=OWN_PAGE) as browser:
            asked = browser.get("/mine/")
            assert (asked.status_code, asked.headers["location"]) == (302, "/api/sign-in/?next=/api/mine/")
            answer = browser.post("/auth/v1/sessions", json={"email": account.email, "password": PASSWORD})
            assert answer.status_code == 201
            # httpx sends no Secure cookie over plain HTTP, browsers do on loopback.
            cookie = {"cookie": answer.headers["set-cookie"].partition(";")[0]}
            assert browser.get("/me", headers=cookie).json()["account"] == account.id
            assert browser.get("/auth/v1/sessions/current", headers=cookie).status_code == 200
            metadata = browser.get("/auth/.well-known/openid-configuration").json()
            assert (metadata["issuer"], metadata["token_endpoint"]) == (ISSUER, f"{ISSUER}/v1/token")


@pytest.mark.anyio
async def test_the_contract_is_below_the_prefix_of_an_asgi_server() -> None:
    """uvicorn writes the prefix into the path."""
    inner = ASGIHandler()

    async def served(scope: Any, receive: Any, send: Any) -> None:
        await inner({**scope, "root_path": "/api", "path": "/api" + scope["path"]}, receive, send)

    with configured(ISSUER=ISSUER):
        client = CookieClient(served, base_url="http://testserver")
        assert (await client.get("/auth/.well-known/jwks.json")).status == 200
        assert (await client.get("/mine/")).header("location") == "/api/sign-in/?next=/api/mine/"
