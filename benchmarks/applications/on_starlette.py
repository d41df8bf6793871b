"""Starlette, without authentication or with Doorward's middleware."""

from __future__ import annotations

from credential import WAY, WHO
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


async def home(_: Request) -> JSONResponse:
    return JSONResponse({"hello": "world"})


if WAY == "none":

    async def anyone(_: Request) -> JSONResponse:
        return JSONResponse(WHO)

    app = Starlette(routes=[Route("/", home), Route("/me", anyone)])

else:
    from deployment import DATABASE, OPTIONS, SECRET, sign_in

    from doorward.web.starlette import Doorward

    sign_in()
    auth = Doorward(DATABASE, secret=SECRET, **OPTIONS)

    @auth.requires()
    async def me(request: Request) -> JSONResponse:
        principal = request.user.principal
        return JSONResponse({"account": principal.subject, "session": principal.session_id})

    app = Starlette(
        routes=[Route("/", home), Route("/me", me), auth.mount("/auth")],
        middleware=[auth.middleware],
        lifespan=auth.lifespan,
    )
