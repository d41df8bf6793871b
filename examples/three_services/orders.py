from typing import Annotated

from fastapi import Depends, FastAPI

from doorward import Principal
from doorward.web.verifier.fastapi import Verifier

verifier = Verifier(
    issuer="http://127.0.0.1:8000",
    audience="shop",
    when_cold="refuse",  # starts without the server, and answers 503 until it has the keys
    insecure_http=True,  # on one machine; elsewhere the issuer has TLS
)
app = FastAPI()
verifier.install(app)

Reader = Annotated[Principal, Depends(verifier.requires(scopes={"orders:read"}))]
Buyer = Annotated[Principal, Depends(verifier.requires(scopes={"orders:write"}))]


@app.get("/orders")
async def orders(reader: Reader) -> dict[str, str]:
    return {"orders_of": reader.subject}


@app.post("/orders")
async def order(buyer: Buyer) -> dict[str, str]:
    return {"ordered_by": buyer.subject}
