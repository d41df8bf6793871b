"""An address that does not exist: a page for people, JSON for programs."""

from __future__ import annotations

from urllib.parse import urljoin

import pytest

from tests.http.world import a_world
from tests.pages.visitor import Visitor, a_visited_world, read_page

pytestmark = pytest.mark.anyio

BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.mark.parametrize("path", ["/login", "/signin", "/a/b/c", "/a/b/", "/sign-in/", "/favicon.ico"])
async def test_a_person_at_an_unknown_address_finds_the_way(path: str) -> None:
    async with a_visited_world() as world:
        visitor = Visitor(world)
        answer = await visitor.client.get(path, headers=BROWSER)
        page = read_page(answer, path)
        assert (page.status, answer.header("content-type")) == (404, "text/html; charset=utf-8")
        assert "Page not found" in page.text
        assert answer.values("set-cookie") == []
        ways = [urljoin(path, link) for link in page.links if not link.rpartition("/")[2].startswith("?")]
        assert {"/sign-in", "/sign-up", "/sessions"} <= set(ways)
        styles = [urljoin(path, tag["href"] or "") for name, tag in page.tags if name == "link"]
        for address in styles:
            assert (await visitor.client.get(address)).status == 200


async def test_nobody_is_led_to_a_sign_up_that_is_closed() -> None:
    async with a_visited_world(sign_up="closed") as world:
        page = read_page(await world.client().get("/login", headers=BROWSER), "/login")
        assert "sign-up" not in page.links


@pytest.mark.parametrize(
    ("method", "path", "accept"),
    [
        ("GET", "/login", None),
        ("GET", "/login", "*/*"),
        ("GET", "/login", "application/json"),
        ("GET", "/v1/login", BROWSER["accept"]),
        ("GET", "/.well-known/login", BROWSER["accept"]),
        ("GET", "/assets/login.js", BROWSER["accept"]),
        ("POST", "/login", BROWSER["accept"]),
    ],
)
async def test_programs_are_answered_as_the_api_answers(method: str, path: str, accept: str | None) -> None:
    async with a_visited_world() as world:
        answer = await world.client().request(method, path, headers={"accept": accept})
        assert (answer.status, answer.json()["code"]) == (404, "not_found")


async def test_without_pages_everybody_is_answered_by_the_api() -> None:
    async with a_world() as world:
        answer = await world.client().get("/login", headers=BROWSER)
        assert (answer.status, answer.json()["code"]) == (404, "not_found")
