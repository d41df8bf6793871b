"""Two applications on one host, told apart by the names of their cookies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, get_args

import pytest

from doorward.http.caller import recognise_cookie
from doorward.options import Options, Strategy, problems_of
from doorward.testing.cookie_client import CookieClient
from tests.http.world import PASSWORD, World, a_world
from tests.pages.visitor import PAGES

pytestmark = pytest.mark.anyio

ADA = {"email": "ada@example.com", "password": PASSWORD}


@asynccontextmanager
async def two_applications(strategy: str, **options: Any) -> AsyncIterator[tuple[CookieClient, dict[str, World]]]:
    """One browser, and what it finds below ``/shop`` and ``/wiki``."""
    async with AsyncExitStack() as stack:
        worlds = {
            name: await stack.enter_async_context(
                a_world(strategy=strategy, cookie_prefix=name, pages=PAGES, **options)  # type: ignore[arg-type]
            )
            for name in ("shop", "wiki")
        }
        for world in worlds.values():
            await world.sign_up()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            name = scope["path"].split("/")[1]
            await worlds[name].app({**scope, "root_path": f"/{name}"}, receive, send)

        clock = worlds["shop"].clock
        yield CookieClient(app, base_url=worlds["shop"].auth.options.issuer, clock=clock), worlds


async def sign_in(browser: CookieClient, name: str) -> None:
    answer = await browser.post(f"/{name}/v1/sessions", json={**ADA, "carrier": "cookie"})
    assert answer.status == 201, answer.body


async def is_signed_in(browser: CookieClient, name: str, strategy: str) -> bool:
    if strategy == "session":
        return (await browser.get(f"/{name}/v1/sessions/current")).status == 200
    answer = await browser.post(f"/{name}/v1/token", form={"grant_type": "refresh_token"})
    return answer.status == 200


@pytest.mark.parametrize("strategy", ["session", "hybrid"])
async def test_two_applications_on_one_host_sign_nobody_out_of_each_other(strategy: str) -> None:
    async with two_applications(strategy) as (browser, _):
        for name in ("shop", "wiki"):
            await sign_in(browser, name)
        for name in ("shop", "wiki"):
            assert await is_signed_in(browser, name, strategy)
        assert (await browser.delete("/wiki/v1/sessions/current")).status == 204
        assert await is_signed_in(browser, "shop", strategy)
        assert not await is_signed_in(browser, "wiki", strategy)


@pytest.mark.parametrize("issuer", ["http://127.0.0.1:8000", "https://www.example.com"])
@pytest.mark.parametrize("strategy", get_args(Strategy))
async def test_the_name_of_every_cookie_begins_with_the_prefix(strategy: str, issuer: str) -> None:
    async with two_applications(strategy, issuer=issuer) as (browser, worlds):
        for name in worlds:
            page = await browser.get(f"/{name}/sign-in")
            assert page.status == 200
            form = page.body.decode().partition('name="csrf_token" value="')[2].partition('"')[0]
            typed = {"email": ADA["email"], "password": PASSWORD, "csrf_token": form}
            answer = await browser.post(f"/{name}/sign-in", form=typed)
            assert answer.status == 303, answer.body
        host = "__Host-" if issuer.startswith("https") else ""
        kinds = {"session": "session", "hybrid": "refresh", "jwt": "page"}
        assert set(browser.cookies) == {f"{host}{name}_{kind}" for name in worlds for kind in ("form", kinds[strategy])}
        for name in worlds:
            assert (await browser.get(f"/{name}/sessions")).status == 200


async def test_the_cookie_is_recognised_in_memory_by_the_prefix_of_its_deployment() -> None:
    async with two_applications("session") as (browser, worlds):
        await sign_in(browser, "shop")
        assert await is_signed_in(browser, "shop", "session")
        [(name, value)] = browser.cookies.items()
        auth = worlds["shop"].auth
        for header in (f"{name}={value}", f"a=b; {name}={value}"):
            assert recognise_cookie(auth, header, "GET", "http") is not None
        assert recognise_cookie(auth, f"doorward_session={value}", "GET", "http") is None
        assert recognise_cookie(worlds["wiki"].auth, f"{name}={value}", "GET", "http") is None


async def test_the_document_of_the_api_has_the_names() -> None:
    async with two_applications("session") as (browser, _):
        schemes = (await browser.get("/shop/openapi.json")).json()["components"]["securitySchemes"]
    assert (schemes["session_cookie"]["name"], schemes["refresh_cookie"]["name"]) == ("shop_session", "shop_refresh")


@pytest.mark.parametrize("prefix", ["a", "my-shop", "A.b_c~1", "x" * 40, "_x"])
async def test_a_prefix_of_token_characters_is_taken(prefix: str) -> None:
    assert problems_of(Options(cookie_prefix=prefix)) == []


@pytest.mark.parametrize(
    "prefix", ["", "x" * 41, "a b", "a=b", "a;b", "ä", "a\n", "__Host-", "__secure-x", 'a"b', "a,b"]
)
async def test_a_prefix_that_would_break_a_cookie_is_refused(prefix: str) -> None:
    assert [problem.id for problem in problems_of(Options(cookie_prefix=prefix))] == ["DW035"]
