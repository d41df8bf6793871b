from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from doorward.web.verifier.starlette import Verifier

verifier = Verifier(
    issuer="http://127.0.0.1:8000",
    audience="shop",
    on_stale="deny",  # as if every route asked for revocation="immediate"
    insecure_http=True,  # on one machine; elsewhere the issuer has TLS
)


@verifier.requires(roles={"manager"})
async def reports(request: Request) -> JSONResponse:
    return JSONResponse({"reports_for": request.user.principal.subject})


app = Starlette(routes=[Route("/reports", reports)], middleware=[verifier.middleware], lifespan=verifier.lifespan)
