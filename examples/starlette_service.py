import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from doorward.web.verifier.starlette import Verifier

verifier = Verifier(
    issuer=os.environ.get("ISSUER", "https://auth.example.com"),
    audience="payments",
    insecure_http="ISSUER" in os.environ,  # for trying it on one machine
)


@verifier.requires()
async def payments(request: Request) -> JSONResponse:
    return JSONResponse({"account": request.user.principal.subject})


@verifier.requires(scopes={"payments:write"}, revocation="immediate")
async def pay(request: Request) -> JSONResponse:
    # Nobody who has signed out gets here: within max_staleness of it, whatever happens to the network.
    return JSONResponse({"paid_by": request.user.principal.subject})


app = Starlette(
    routes=[Route("/payments", payments), Route("/payments", pay, methods=["POST"])],
    middleware=[verifier.middleware],
    lifespan=verifier.lifespan,
)
