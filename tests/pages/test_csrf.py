"""Forms of foreign pages change nothing, whether or not somebody has signed in."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from doorward.pages.site import _ROUTES
from tests.http.world import ISSUER, PASSWORD, World
from tests.pages.visitor import EMAIL, Visitor, a_visited_world, sessions_of

pytestmark = pytest.mark.anyio

TAKERS = sorted(path.removeprefix("/") for path, route in _ROUTES.items() if route.post is not None)
FIELDS = {
    "email": EMAIL,
    "password": PASSWORD,
    "current_password": PASSWORD,
    "new_password": "nine lighthouses hum a slow waltz",
}
FOREIGN: list[dict[str, str | None]] = [
    {"sec-fetch-site": "cross-site", "origin": "https://evil.example"},
    {"sec-fetch-site": "same-site", "origin": "https://evil.example"},
    {"sec-fetch-site": "cross-site", "origin": None},
    {"sec-fetch-site": None, "origin": "https://evil.example"},
    {"sec-fetch-site": None, "origin": "null"},
    {"sec-fetch-site": None, "origin": f"{ISSUER}.evil.example"},
]
OLD: dict[str, str | None] = {"sec-fetch-site": None, "origin": None}
"""A browser that says nothing of where a form stands."""


@pytest.fixture(params=["session", "hybrid", "jwt"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with a_visited_world(strategy=request.param) as made:
        yield made


@pytest.mark.parametrize("action", TAKERS)
async def test_a_form_of_a_foreign_page_changes_nothing(world: World, action: str) -> None:
    visitor = Visitor(world)
    page = await visitor.sign_in()
    before, cookies = await sessions_of(world), visitor.client.cookies
    token = page.forms[0].fields["csrf_token"]
    for headers in FOREIGN:
        # Not even with a token: whoever has read one must not have a way in for ever.
        for form in (FIELDS, FIELDS | {"session": next(iter(before))}, FIELDS | {"csrf_token": token}):
            answer = await visitor.client.post(f"/{action}", form=form, headers=headers)
            assert answer.status == 403, headers
            assert b"Nothing was done" in answer.body
            assert {name: visitor.client.cookies[name] for name in cookies} == cookies
    assert await sessions_of(world) == before
    assert (await Visitor(world).sign_in()).status == 200


@pytest.mark.parametrize("action", ["sign-in", "sign-up"])
async def test_nobody_is_signed_in_unawares(world: World, action: str) -> None:
    """What somebody then does, they do in the attacker's account (login CSRF)."""
    visitor = Visitor(world)
    fields = FIELDS | {"email": "eve@example.com"} if action == "sign-up" else FIELDS
    for headers in (*FOREIGN, OLD):
        answer = await visitor.client.post(f"/{action}", form=fields, headers=headers)
        assert answer.status == 403
    assert set(visitor.client.cookies) <= {"doorward_form"}
    assert await sessions_of(world) == set()


async def test_an_old_browser_sends_the_forms_token(world: World) -> None:
    visitor = Visitor(world)
    page = await visitor.open("/sign-in")
    answer = await visitor.send(page, "sign-in", headers=OLD, email=EMAIL, password=PASSWORD)
    assert answer.status == 303
    page = await visitor.open("/sessions")
    answer = await visitor.send(page, "end-session", headers=OLD)
    assert answer.status == 303
    assert await sessions_of(world) == set()


async def test_the_token_of_another_browser_is_none(world: World) -> None:
    attacker, victim = Visitor(world), Visitor(world)
    theirs = (await attacker.open("/sign-in")).form("sign-in").fields["csrf_token"]
    page = await victim.open("/sign-in")
    for token in (theirs, "", "x", "é"):
        fields = {"email": EMAIL, "password": PASSWORD, "csrf_token": token}
        assert (await victim.send(page, "sign-in", headers=OLD, **fields)).status == 403
    await world.sign_up("eve@example.com")
    theirs = (await attacker.sign_in("eve@example.com")).forms[0].fields["csrf_token"]
    page = await victim.sign_in()
    answer = await victim.send(page, "end-session", headers=OLD, csrf_token=theirs)
    assert answer.status == 403


async def test_a_planted_form_cookie_beside_ours_is_nobodys(world: World) -> None:
    visitor = Visitor(world)
    page = await visitor.open("/sign-in")
    ours = visitor.client.cookies["doorward_form"]
    headers = OLD | {"cookie": f"doorward_form={ours}; doorward_form={'A' * 22}"}
    assert (await visitor.send(page, "sign-in", headers=headers, email=EMAIL, password=PASSWORD)).status == 403


async def test_a_form_of_an_allowed_origin_is_as_good_as_its_calls() -> None:
    async with a_visited_world(cors_origins=("https://app.example.com",)) as world:
        visitor = Visitor(world)
        headers = {"sec-fetch-site": "cross-site", "origin": "https://app.example.com"}
        answer = await visitor.client.post("/sign-in", form=FIELDS, headers=headers)
        assert answer.status == 303


async def test_a_bearer_credential_exempts_no_form(world: World) -> None:
    visitor = Visitor(world)
    await visitor.sign_in()
    for headers in FOREIGN:
        answer = await visitor.client.post("/end-other-sessions", form={}, headers=headers, bearer="x")
        assert answer.status == 403
