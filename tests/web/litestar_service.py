"""A service in Litestar, as ``examples/starlette_service.py`` is one in Starlette."""

import os
from typing import Any

from litestar import Litestar, Request, get, post
from litestar.di import NamedDependency

from doorward import Principal
from doorward.web.verifier.litestar import Verifier

verifier = Verifier(
    issuer=os.environ.get("ISSUER", "https://auth.example.com"),
    audience="payments",
    insecure_http="ISSUER" in os.environ,
)


@get("/payments")
async def payments(principal: NamedDependency[Principal]) -> dict[str, str]:
    return {"account": principal.subject}


@post("/payments", status_code=200, guards=[verifier.requires(scopes={"payments:write"}, revocation="immediate")])
async def pay(request: Request[Principal, Any, Any]) -> dict[str, str]:
    return {"paid_by": request.user.subject}


app = Litestar([payments, pay], plugins=[verifier.plugin])
