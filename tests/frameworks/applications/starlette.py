"""The application on Starlette."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from doorward.web.starlette import Doorward
from tests.frameworks.events import the_events


def build(**options: Any) -> Starlette:
    auth = Doorward(**options)

    async def greeting(request: Request) -> Response:
        return JSONResponse({"known": request.user.is_authenticated})

    async def whoever(request: Request) -> Response:
        principal = request.user.principal
        return JSONResponse({"account": principal.subject, "session": principal.session_id})

    @auth.requires()
    async def events(request: Request) -> Response:
        return StreamingResponse(await auth.guarded_stream(request, the_events()), media_type="text/event-stream")

    async def live(websocket: WebSocket) -> None:
        async with auth.guard(websocket) as principal:
            await websocket.accept()
            await websocket.send_text(principal.subject)
            async for text in websocket.iter_text():
                await websocket.send_text(text)

    async def live_for_editors(websocket: WebSocket) -> None:
        await websocket.accept()
        async with auth.guard(websocket, roles={"editor"}) as principal:
            await websocket.send_text(principal.subject)
            async for text in websocket.iter_text():
                await websocket.send_text(text)

    return Starlette(
        routes=[
            Route("/greeting", greeting),
            Route("/me", auth.requires()(whoever)),
            Route("/notes", auth.requires()(whoever), methods=["POST"]),
            Route("/reports", auth.requires(roles={"analyst"})(whoever)),
            Route("/drafts", auth.requires(scopes={"write"})(whoever)),
            Route("/vault", auth.requires(fresh=timedelta(minutes=5))(whoever)),
            Route("/transfers", auth.requires(revocation="immediate")(whoever), methods=["POST"]),
            Route("/events", events),
            WebSocketRoute("/live", live),
            WebSocketRoute("/live/editors", live_for_editors),
            auth.mount("/auth"),
        ],
        middleware=[auth.middleware],
        lifespan=auth.lifespan,
    )
