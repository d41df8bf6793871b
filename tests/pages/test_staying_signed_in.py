"""The box "Keep me signed in"."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import get_args

import pytest

from doorward.options import Strategy
from tests.http.world import PASSWORD, World
from tests.pages.visitor import EMAIL, Visitor, a_visited_world

pytestmark = pytest.mark.anyio

COOKIES = {"session": "doorward_session", "hybrid": "doorward_refresh", "jwt": "doorward_page"}


@pytest.fixture(params=get_args(Strategy))
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with a_visited_world(strategy=request.param) as made:
        yield made


@pytest.mark.parametrize("page", ["sign-in", "sign-up"])
@pytest.mark.parametrize("ticked", [True, False])
async def test_whoever_ticks_the_box_stays_signed_in_when_the_browser_closes(
    world: World, page: str, *, ticked: bool
) -> None:
    visitor = Visitor(world)
    shown = await visitor.open(f"/{page}")
    email = {"sign-in": EMAIL, "sign-up": "grace@example.com"}[page]
    if ticked:
        shown.form(page).fields["remember"] = "on"
    answer = await visitor.send(shown, page, email=email, password=PASSWORD)
    strategy = world.auth.options.strategy
    (line,) = (line for line in answer.values("set-cookie") if line.startswith(f"{COOKIES[strategy]}="))
    # An access token alone cannot be kept beyond its quarter of an hour: there is no box.
    assert ("Keep me signed in" in shown.text) is (strategy != "jwt")
    assert ("Max-Age" in line) is (ticked and strategy != "jwt")


@pytest.mark.parametrize("value", ["", "off", "false"])
async def test_a_box_that_says_anything_else_keeps_nobody_signed_in(value: str) -> None:
    async with a_visited_world(strategy="session") as world:
        visitor = Visitor(world)
        page = await visitor.open("/sign-in")
        answer = await visitor.send(page, "sign-in", email=EMAIL, password=PASSWORD, remember=value)
        assert answer.status == 303
        assert "Max-Age" not in "".join(answer.values("set-cookie"))


async def test_a_form_that_is_shown_again_has_the_box_as_it_was_left(world: World) -> None:
    visitor = Visitor(world)
    page = await visitor.open("/sign-in")
    page = await visitor.submit(page, "sign-in", email=EMAIL, password="wrong", remember="on")
    assert ("remember" in page.form("sign-in").fields) is (world.auth.options.strategy != "jwt")
    page = await visitor.submit(await visitor.open("/sign-in"), "sign-in", email=EMAIL, password="wrong")
    assert "remember" not in page.form("sign-in").fields
