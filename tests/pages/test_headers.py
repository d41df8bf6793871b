"""What every page says to the browser, and what none of them loads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from doorward.pages.site import _ROUTES
from tests.http.world import World
from tests.pages.visitor import APage, Visitor, a_visited_world

pytestmark = pytest.mark.anyio

POLICY = {
    "default-src": "'none'",
    "style-src": "'self'",
    "script-src": "'self'",
    "img-src": "'self'",
    "font-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "'none'",
}
SHOWN = ["/sign-in", "/sign-up", "/sign-out", "/change-password", "/sessions"]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with a_visited_world(issuer="https://auth.example.com") as made:
        yield made


async def all_pages(world: World) -> list[APage]:
    stranger, visitor = Visitor(world), Visitor(world)
    await visitor.sign_in()
    pages = [await stranger.open("/sign-in"), await stranger.open("/sign-up")]
    pages += [await visitor.open(path) for path in SHOWN]
    # Those of mistakes are pages too.
    pages.append(await stranger.submit(pages[0], "sign-in", email="x", password="y"))
    pages.append(await stranger.open("/sign-in?return_to=//evil.example"))
    pages.append(await visitor.submit(await visitor.open("/sign-out"), "sign-out", csrf_token=""))
    return pages


async def test_every_page_is_hardened(world: World) -> None:
    for page in await all_pages(world):
        answer = page.answer
        policy = answer.values("content-security-policy")
        assert [dict(part.split(" ", 1) for part in each.split("; ")) for each in policy] == [POLICY]
        assert answer.values("referrer-policy") == ["same-origin"]
        assert answer.values("cache-control") == ["no-store"]
        assert answer.values("x-frame-options") == ["DENY"]
        assert answer.values("x-content-type-options") == ["nosniff"]
        assert answer.values("cross-origin-opener-policy") == ["same-origin"]
        assert answer.values("cross-origin-resource-policy") == ["same-origin"]
        assert answer.values("strict-transport-security") == ["max-age=31536000"]
        assert "camera=()" in (answer.header("permissions-policy") or "")


async def test_no_page_can_be_read_by_a_script_of_another_origin() -> None:
    """Not even by one that may call the API."""
    spa = "https://app.example.com"
    async with a_visited_world(cors_origins=(spa,)) as world:
        for path in ("/sign-in", "/sessions", "/assets/doorward.css"):
            for method in ("GET", "OPTIONS"):
                answer = await world.client().request(method, path, headers={"origin": spa})
                assert not [name for name, _ in answer.headers if name.startswith("access-control")]


async def test_hsts_is_for_https_alone() -> None:
    async with a_visited_world() as world:
        assert (await Visitor(world).open("/sign-in")).answer.header("strict-transport-security") is None


async def test_no_page_asks_anybody_else_for_anything_nor_has_a_script_or_a_style_inside(world: World) -> None:
    for page in await all_pages(world):
        for tag, said in page.tags:
            assert tag not in {"style", "iframe", "object", "embed", "base"}
            assert "style" not in said
            assert not any(name.startswith("on") for name in said)
            if tag == "script":
                assert said["src"]
            for name in ("src", "href", "action", "srcset", "formaction", "poster", "ping"):
                address = urlsplit(said.get(name) or "")
                # Relative: it holds wherever the pages are mounted.
                assert not address.scheme
                assert not address.netloc
                assert not address.path.startswith("/")


async def test_forms_are_posted_and_say_what_password_managers_understand(world: World) -> None:
    autocomplete: dict[str, set[str]] = {}
    for page in await all_pages(world):
        for tag, said in page.tags:
            if tag == "form":
                assert said["method"] == "post"
            if tag == "input" and said.get("type") not in {"hidden", "checkbox"}:
                autocomplete.setdefault(str(said.get("name")), set()).add(str(said["autocomplete"]))
    assert autocomplete == {
        "email": {"username"},
        "name": {"name"},
        "password": {"current-password", "new-password"},
        "current_password": {"current-password"},
        "new_password": {"new-password"},
        # Whose password changes: it is not sent.
        "None": {"username"},
    }


async def test_every_form_has_its_token(world: World) -> None:
    for page in await all_pages(world):
        for form in page.forms:
            assert len(form.fields["csrf_token"]) == 64


async def test_all_cookies_are_bound_to_this_host(world: World) -> None:
    visitor = Visitor(world)
    await visitor.sign_in()
    assert set(visitor.client.cookies) == {"__Host-doorward_form", "__Host-doorward_refresh"}


async def test_assets_are_kept_for_good_where_their_address_has_their_version(world: World) -> None:
    page = await Visitor(world).open("/sign-in")
    addresses = [said.get("src") or said.get("href") for tag, said in page.tags if tag in {"script", "link", "img"}]
    for address in addresses:
        answer = await world.client().get(f"/{address}")
        assert answer.status == 200
        assert answer.header("cache-control") == "public, max-age=31536000, immutable"
        assert answer.header("x-content-type-options") == "nosniff"
        path = f"/{address}".partition("?")[0]
        assert (await world.client().get(f"{path}?v=0")).header("cache-control") == "public, max-age=300"
        assert (await world.client().request("HEAD", path)).body == b""
        assert (await world.client().post(path)).status == 405


@pytest.mark.parametrize(
    "path", ["", "x.css", "layout.html", "en.toml", "../assets/doorward.css", "doorward.css/", "%2e%2e/site.py"]
)
async def test_nothing_else_is_an_asset(world: World, path: str) -> None:
    assert (await world.client().get(f"/assets/{path}")).status == 404


async def test_a_page_has_one_heading_its_language_and_a_title(world: World) -> None:
    for page in await all_pages(world):
        tags = [tag for tag, _ in page.tags]
        assert tags.count("h1") == 1
        assert tags.count("main") == 1
        assert dict(page.tags)["html"]["lang"] == "en"
        assert page.text.count(" – Doorward") == 1


def test_no_page_is_where_an_operation_is() -> None:
    from doorward.http.operations import TABLE

    assert not set(_ROUTES) & {operation.path for operation in TABLE}
