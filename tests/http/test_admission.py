"""More requests than a process can answer are refused at once, and whoever is refused has lost nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from doorward.http import admission
from doorward.http.api import ALWAYS_ADMITTED
from doorward.http.operations import TABLE
from doorward.pages import Pages
from tests.http.world import ADMIN_KEY, World, a_world, sign_in

pytestmark = pytest.mark.anyio


def full(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.app.api.admission, "in_flight", admission.MOST_IN_FLIGHT)


async def refresh(world: World, token: str) -> Any:
    return await world.client(page=None).post("/v1/token", form={"grant_type": "refresh_token", "refresh_token": token})


async def test_a_refresh_that_is_refused_leaves_its_token_as_it_was(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, signed_in = await world.signed_in(carrier="token")
    token = signed_in["refresh_token"]
    before = (await world.auth.sessions(signed_in["account"]["id"]))[0]
    with monkeypatch.context() as crowded:
        full(world, crowded)
        refused = await refresh(world, token)
    assert (refused.status, refused.json()["error"]) == (503, "temporarily_unavailable")
    assert 1 <= int(refused.header("retry-after") or "") <= 3
    assert (await world.auth.sessions(signed_in["account"]["id"]))[0] == before
    assert (await refresh(world, token)).status == 200


async def test_a_sign_in_that_is_refused_is_not_counted_as_an_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_world(rate_limits=True) as world:
        await world.sign_up()
        with monkeypatch.context() as crowded:
            full(world, crowded)
            for _ in range(100):
                assert (await sign_in(world.client())).status == 503
        assert (await sign_in(world.client())).status == 201


async def test_health_readiness_metrics_keys_checks_and_the_feed_are_answered_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, _ = await world.signed_in(carrier="token")
    full(world, monkeypatch)
    paths = {operation.id: operation.path for operation in TABLE}
    for name in ALWAYS_ADMITTED - {"follow_revocations"}:
        bearer = {"authorization": f"Bearer {ADMIN_KEY}"} if "revocation" in name else {}
        answer = await client.get(paths[name], headers=bearer)
        assert answer.status in {200, 401}, name
    assert (await client.get("/v1/sessions/current")).status == 503


async def test_what_is_always_answered_takes_no_place(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    async def ping() -> None:
        seen.append(world.app.api.admission.in_flight)

    monkeypatch.setattr(world.auth, "ping", ping)
    assert (await world.client().get("/readyz")).status == 200
    assert seen == [0]


async def test_a_refused_call_from_another_origin_can_be_read_there(monkeypatch: pytest.MonkeyPatch) -> None:
    origin = "https://app.example"
    async with a_world(cors_origins=(origin,)) as world:
        full(world, monkeypatch)
        answer = await world.client(page=origin).get("/v1/sessions/current", headers={"origin": origin})
        assert (answer.status, answer.header("access-control-allow-origin")) == (503, origin)


async def test_a_person_is_told_on_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_world(pages=Pages()) as world:
        full(world, monkeypatch)
        answer = await world.client().get("/sign-in")
        assert (answer.status, answer.header("content-type")) == (503, "text/html; charset=utf-8")


async def test_places_are_given_back_however_a_request_ends(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    api = world.app.api
    assert (await world.client().get("/v1/sessions/current")).status == 401
    begun = asyncio.Event()

    async def for_ever(*_arguments: Any, **_named: Any) -> Any:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(world.auth, "sign_up", for_ever)
    account = {"email": "grace@example.com", "password": "a walrus in seven teapots"}
    leaving = asyncio.create_task(world.client().post("/v1/accounts", json=account))
    await begun.wait()
    assert api.admission.in_flight == 1
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    assert api.admission.in_flight == 0


async def test_refusals_are_counted_by_what_did_not_answer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    full(world, monkeypatch)
    await refresh(world, "x")
    assert world.app.api.unavailable == {("busy", "none"): 1}
