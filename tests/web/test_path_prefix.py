"""Below the path prefix of a proxy, whether the proxy removes it or not (docs/guides/behind-a-proxy.md)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urljoin

import pytest
from fastapi import FastAPI
from flask import Flask, url_for
from litestar import Litestar
from starlette.applications import Starlette
from starlette.routing import Mount
from werkzeug.middleware.proxy_fix import ProxyFix

from doorward.blocking import run_blocking
from doorward.doorward import Doorward
from doorward.pages import Pages
from doorward.testing import CookieClient
from doorward.web import fastapi, flask, litestar, starlette
from doorward.web.asgi import DoorwardApp, path_below_mount
from tests.web.test_asgi import a_scope

pytestmark = pytest.mark.anyio

ISSUER = "https://a.example/api/auth"
PERSON = {"email": "ada@example.com", "password": "a walrus in seven teapots"}
QUICK: Any = {"issuer": ISSUER, "strategy": "session", "insecure_fast_hashing": True, "rate_limits": False}


# How servers tell applications of a prefix


def prepended(app: Any) -> Any:
    """As uvicorn does for ``--root-path /api``: the path has the prefix, though the proxy has removed it."""

    async def served(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            scope = {**scope, "root_path": "/api", "path": "/api" + scope["path"]}
        await app(scope, receive, send)

    return served


def beside(app: Any) -> Any:
    """As Hypercorn does, and FastAPI for ``root_path=``: the path lacks what ``root_path`` says."""

    async def served(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "root_path": "/api"} if scope["type"] != "lifespan" else scope, receive, send)

    return served


def a_fastapi_app(**options: Any) -> tuple[Any, Doorward]:
    auth, app = fastapi.Doorward("memory:", **QUICK), FastAPI(**options)
    auth.mount(app, "/auth", pages=Pages())
    return app, auth


def a_fastapi_app_with_root_path() -> tuple[Any, Doorward]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # FastAPI deprecates it, and is still given it
        return a_fastapi_app(root_path="/api")


def a_starlette_app() -> tuple[Any, Doorward]:
    auth = starlette.Doorward("memory:", **QUICK)
    return Starlette(routes=[auth.mount("/auth", pages=Pages())], lifespan=auth.lifespan), auth


def an_app_in_a_plain_mount() -> tuple[Any, Doorward]:
    auth = starlette.Doorward("memory:", **QUICK)
    return Starlette(routes=[Mount("/auth", app=DoorwardApp(auth))], lifespan=auth.lifespan), auth


def a_litestar_app() -> tuple[Any, Doorward]:
    auth = litestar.Doorward("memory:", **QUICK)
    return Litestar([], plugins=[auth.mount("/auth")]), auth


@pytest.mark.parametrize("serve", [prepended, beside], ids=lambda each: str(each.__name__))
@pytest.mark.parametrize(
    "make",
    [a_fastapi_app, a_starlette_app, an_app_in_a_plain_mount, a_litestar_app],
    ids=lambda each: str(each.__name__),
)
async def test_the_contract_is_there_however_the_server_writes_the_prefix(
    make: Callable[[], tuple[Any, Doorward]], serve: Callable[[Any], Any]
) -> None:
    app, auth = make()
    async with auth:
        await signs_up_and_in(CookieClient(serve(app), base_url="https://a.example"), "/auth")


async def test_the_contract_is_there_for_fastapis_own_root_path() -> None:
    app, auth = a_fastapi_app_with_root_path()
    async with auth:
        client = CookieClient(app, base_url="https://a.example")
        # A proxy that removes the prefix, and one that leaves it.
        await signs_up_and_in(client, "/auth")
        assert (await client.get("/api/auth/v1/sessions/current")).status == 200


async def test_the_contract_is_there_below_a_prefix_that_no_proxy_removes() -> None:
    inner, auth = a_starlette_app()
    app = Starlette(routes=[Mount("/api", app=inner)])
    async with auth:
        await signs_up_and_in(CookieClient(app, base_url="https://a.example"), "/api/auth")


async def signs_up_and_in(client: CookieClient, prefix: str) -> None:
    assert (await client.post(f"{prefix}/v1/accounts", json=PERSON)).status == 201
    answer = await client.post(f"{prefix}/v1/sessions", json=PERSON)
    assert answer.status == 201
    # For the whole host: the browser's address has the prefix, which the server may never see.
    assert "; Path=/;" in answer.values("set-cookie")[0]
    assert (await client.get(f"{prefix}/v1/sessions/current")).status == 200
    metadata = (await client.get(f"{prefix}/.well-known/openid-configuration")).json()
    assert (metadata["issuer"], metadata["token_endpoint"]) == (ISSUER, f"{ISSUER}/v1/token")


async def test_what_pages_link_to_is_below_the_prefix_that_the_browser_sees() -> None:
    """No link of theirs begins with a slash or names a host, so none depends on what the server knows."""
    app, auth = a_fastapi_app_with_root_path()
    async with auth:
        client = CookieClient(app, base_url="https://a.example")
        refused = await client.get("/auth/sessions")
        assert (refused.status, refused.header("location")) == (303, "sign-in?return_to=sessions")
        page = (await client.get("/auth/sign-in")).body.decode()
        assert not [each for each in ('href="/', 'src="/', 'action="/', 'href="http') if each in page]


@pytest.mark.parametrize(
    ("path", "root_path", "app_root_path", "below"),
    [
        ("/api/auth/v1/token", "/api/auth", "/api", "/v1/token"),
        ("/auth/v1/token", "/api/auth", "/api", "/v1/token"),
        ("/auth", "/api/auth", "/api/", "/"),
        ("/authority", "/api/auth", "/api", "/authority"),
        # What lies below the mount is never taken for the prefix.
        ("/v1/token", "/v1", "", "/token"),
        ("/v1/token", "/api/v1", "", "/v1/token"),
        ("/v1/token", "/api", "/api", "/v1/token"),
        ("/auth/api/auth", "/api/auth", "/api", "/api/auth"),
        ("/auth/v1/token", "/api/auth", "/other", "/auth/v1/token"),
    ],
)
async def test_of_a_prefix_the_outer_part_may_have_been_removed(
    path: str, root_path: str, app_root_path: str, below: str
) -> None:
    scope = {**a_scope(path=path, root_path=root_path), "app_root_path": app_root_path}
    assert path_below_mount(scope) == below


# Flask


@contextmanager
def a_flask_app() -> Iterator[Flask]:
    auth = flask.Doorward("memory:", sign_in_view="sign_in", **QUICK)
    app = Flask(__name__)
    auth.init_app(app)
    app.add_url_rule("/sign-in", "sign_in", flask.next_page)
    app.add_url_rule("/mine", "mine", flask.login_required(lambda: "mine"))
    yield app
    run_blocking(flask.doorward_of(app).close())


PAGE = {"accept": "text/html"}
WAYS: dict[str, Any] = {
    "SCRIPT_NAME": {"environ_overrides": {"SCRIPT_NAME": "/api"}},
    "X-Forwarded-Prefix": {"headers": {"x-forwarded-prefix": "/api"}},
}


@pytest.mark.parametrize("way", WAYS)
def test_flask_leads_to_the_sign_in_page_and_back_below_the_prefix(way: str) -> None:
    with a_flask_app() as app:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_prefix=1)  # type: ignore[method-assign]  # as Flask says
        browser = app.test_client()
        told = WAYS[way]
        headers = {**PAGE, **told.get("headers", {})}
        asked = browser.get("/mine?tab=2", **{**told, "headers": headers})
        assert (asked.status_code, asked.location) == (303, "/api/sign-in?next=/api/mine?tab%3D2")
        assert browser.get("/sign-in?next=/api/mine", **told).text == "/api/mine"
        assert browser.get("/sign-in", **told).text == "/api/"
        assert browser.get("/auth/.well-known/jwks.json", **told).status_code == 200


@pytest.mark.parametrize(
    "prefix",
    ["//evil.example", "/\\evil.example", "///evil.example", "https://evil.example", "/a/../.."],
)
def test_a_prefix_that_a_client_made_up_leads_to_no_other_site(prefix: str) -> None:
    """Where no proxy overwrites ``X-Forwarded-Prefix``, the client writes it; a cache may keep what is answered."""
    with a_flask_app() as app:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_prefix=1)  # type: ignore[method-assign]  # as Flask says
        app.add_url_rule("/then", "then", lambda: flask.next_page(url_for("mine")))
        browser = app.test_client()
        led = [
            browser.get("/mine", headers={**PAGE, "x-forwarded-prefix": prefix}).location or "/",
            *(browser.get(each, headers={"x-forwarded-prefix": prefix}).text for each in ("/sign-in", "/then")),
        ]
        hosts = {urljoin("https://a.example/", each.replace("\\", "/")).split("/")[2] for each in led}
        assert hosts == {"a.example"}
