"""WebSockets that ask who opens them, as requests do: they work, or are closed by the codes of a guard."""

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, WebSocket
from litestar import Litestar, websocket
from litestar import WebSocket as LitestarWebSocket
from litestar.di import NamedDependency
from litestar.exceptions import WebSocketDisconnect as LitestarDisconnect
from litestar.testing import TestClient as LitestarClient
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from doorward import Principal
from doorward.http.problems import SESSION_OVER
from doorward.web.fastapi import Doorward as FastApiDoorward
from doorward.web.litestar import Doorward as LitestarDoorward
from doorward.web.starlette import Doorward as StarletteDoorward

ADA = {"email": "ada@example.com", "password": "a walrus in seven teapots"}
OPTIONS: dict[str, Any] = {
    "strategy": "hybrid",
    "secret": "one that nobody guesses, 40 characters",
    "insecure_fast_hashing": True,
    "rate_limits": False,
}


def fastapi() -> tuple[Any, list[str]]:
    auth = FastApiDoorward("memory:", **OPTIONS)
    app = FastAPI()
    auth.mount(app, "/auth")

    async def greet(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("hello")
        await socket.close()

    @app.websocket("/principal")
    async def principal(socket: WebSocket, who: Annotated[Principal, Depends(auth.principal)]) -> None:
        assert who.subject
        await greet(socket)

    @app.websocket("/role", dependencies=[Depends(auth.requires())])
    async def required(socket: WebSocket) -> None:
        await greet(socket)

    nested = FastAPI(dependencies=[Depends(auth.principal)])

    @nested.websocket("/socket")
    async def inner(socket: WebSocket) -> None:
        await greet(socket)

    app.mount("/nested", nested)
    return app, ["/principal", "/role", "/nested/socket"]


def starlette() -> tuple[Any, list[str]]:
    auth = StarletteDoorward("memory:", **OPTIONS)

    @auth.requires()
    async def function(socket: WebSocket) -> None:
        assert socket.user.principal.subject
        await socket.accept()
        await socket.send_text("hello")
        await socket.close()

    routes = [WebSocketRoute("/function", function), auth.mount("/auth")]
    return Starlette(routes=routes, middleware=[auth.middleware], lifespan=auth.lifespan), ["/function"]


def litestar() -> tuple[Any, list[str]]:
    auth = LitestarDoorward("memory:", **OPTIONS)

    async def greet(socket: LitestarWebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        await socket.send_text("hello")
        await socket.close()

    @websocket("/principal")
    async def principal(socket: LitestarWebSocket[Any, Any, Any], principal: NamedDependency[Principal]) -> None:
        assert principal.subject
        await greet(socket)

    @websocket("/guarded", guards=[auth.requires()])
    async def guarded(socket: LitestarWebSocket[Any, Any, Any]) -> None:
        await greet(socket)

    return Litestar([principal, guarded], plugins=[auth.mount("/auth")]), ["/principal", "/guarded"]


@pytest.mark.parametrize("site", [fastapi, starlette])
def test_a_socket_opens_for_whoever_is_signed_in_and_is_closed_for_anybody_else(
    site: Callable[[], tuple[Any, list[str]]],
) -> None:
    app, paths = site()
    with TestClient(app) as client:
        client.post("/auth/v1/accounts", json=ADA)
        token = client.post("/auth/v1/sessions", json=ADA).json()["access_token"]
        for path in paths:
            with client.websocket_connect(path, headers={"authorization": f"Bearer {token}"}) as socket:
                assert socket.receive_text() == "hello"
            for headers in ({}, {"authorization": "Bearer forged"}):
                with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect(path, headers=headers):
                    pass
                assert refused.value.code == SESSION_OVER


def depth_of(app: FastAPI) -> int:
    found, inner = 0, app.middleware_stack
    while inner is not None:
        found, inner = found + 1, getattr(inner, "app", None)
    return found


@pytest.mark.parametrize("mounted", [True, False])
def test_no_socket_leaves_anything_behind_in_its_application(*, mounted: bool) -> None:
    auth = FastApiDoorward("memory:", **OPTIONS)
    app = FastAPI()
    if mounted:
        auth.mount(app, "/auth")

    @app.websocket("/optional")
    async def optional(socket: WebSocket, who: Annotated[Principal | None, Depends(auth.optional_principal)]) -> None:
        assert who is None
        await socket.accept()
        await socket.close()

    with TestClient(app) as client:
        depths = set()
        for _ in range(5):
            with client.websocket_connect("/optional"):
                pass
            depths.add(depth_of(app))
    assert len(depths) == 1


def test_litestar_opens_and_closes_alike() -> None:
    app, paths = litestar()
    with LitestarClient(app) as client:
        client.post("/auth/v1/accounts", json=ADA)
        token = client.post("/auth/v1/sessions", json=ADA).json()["access_token"]
        for path in paths:
            with client.websocket_connect(path, headers={"authorization": f"Bearer {token}"}) as socket:
                assert socket.receive_text() == "hello"
            with pytest.raises(LitestarDisconnect) as refused, client.websocket_connect(path) as socket:
                socket.receive_text()
            assert refused.value.code == SESSION_OVER
