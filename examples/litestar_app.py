from litestar import Litestar, get
from litestar.di import NamedDependency

from doorward import Principal
from doorward.web.litestar import Doorward

auth = Doorward("sqlite:///app.db", strategy="hybrid")


@get("/me")
async def me(principal: NamedDependency[Principal]) -> dict[str, str]:
    return {"account": principal.subject, "session": principal.session_id}


@get("/reports", guards=[auth.requires(roles={"analyst"})])
async def reports() -> list[str]:
    return ["for analysts only"]


app = Litestar([me, reports], plugins=[auth.mount("/auth")])
