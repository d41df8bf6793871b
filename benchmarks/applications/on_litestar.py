"""Litestar, without authentication or with Doorward's plugin."""

from credential import WAY, WHO
from litestar import Litestar, get
from litestar.di import NamedDependency

from doorward import Principal


@get("/")
async def home() -> dict[str, str]:
    return {"hello": "world"}


if WAY == "none":

    @get("/me")
    async def anyone() -> dict[str, str]:
        return WHO

    app = Litestar([home, anyone])

else:
    from deployment import DATABASE, OPTIONS, SECRET, sign_in

    from doorward.web.litestar import Doorward

    sign_in()
    auth = Doorward(DATABASE, secret=SECRET, **OPTIONS)

    @get("/me")
    async def me(principal: NamedDependency[Principal]) -> dict[str, str]:
        return {"account": principal.subject, "session": principal.session_id}

    app = Litestar([home, me], plugins=[auth.mount("/auth")])
