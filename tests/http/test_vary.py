"""An answer that depends on who asks says so; one that does not may be kept for everybody."""

from __future__ import annotations

import pytest

from doorward.http.vary import merge_vary
from doorward.pages import Pages
from tests.http.world import World, a_world

pytestmark = pytest.mark.anyio

WHO_ASKS = "Cookie, Authorization"


@pytest.mark.rfc("9110", "12.5.5")
@pytest.mark.parametrize(
    ("present", "merged"),
    [
        ([], WHO_ASKS),
        ([""], WHO_ASKS),
        (["Accept"], "Accept, Cookie, Authorization"),
        (["accept, ", "Accept-Language"], "accept, Accept-Language, Cookie, Authorization"),
        (["cookie"], "cookie, Authorization"),
        (["AUTHORIZATION,Cookie"], "AUTHORIZATION, Cookie"),
        (["*"], "*"),
        (["Accept", "*"], "*"),
    ],
)
def test_what_the_application_said_stays(present: list[str], merged: str) -> None:
    assert merge_vary(present) == merged


@pytest.mark.parametrize("path", ["/v1/sessions/current", "/v1/sessions", "/v1/check", "/v1/admin/accounts"])
async def test_what_an_account_is_answered_varies_and_so_does_its_refusal(world: World, path: str) -> None:
    client, body = await world.signed_in()
    for answer in (await client.get(path, bearer=body["access_token"]), await world.client().get(path)):
        assert WHO_ASKS in answer.values("vary")


@pytest.mark.parametrize(
    "path", ["/.well-known/jwks.json", "/.well-known/openid-configuration", "/healthz", "/nothing"]
)
async def test_what_is_the_same_for_everybody_does_not_vary_by_who_asks(world: World, path: str) -> None:
    answer = await world.client().get(path)
    assert "Cookie" not in ", ".join(answer.values("vary"))


async def test_pages_vary_and_their_assets_do_not() -> None:
    async with a_world(pages=Pages(), strategy="session") as world:
        client = world.client()
        assert WHO_ASKS in (await client.get("/sign-in")).values("vary")
        assert (await client.get("/assets/doorward.css")).values("vary") == []
