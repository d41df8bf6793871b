"""The application on FastAPI."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Response, WebSocket
from fastapi.responses import StreamingResponse

from doorward import Principal
from doorward.web.fastapi import Doorward
from tests.frameworks.events import the_events


def build(**options: Any) -> FastAPI:  # noqa: C901 -- a function a route
    auth = Doorward(**options)
    app = FastAPI()
    auth.mount(app, "/auth")

    @app.get("/greeting")
    async def greeting(principal: Annotated[Principal | None, Depends(auth.optional_principal)]) -> dict[str, bool]:
        return {"known": principal is not None}

    @app.get("/me")
    async def me(principal: Annotated[Principal, Depends(auth.principal)]) -> dict[str, str]:
        return told(principal)

    @app.post("/notes")
    async def notes(principal: Annotated[Principal, Depends(auth.principal)]) -> dict[str, str]:
        return told(principal)

    @app.get("/reports")
    async def reports(principal: Annotated[Principal, Depends(auth.requires(roles={"analyst"}))]) -> dict[str, str]:
        return told(principal)

    @app.get("/drafts")
    async def drafts(principal: Annotated[Principal, Depends(auth.requires(scopes={"write"}))]) -> dict[str, str]:
        return told(principal)

    @app.get("/vault")
    async def vault(
        principal: Annotated[Principal, Depends(auth.requires(fresh=timedelta(minutes=5)))],
    ) -> dict[str, str]:
        return told(principal)

    @app.post("/transfers")
    async def transfers(
        principal: Annotated[Principal, Depends(auth.requires(revocation="immediate"))],
    ) -> dict[str, str]:
        return told(principal)

    @app.get("/events")
    async def events(request: Request) -> Response:
        return StreamingResponse(await auth.guarded_stream(request, the_events()), media_type="text/event-stream")

    @app.websocket("/live")
    async def live(websocket: WebSocket) -> None:
        async with auth.guard(websocket) as principal:
            await websocket.accept()
            await websocket.send_text(principal.subject)
            async for text in websocket.iter_text():
                await websocket.send_text(text)

    @app.websocket("/live/editors")
    async def live_for_editors(websocket: WebSocket) -> None:
        await websocket.accept()
        async with auth.guard(websocket, roles={"editor"}) as principal:
            await websocket.send_text(principal.subject)
            async for text in websocket.iter_text():
                await websocket.send_text(text)

    return app


def told(principal: Principal) -> dict[str, str]:
    return {"account": principal.subject, "session": principal.session_id}
