from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from doorward.web.starlette import Doorward

auth = Doorward("sqlite:///app.db", strategy="hybrid")


async def home(request: Request) -> JSONResponse:
    return JSONResponse({"signed_in": request.user.is_authenticated})


@auth.requires()
async def me(request: Request) -> JSONResponse:
    return JSONResponse({"account": request.user.principal.subject, "session": request.user.principal.session_id})


@auth.requires(roles={"analyst"})
async def reports(request: Request) -> JSONResponse:
    return JSONResponse(["for analysts only"])


app = Starlette(
    routes=[Route("/", home), Route("/me", me), Route("/reports", reports), auth.mount("/auth")],
    middleware=[auth.middleware],
    lifespan=auth.lifespan,
)
