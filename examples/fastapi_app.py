from typing import Annotated

from fastapi import Depends, FastAPI

from doorward import Principal
from doorward.web.fastapi import Doorward

auth = Doorward("sqlite:///app.db", strategy="hybrid")
app = FastAPI()
auth.mount(app, "/auth")


@app.get("/me")
async def me(principal: Annotated[Principal, Depends(auth.principal)]) -> dict[str, str]:
    return {"account": principal.subject, "session": principal.session_id}


@app.get("/reports", dependencies=[Depends(auth.requires(roles={"analyst"}))])
async def reports() -> list[str]:
    return ["for analysts only"]
