"""The application on Litestar."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from litestar import Litestar, Request, WebSocket, get, post, websocket
from litestar.di import NamedDependency
from litestar.response import Stream

from doorward import Principal
from doorward.web.litestar import Doorward
from tests.frameworks.events import the_events

AnyRequest = Request[Any, Any, Any]
AnySocket = WebSocket[Any, Any, Any]


def build(**options: Any) -> Litestar:  # noqa: C901 -- a function a route
    auth = Doorward(**options)

    @get("/greeting")
    async def greeting(optional_principal: NamedDependency[Principal | None]) -> dict[str, bool]:
        return {"known": optional_principal is not None}

    @get("/me")
    async def me(principal: NamedDependency[Principal]) -> dict[str, str]:
        return told(principal)

    @post("/notes", status_code=200)
    async def notes(principal: NamedDependency[Principal]) -> dict[str, str]:
        return told(principal)

    @get("/reports", guards=[auth.requires(roles={"analyst"})])
    async def reports(request: AnyRequest) -> dict[str, str]:
        return told(request.user)

    @get("/drafts", guards=[auth.requires(scopes={"write"})])
    async def drafts(request: AnyRequest) -> dict[str, str]:
        return told(request.user)

    @get("/vault", guards=[auth.requires(fresh=timedelta(minutes=5))])
    async def vault(request: AnyRequest) -> dict[str, str]:
        return told(request.user)

    @post("/transfers", guards=[auth.requires(revocation="immediate")], status_code=200)
    async def transfers(request: AnyRequest) -> dict[str, str]:
        return told(request.user)

    @get("/events")
    async def events(request: AnyRequest) -> Stream:
        return Stream(await auth.guarded_stream(request, the_events()), media_type="text/event-stream")

    @websocket("/live")
    async def live(socket: AnySocket) -> None:
        async with auth.guard(socket) as principal:
            await socket.accept()
            await socket.send_text(principal.subject)
            async for text in socket.iter_data("text"):
                await socket.send_text(text)

    @websocket("/live/editors")
    async def live_for_editors(socket: AnySocket) -> None:
        await socket.accept()
        async with auth.guard(socket, roles={"editor"}) as principal:
            await socket.send_text(principal.subject)
            async for text in socket.iter_data("text"):
                await socket.send_text(text)

    return Litestar(
        [greeting, me, notes, reports, drafts, vault, transfers, events, live, live_for_editors],
        plugins=[auth.mount("/auth")],
        openapi_config=None,
    )


def told(principal: Principal) -> dict[str, str]:
    return {"account": principal.subject, "session": principal.session_id}
