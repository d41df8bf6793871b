"""Under the hybrid a page refreshes as a script does: nobody honest is signed out by it, and no thief is let in."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.http.world import World
from tests.pages.visitor import Visitor, a_visited_world, sessions_of

pytestmark = pytest.mark.anyio

REFRESH = "doorward_refresh"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with a_visited_world() as made:
        yield made


async def test_a_page_keeps_the_successor_that_it_gets(world: World) -> None:
    visitor = Visitor(world)
    await visitor.sign_in()
    tokens = [visitor.client.cookies[REFRESH]]
    for _ in range(3):
        world.clock.advance(31)
        assert (await visitor.open("/sessions")).status == 200
        tokens.append(visitor.client.cookies[REFRESH])
    assert len(set(tokens)) == len(tokens)


async def test_a_reload_within_the_rest_sets_no_cookie(world: World) -> None:
    visitor = Visitor(world)
    await visitor.sign_in()
    world.clock.advance(31)
    await visitor.open("/sessions")
    world.clock.advance(29)
    answer = await visitor.client.get("/sessions")
    assert answer.status == 200
    assert answer.values("set-cookie") == []


async def test_a_page_that_is_lost_on_its_way_signs_nobody_out(world: World) -> None:
    """The browser has the old token still: had the page noted the new one as seen, this would look like theft."""
    visitor = Visitor(world)
    await visitor.sign_in()
    world.clock.advance(31)
    lost = await visitor.client.get("/sessions", keep_cookies=False)
    assert lost.values("set-cookie") != []
    world.clock.advance(60)
    page = await visitor.open("/sessions")
    assert page.status == 200
    assert page.address == "/sessions"
    assert len(await sessions_of(world)) == 1


async def test_two_tabs_at_once_are_both_shown_their_page(world: World) -> None:
    visitor = Visitor(world)
    await visitor.sign_in()
    world.clock.advance(31)
    # The second was asked for before the cookie of the first had come.
    other_tab = visitor.client.copy()
    first, second = await visitor.client.get("/sessions"), await other_tab.get("/sessions")
    assert (first.status, second.status) == (200, 200)
    assert other_tab.cookies[REFRESH] == visitor.client.cookies[REFRESH]


async def test_a_page_that_comes_too_early_to_tell_comes_again_by_itself(world: World) -> None:
    visitor = Visitor(world)
    await visitor.sign_in()
    world.clock.advance(31)
    await visitor.client.get("/sessions", keep_cookies=False)
    world.clock.advance(15)
    page = await visitor.open("/sessions")
    assert page.status == 503
    assert "One moment" in page.text
    assert page.answer.header("refresh") == page.answer.header("retry-after") == "15"
    world.clock.advance(15)
    assert (await visitor.open("/sessions")).status == 200


async def test_a_stolen_copy_ends_the_session_and_nothing_is_shown_to_the_thief(world: World) -> None:
    visitor, other = Visitor(world), Visitor(world)
    await visitor.sign_in()
    await other.sign_in()
    thief = Visitor(world)
    thief.client = visitor.client.copy()
    for _ in range(2):
        world.clock.advance(31)
        await visitor.open("/sessions")
    page = await thief.open("/sessions")
    assert page.address == "/sign-in?return_to=sessions&notice=over_reuse"
    assert "ada@example.com" not in page.text
    assert (await visitor.open("/sessions")).address.startswith("/sign-in")
    # The other device stays.
    assert len(await sessions_of(world)) == 1


async def test_a_form_that_is_refused_keeps_the_successor_all_the_same(world: World) -> None:
    visitor = Visitor(world)
    await visitor.sign_in()
    page = await visitor.open("/change-password")
    before = visitor.client.cookies[REFRESH]
    world.clock.advance(31)
    page = await visitor.submit(page, "change-password", current_password="wrong", new_password="wrong")
    assert page.status == 422
    assert visitor.client.cookies[REFRESH] != before


async def test_signing_out_rotates_nothing_and_is_never_too_early(world: World) -> None:
    visitor = Visitor(world)
    await visitor.sign_in()
    page = await visitor.open("/sign-out")
    world.clock.advance(31)
    await visitor.client.get("/sessions", keep_cookies=False)
    world.clock.advance(15)
    page = await visitor.submit(page, "sign-out")
    assert page.address == "/sign-in?notice=signed_out"
    assert await sessions_of(world) == set()


async def test_whoever_follows_a_link_from_elsewhere_is_asked_once_more(world: World) -> None:
    """The refresh cookie stays at home then (SameSite=Strict), and nobody shall be shown as signed out for that."""
    visitor = Visitor(world)
    await visitor.sign_in()
    away = {"sec-fetch-site": "cross-site", "sec-fetch-dest": "document", "cookie": None}
    answer = await visitor.client.get("/sessions?notice=x&lang=de&y=z", headers=away)
    assert answer.status == 200
    assert answer.header("refresh") == "0;url=sessions?lang=de&notice=x&here=1"
    # Once: a browser that goes on saying cross-site would come back for ever.
    answer = await visitor.client.get("/sessions?here=1", headers=away)
    assert answer.status == 303
    # And not where a page is loaded into another.
    framed = {**away, "sec-fetch-dest": "iframe"}
    assert (await visitor.client.get("/sessions", headers=framed)).status == 303
