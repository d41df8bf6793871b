"""Under the plugin for pytest, test clients of frameworks run the application in event loops of their own."""

from __future__ import annotations

import asyncio
import warnings
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient as LitestarClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from doorward.blocking import run_blocking
from doorward.doorward import Doorward as AnyDoorward
from doorward.testing import rehearsal
from doorward.testing.plugin import LoginAs
from doorward.web import litestar
from doorward.web.starlette import Doorward
from tests.sessions.deployments import SECRET

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it prefers another library to httpx
    from starlette.testclient import TestClient

anyio = pytest.mark.anyio


@pytest.fixture(params=["session", "hybrid"])
def doorward_auth(request: pytest.FixtureRequest) -> Doorward:
    return Doorward("sqlite:///nowhere.db", strategy=request.param)


@pytest.fixture
def doorward_app(doorward_auth: Doorward) -> Starlette:
    auth = doorward_auth

    @auth.requires()
    async def me(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.user.identity)

    async def live(websocket: WebSocket) -> None:
        async with auth.guard(websocket):
            await websocket.accept()
            await websocket.receive_text()

    routes = [Route("/me", me, methods=["GET", "POST"]), WebSocketRoute("/live", live), auth.mount("/auth")]
    return Starlette(routes=routes, middleware=[auth.middleware], lifespan=auth.lifespan)


@anyio
@pytest.mark.parametrize("address", ["http://testserver", "https://testserver"])
async def test_a_visitors_headers_are_good_at_any_address_and_for_any_method(
    login_as: LoginAs, doorward_app: Any, address: str
) -> None:
    ada = await login_as()
    with TestClient(doorward_app, base_url=address) as client:
        assert client.get("/me").status_code == 401
        assert client.get("/me", headers=ada.headers).text == ada.account_id
        assert client.post("/me", headers=ada.headers).text == ada.account_id
        assert client.delete("/auth/v1/sessions/current", headers=ada.headers).status_code == 204
    assert (await ada.get("/me")).status == 401


@anyio
async def test_a_socket_is_closed_by_what_another_event_loop_ends(login_as: LoginAs, doorward_app: Any) -> None:
    ada = await login_as()
    with TestClient(doorward_app) as client, client.websocket_connect("/live", headers=ada.headers) as socket:
        assert (await ada.delete("/auth/v1/sessions/current")).status == 204
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_text()
    assert closed.value.code == 4401


@anyio
async def test_who_signed_in_before_a_client_is_signed_in_after_it(login_as: LoginAs, doorward_app: Any) -> None:
    ada = await login_as()
    for _ in range(2):
        with TestClient(doorward_app) as client:
            assert client.get("/me", headers=ada.headers).status_code == 200
    assert (await ada.get("/me")).status == 200


def test_a_synchronous_test_signs_in_in_the_clients_event_loop(login_as: LoginAs, doorward_app: Any) -> None:
    with TestClient(doorward_app) as client:
        ada = client.portal.call(login_as)  # type: ignore[union-attr]  # there is one while it is entered
        assert client.get("/me", headers=ada.headers).status_code == 200


def test_signing_in_without_an_event_loop_says_how_it_is_done(login_as: LoginAs) -> None:
    with pytest.raises(RuntimeError, match=r"client\.portal\.call\(login_as\)"):
        run_blocking(login_as())


def test_a_client_that_signs_in_itself_keeps_cookies_over_https(
    doorward_app: Any,
    doorward_clock: object,
) -> None:
    person = {"email": "ada@example.com", "password": "a walrus in seven teapots"}
    with TestClient(doorward_app, base_url="https://testserver", headers={"sec-fetch-site": "same-origin"}) as client:
        assert client.post("/auth/v1/accounts", json=person).status_code == 201
        answer = client.post("/auth/v1/sessions", json={**person, "carrier": "cookie"})
        bearer = answer.json().get("access_token")
        headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
        assert client.get("/me", headers=headers).status_code == 200


def test_litestars_client_signs_in_as_well() -> None:
    auth = litestar.Doorward("sqlite:///nowhere.db", strategy="session")
    app = Litestar([], plugins=[auth.mount("/auth")])
    with rehearsal(auth), LitestarClient(app, base_url="https://testserver.local") as client:
        from doorward.testing.stage import login_as

        ada = client.blocking_portal.call(login_as, auth, app, "ada@example.com")
        assert client.get("/auth/v1/sessions/current", headers=ada.headers).status_code == 200


@anyio
async def test_a_block_closes_only_what_it_has_opened() -> None:
    auth = AnyDoorward("memory:", secret=SECRET)
    seen = []
    async with auth:
        async with auth:
            pass
        seen.append(auth.is_open)
    seen.append(auth.is_open)
    await auth.open()
    async with auth:
        pass
    seen.append(auth.is_open)
    await auth.close()
    assert seen == [True, False, True]


def test_it_is_closed_in_another_event_loop_than_it_was_opened_in() -> None:
    auth = AnyDoorward("memory:", secret=SECRET)
    opened_in, closed_in = asyncio.new_event_loop(), asyncio.new_event_loop()
    try:
        opened_in.run_until_complete(auth.open())
        closed_in.run_until_complete(auth.close())
        assert not auth.is_open
        # What it left in the first one ends as soon as that runs on.
        left = asyncio.all_tasks(opened_in)
        opened_in.run_until_complete(asyncio.wait(left))
        assert all(task.cancelled() for task in left)
    finally:
        opened_in.close()
        closed_in.close()
