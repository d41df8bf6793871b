"""An API for a page on another origin.

The page keeps the access token in memory alone; the refresh token is in a cookie that no script can read.

    const api = "https://api.example.com";
    const json = {"Content-Type": "application/json"};
    let token;

    async function signIn(email, password) {
      const body = JSON.stringify({email, password, carrier: "cookie"});
      const options = {method: "POST", credentials: "include", headers: json, body};
      token = (await (await fetch(`${api}/auth/v1/sessions`, options)).json()).access_token;
    }

    async function renew() {
      const body = new URLSearchParams({grant_type: "refresh_token"});
      const answer = await fetch(`${api}/auth/v1/token`, {method: "POST", credentials: "include", body});
      token = (await answer.json()).access_token;
    }

    const me = () => fetch(`${api}/me`, {headers: {Authorization: `Bearer ${token}`}});
"""

import os
from typing import Annotated

from fastapi import Depends, FastAPI
from fastapi.middleware.cors import CORSMiddleware

from doorward import Principal
from doorward.web.fastapi import Doorward

PAGES = ("https://app.example.com",)

auth = Doorward(
    "sqlite:///app.db",
    strategy="hybrid",
    # The address that pages reach it by; a cookie of app.example.com and api.example.com is one of the same site.
    issuer=os.environ.get("ISSUER", "https://api.example.com"),
    cors_origins=PAGES,
)
app = FastAPI()
auth.mount(app, "/auth")
# For the routes of the API, and before those of Doorward, which would answer for themselves.
app.add_middleware(
    CORSMiddleware,
    allow_origins=PAGES,
    allow_credentials=True,
    allow_methods=["GET", "POST", "PUT", "DELETE"],
    allow_headers=["authorization", "content-type", "idempotency-key", "x-csrf-token"],
    expose_headers=["retry-after", "www-authenticate"],
)


@app.get("/me")
async def me(principal: Annotated[Principal, Depends(auth.principal)]) -> dict[str, str]:
    return {"account": principal.subject}
