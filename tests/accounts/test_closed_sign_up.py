"""Where sign-up is closed nobody opens an account over HTTP; the command line and the application still do."""

from __future__ import annotations

import pytest

from doorward.options import Options, problems_of
from doorward.server.banner import banner
from doorward.server.settings import Settings
from tests.http.world import PASSWORD, a_world
from tests.pages.visitor import PAGES
from tests.server.test_settings import refused

pytestmark = pytest.mark.anyio

GRACE = {"email": "grace@example.com", "password": PASSWORD}


async def test_a_closed_sign_up_is_not_available_and_not_offered() -> None:
    async with a_world(sign_up="closed", pages=PAGES) as world:
        # An application and the command line call the same operation.
        await world.sign_up()
        client = world.client()
        answer = await client.post("/v1/accounts", json=GRACE)
        assert (answer.status, answer.json()["code"]) == (404, "not_available")
        assert "sign-up" not in (await client.get("/sign-in")).body.decode()
        for page in (await client.get("/sign-up"), await client.post("/sign-up", form=GRACE)):
            assert page.status == 404
            assert "This is not offered here." in page.body.decode()
        assert await world.auth.deployment.store.account_by_email("grace@example.com") is None
        assert (
            await client.post("/v1/sessions", json={"email": "ada@example.com", "password": PASSWORD})
        ).status == 201


async def test_an_open_sign_up_is_offered() -> None:
    async with a_world(pages=PAGES) as world:
        assert "sign-up" in (await world.client().get("/sign-in")).body.decode()


async def test_invitations_are_refused_until_there_are_any() -> None:
    assert [each.id for each in problems_of(Options(sign_up="invitation"))] == ["DW005"]  # type: ignore[arg-type]
    [problem] = refused(DOORWARD_SIGN_UP="invitation")
    assert "'open' or 'closed'" in problem.remedy


async def test_the_lines_to_try_open_an_account_by_the_command_line() -> None:
    text = banner(Settings(sign_up="closed"), secret_file=None)
    assert "doorward accounts create" in text
    assert "/v1/accounts" not in text
