"""A browser that keeps no cookie is told so before anything is done for it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.http.world import PASSWORD
from tests.pages.visitor import EMAIL, APage, Visitor, a_visited_world, read_page, sessions_of

pytestmark = pytest.mark.anyio


async def sent_without_cookies(visitor: Visitor, page: str, **fields: str) -> APage:
    """What comes of a form in a browser that keeps no cookie."""
    shown = await visitor.open(f"/{page}")
    answer = await visitor.send(shown, page, headers={"cookie": None}, **fields)
    return read_page(answer, f"/{page}")


@pytest.mark.parametrize("strategy", ["session", "hybrid", "jwt"])
async def test_no_session_starts_in_a_browser_that_keeps_no_cookie(strategy: Any) -> None:
    async with a_visited_world(strategy=strategy) as world:
        page = await sent_without_cookies(Visitor(world), "sign-in", email=EMAIL, password=PASSWORD)
        assert page.status == 422
        assert "kept no cookie" in page.text
        assert f'value="{EMAIL}"' in page.html
        assert await sessions_of(world) == set()


async def test_no_account_is_opened_from_a_browser_that_keeps_no_cookie() -> None:
    async with a_visited_world() as world:
        page = await sent_without_cookies(Visitor(world), "sign-up", email="grace@example.com", password=PASSWORD)
        assert (page.status, "kept no cookie" in page.text) == (422, True)
        assert await world.auth.deployment.store.account_by_email("grace@example.com") is None


async def test_whoever_allows_cookies_then_signs_in_with_the_same_page() -> None:
    async with a_visited_world() as world:
        visitor = Visitor(world)
        page = await sent_without_cookies(visitor, "sign-in", email=EMAIL, password=PASSWORD)
        page = await visitor.submit(page, "sign-in", email=EMAIL, password=PASSWORD)
        assert page.address == "/sessions"


@pytest.mark.parametrize(
    ("base_url", "options", "remedy"),
    [
        ("https://auth.example.com", {}, "Allow cookies for this site, then try again."),
        ("http://127.0.0.1:8000", {}, "DOORWARD_INSECURE_COOKIES_OVER_HTTP=true"),
        ("http://localhost:8000", {}, "DOORWARD_INSECURE_COOKIES_OVER_HTTP=true"),
        ("http://127.0.0.1:8000", {"insecure_cookies_over_http": True}, "Allow cookies for this site, then try again."),
        ("http://intranet:8000", {}, "Open the page at its https address"),
        ("http://[::", {}, "Open the page at its https address"),
    ],
)
async def test_the_remedy_is_the_one_for_the_address(base_url: str, options: dict[str, Any], remedy: str) -> None:
    async with a_visited_world(**options) as world:
        visitor = Visitor(world, base_url=base_url if "[" not in base_url else "http://intranet")
        visitor.headers = {"host": base_url.partition("://")[2], "sec-fetch-site": "same-origin"}
        page = await sent_without_cookies(visitor, "sign-in", email=EMAIL, password=PASSWORD)
        assert remedy in page.text


async def test_a_cookie_of_a_neighbour_beside_ours_keeps_nobody_from_signing_in() -> None:
    async with a_visited_world() as world:
        visitor = Visitor(world)
        page = await visitor.open("/sign-in")
        mine = visitor.client.cookies["doorward_form"]
        headers = {"cookie": f"doorward_form={mine}; doorward_form=planted", "sec-fetch-site": "same-origin"}
        answer = await visitor.send(page, "sign-in", headers=headers, email=EMAIL, password=PASSWORD)
        assert answer.status == 303
