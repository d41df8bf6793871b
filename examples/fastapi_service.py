import os
from typing import Annotated

from fastapi import Depends, FastAPI

from doorward import Principal
from doorward.web.verifier.fastapi import Verifier

verifier = Verifier(
    issuer=os.environ.get("ISSUER", "https://auth.example.com"),
    audience="payments",
    insecure_http="ISSUER" in os.environ,  # for trying it on one machine
)
app = FastAPI()
verifier.install(app)

Caller = Annotated[Principal, Depends(verifier.principal)]
Payer = Annotated[Principal, Depends(verifier.requires(scopes={"payments:write"}, revocation="immediate"))]


@app.get("/payments")
async def payments(caller: Caller) -> dict[str, str]:
    return {"account": caller.subject}


@app.post("/payments")
async def pay(payer: Payer) -> dict[str, str]:
    # Nobody who has signed out gets here: within max_staleness of it, whatever happens to the network.
    return {"paid_by": payer.subject}
