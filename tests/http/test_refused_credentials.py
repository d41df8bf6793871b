"""Guessing at the keys of machines is limited, counted and recorded, with a bound on what is written."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from doorward.audit.model import Action, Actor, Origin
from doorward.limits import RECORDED_AT_ALL, REFUSED_CREDENTIALS_PER_ADDRESS
from doorward.ports import Page
from doorward.testing.cookie_client import CookieClient
from doorward.wire.verifier_credential import new_verifier_credential, write_verifier_credential
from tests.http.world import ADMIN_KEY, World, a_world

pytestmark = pytest.mark.anyio

BURST = REFUSED_CREDENTIALS_PER_ADDRESS.burst
ASKING = {
    "admin": ("GET", "/v1/admin/accounts"),
    "verifier": ("GET", "/v1/revocations/digest"),
    "introspection": ("POST", "/v1/introspect"),
}


async def ask(world: World, kind: str, bearer: str, *, ip: str = "192.0.2.1", basic: bool = False) -> Any:
    method, path = ASKING[kind]
    credential = "Basic " + b64encode(f"payments:{bearer}".encode()).decode() if basic else f"Bearer {bearer}"
    form = {"content": b"token=x", "headers": {"content-type": "application/x-www-form-urlencoded"}}
    sent: dict[str, Any] = form if method == "POST" else {"headers": {}}
    sent["headers"]["authorization"] = credential

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await world.app({**scope, "client": (ip, 4711)}, receive, send)

    return await CookieClient(app, page=None).request(method, path, **sent)


def a_wrong_credential(world: World) -> str:
    return write_verifier_credential(new_verifier_credential(world.auth.deployment.entropy)).reveal()


@pytest.mark.parametrize("kind", list(ASKING))
async def test_wrong_keys_are_limited_by_address_counted_and_recorded_once(kind: str) -> None:
    async with a_world(rate_limits=True) as world:
        statuses = [(await ask(world, kind, f"wrong-{n}")).status for n in range(BURST + 20)]
        assert statuses == [401] * BURST + [429] * 20
        refused = await ask(world, kind, "wrong")
        assert int(refused.values("retry-after")[0]) > 0
        assert (await ask(world, kind, "wrong", ip="192.0.2.2")).status == 401
        assert world.auth.deployment.limits.refused_credentials[kind] == BURST + 22
        events = await world.auth.trail(Page(limit=200), action=Action.CREDENTIAL_REFUSED)
        assert [(event.actor.origin.ip, event.detail) for event in events] == [
            ("192.0.2.2", {"kind": kind}),
            ("192.0.2.1", {"kind": kind}),
        ]


@pytest.mark.parametrize("basic", [True, False])
@pytest.mark.parametrize("kind", ["verifier", "introspection"])
async def test_wrong_credentials_of_verifiers_are_limited_too(kind: str, *, basic: bool) -> None:
    async with a_world(rate_limits=True) as world:
        if basic and kind == "verifier":
            return
        wrong = a_wrong_credential(world)
        statuses = [(await ask(world, kind, wrong, basic=basic)).status for _ in range(BURST + 1)]
        assert statuses == [401] * BURST + [429]


async def test_after_too_many_guesses_the_admin_key_is_not_taken_from_there_either() -> None:
    async with a_world(rate_limits=True) as world:
        for n in range(BURST):
            await ask(world, "admin", f"wrong-{n}")
        assert (await ask(world, "admin", ADMIN_KEY)).status == 429
        assert (await ask(world, "admin", ADMIN_KEY, ip="192.0.2.2")).status == 200
        world.clock.advance(REFUSED_CREDENTIALS_PER_ADDRESS.every.total_seconds() * 2)
        assert (await ask(world, "admin", ADMIN_KEY)).status == 200


async def test_guesses_lock_out_neither_a_verifier_nor_an_administrator_with_a_token() -> None:
    async with a_world(rate_limits=True) as world:
        credential = (await world.auth.add_verifier("payments", actor=Actor())).reveal()
        await world.make_admin(await world.sign_up())
        _, body = await world.signed_in()
        for n in range(BURST + 5):
            await ask(world, "verifier", f"wrong-{n}")
        assert (await ask(world, "verifier", credential)).status == 200
        assert (await ask(world, "introspection", credential, basic=True)).status == 200
        assert (await ask(world, "admin", body["access_token"])).status == 200


async def test_an_access_token_that_has_expired_is_no_guess() -> None:
    async with a_world(rate_limits=True) as world:
        await world.make_admin(await world.sign_up())
        _, body = await world.signed_in()
        world.clock.advance(3600)
        answers = [(await ask(world, "admin", body["access_token"])).status for _ in range(BURST + 5)]
        assert answers == [401] * (BURST + 5)


async def test_a_flood_from_many_addresses_writes_few_events() -> None:
    async with a_world(rate_limits=True) as world:
        for n in range(3 * RECORDED_AT_ALL.burst):
            await ask(world, "admin", "wrong", ip=f"192.0.2.{n}")
        events = await world.auth.trail(Page(limit=200), action=Action.CREDENTIAL_REFUSED)
        assert len(events) == RECORDED_AT_ALL.burst


async def test_wrong_keys_are_counted_where_limits_are_off() -> None:
    async with a_world() as world:
        for _ in range(BURST + 5):
            assert (await ask(world, "admin", "wrong")).status == 401
        assert world.auth.deployment.limits.refused_credentials["admin"] == BURST + 5
        world.auth.deployment.limits.before_admin_key(Origin(ip="192.0.2.1"))
