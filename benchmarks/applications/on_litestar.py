"""Litestar, without authentication or with Doorward's plugin."""

from typing import Any

from credential import WAY, WHO
from litestar import Litestar, Request, get
from litestar.di import NamedDependency, Provide

from doorward import Principal


@get("/")
async def home() -> dict[str, str]:
    return {"hello": "world"}


if WAY == "none":

    @get("/me")
    async def anyone() -> dict[str, str]:
        return WHO

    app = Litestar([home, anyone])

elif WAY == "dependency":

    async def nothing(request: Request[Any, Any, Any]) -> dict[str, str]:  # noqa: ARG001 -- as ours
        return WHO

    @get("/me", dependencies={"who": Provide(nothing)})
    async def told(who: NamedDependency[dict[str, str]]) -> dict[str, str]:
        return who

    app = Litestar([home, told])

else:
    from deployment import DATABASE, OPTIONS, SECRET, sign_in

    from doorward.web.litestar import Doorward

    sign_in()
    auth = Doorward(DATABASE, secret=SECRET, **OPTIONS)

    @get("/me")
    async def me(principal: NamedDependency[Principal]) -> dict[str, str]:
        return {"account": principal.subject, "session": principal.session_id}

    app = Litestar([home, me], plugins=[auth.mount("/auth")])
