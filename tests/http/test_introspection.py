"""Introspection as a client sees it that knows RFC 7662 and nothing of ours."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from doorward.audit.model import Actor
from tests.http.world import ADMIN_KEY, ISSUER, World, a_world
from tests.oracles.introspection import NotAnswered, question, read_answer

pytestmark = pytest.mark.anyio
OPERATOR = Actor(name="operator")


async def introspected(world: World, token: str, *, client_id: str | None = None, secret: str) -> dict[str, Any] | None:
    headers, body = question(token, client_id=client_id, secret=secret)
    answer = await world.client(page=None).post("/v1/introspect", content=body, headers=headers)
    assert answer.header("cache-control") == "no-store"
    scheme = headers["Authorization"].partition(" ")[0]
    return read_answer(answer.status, dict(answer.headers), answer.body, scheme=scheme)


async def a_verifier(world: World, name: str = "payments") -> str:
    return (await world.auth.add_verifier(name, actor=OPERATOR)).reveal()


@pytest.mark.rfc("7662", "2.1")
@pytest.mark.rfc("6749", "2.3.1")
async def test_a_verifier_asks_by_its_name_and_credential_or_by_the_credential_alone(world: World) -> None:
    secret = await a_verifier(world)
    _, body = await world.signed_in()
    for client_id in ("payments", None):
        said = await introspected(world, body["access_token"], client_id=client_id, secret=secret)
        assert said is not None
        assert (said["sub"], said["sid"], said["iss"]) == (body["account"]["id"], body["session"]["id"], ISSUER)
        assert said["token_type"] == "Bearer"
        refresh = await introspected(world, body["refresh_token"], client_id=client_id, secret=secret)
        assert refresh is not None
        assert await introspected(world, "nonsense", client_id=client_id, secret=secret) is None
    assert await introspected(world, body["access_token"], secret=ADMIN_KEY) is not None


async def test_what_has_ended_is_not_active_and_no_more_is_said(world: World) -> None:
    secret = await a_verifier(world)
    client, body = await world.signed_in()
    await client.delete("/v1/sessions/current", bearer=body["access_token"])
    for token in (body["access_token"], body["refresh_token"]):
        assert await introspected(world, token, client_id="payments", secret=secret) is None


async def test_tokens_of_a_revoked_key_are_not_active() -> None:
    async with a_world(strategy="jwt") as world:
        await world.sign_up()
        secret = await a_verifier(world)
        _, body = await world.signed_in()
        await world.auth.revoke_key(world.auth.deployment.desk.signing_key.kid, actor=OPERATOR)
        assert await introspected(world, body["access_token"], client_id="payments", secret=secret) is None


async def test_nobody_else_is_answered(world: World) -> None:
    secret, other = await a_verifier(world), await a_verifier(world, "search")
    _, body = await world.signed_in()
    token = body["access_token"]
    pairs = [
        ("search", secret), ("", secret), ("payments", other), ("payments", ""), ("payments", secret[:-1]),
        ("payments", ADMIN_KEY), ("admin", ADMIN_KEY), ("ada@example.com", token), (None, token), (None, "nonsense"),
    ]  # fmt: skip
    for client_id, wrong in pairs:
        with pytest.raises(NotAnswered):
            await introspected(world, token, client_id=client_id, secret=wrong)
    await world.auth.revoke_verifier("payments", actor=OPERATOR)
    with pytest.raises(NotAnswered):
        await introspected(world, token, client_id="payments", secret=secret)


@pytest.mark.parametrize(
    "header",
    ["Basic", "Basic ", "Basic %%%", "Basic YQ", "Basic " + b64encode(b"no colon").decode(), "Basic /////w==",
     "Basic " + b64encode(b"%ff:%ff").decode(), "Basic " + "A" * 9000, "Basic YTpi, Basic YTpi"],
)  # fmt: skip
async def test_what_is_malformed_is_refused_and_challenged_as_it_was_tried(world: World, header: str) -> None:
    _, body = question("x", secret="x")
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": header}
    answer = await world.client(page=None).post("/v1/introspect", content=body, headers=headers)
    assert (answer.status, answer.json()["error"]) == (401, "invalid_client")
    assert answer.header("www-authenticate") == 'Basic realm="doorward", charset="UTF-8"'


async def test_no_other_refusal_makes_a_browser_ask_for_a_password(world: World) -> None:
    _, body = question("x", secret="x")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await world.client().post("/v1/introspect", content=body, headers=form)
    assert (answer.status, answer.header("www-authenticate")) == (401, "Bearer")
    for path in ("/v1/sessions/current", "/v1/revocations", "/v1/check"):
        answer = await world.client().get(path, headers={"Authorization": "Basic YTpi"})
        assert (answer.status, answer.header("www-authenticate")) == (401, "Bearer")
