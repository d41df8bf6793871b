"""What is wrong in a form stands beside its field, all of it at once."""

from __future__ import annotations

import pytest

from tests.http.world import PASSWORD
from tests.pages.visitor import EMAIL, Visitor, a_visited_world, beside

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"email": "nobody", "password": PASSWORD}, "email", "This is not an e-mail address."),
        ({"email": EMAIL, "password": PASSWORD}, "email", "An account with this e-mail address exists."),
        ({"email": "grace@example.com", "password": "short"}, "password", "Use at least 8 characters."),
        ({"email": "grace@example.com", "password": "password1"}, "password", "common password"),
        ({"email": "grace@example.com", "password": "x" * 300}, "password", "Use at most 256 characters."),
        ({"email": "g@example.com", "password": PASSWORD, "name": "x" * 101}, "name", "Use at most 100 characters."),
        ({"email": "", "password": PASSWORD}, "email", "Enter your e-mail address."),
        ({"email": "grace@example.com", "password": ""}, "password", "Enter a password."),
    ],
)
async def test_what_is_wrong_stands_beside_its_field(fields: dict[str, str], field: str, said: str) -> None:
    async with a_visited_world() as world:
        visitor = Visitor(world)
        page = await visitor.submit(await visitor.open("/sign-up"), "sign-up", **fields)
    assert page.status in {409, 422}
    assert page.html.count("<title>Error: ") == 1
    assert said in beside(page, field)
    # What was typed stays, so that nobody has to type it again.
    assert f'value="{fields["email"]}"' in page.html


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, {"email": "Enter your e-mail address.", "password": "Enter a password."}),
        (
            {"email": "nobody", "password": "password1", "name": "x" * 101},
            {"email": "This is not an", "password": "too easily", "name": "at most 100"},
        ),
        ({"email": "", "password": "short"}, {"email": "Enter your", "password": "at least 8"}),
        ({"email": "nobody", "password": "x" * 300}, {"email": "This is not an", "password": "at most 256"}),
    ],
)
async def test_everything_that_is_wrong_is_said_at_once(fields: dict[str, str], said: dict[str, str]) -> None:
    async with a_visited_world() as world:
        visitor = Visitor(world)
        page = await visitor.submit(await visitor.open("/sign-up"), "sign-up", **fields)
        assert page.status == 422
        for name, sentence in said.items():
            assert sentence in beside(page, name)
