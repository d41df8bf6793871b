"""FastAPI, without authentication or with Doorward's dependency."""

from typing import Annotated

from credential import WAY, WHO
from fastapi import Depends, FastAPI, Request

from doorward import Principal

app = FastAPI()


@app.get("/")
async def home() -> dict[str, str]:
    return {"hello": "world"}


if WAY == "none":

    @app.get("/me")
    async def anyone() -> dict[str, str]:
        return WHO

elif WAY == "dependency":

    class Nothing:
        async def __call__(self, _: Request) -> dict[str, str]:
            return WHO

    @app.get("/me")
    async def told(who: Annotated[dict[str, str], Depends(Nothing())]) -> dict[str, str]:
        return who

else:
    from deployment import DATABASE, OPTIONS, SECRET, sign_in

    from doorward.web.fastapi import Doorward

    sign_in()
    auth = Doorward(DATABASE, secret=SECRET, **OPTIONS)
    auth.mount(app, "/auth")

    @app.get("/me")
    async def me(principal: Annotated[Principal, Depends(auth.principal)]) -> dict[str, str]:
        return {"account": principal.subject, "session": principal.session_id}
