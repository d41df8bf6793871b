"""Bare ASGI: as little as there can be around a request."""

from __future__ import annotations

import os

from answering import answer
from credential import WAY, WHO, hand_over

from doorward import Doorward
from doorward.web.asgi import App, AuthenticationMiddleware, Receive, Scope, Send, serve_lifespan

_opened: list[Doorward] = []


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        for auth in _opened:
            await serve_lifespan(auth, receive, send)
        return
    if scope["path"] == "/":
        await answer(send, 200, {"hello": "world"})
        return
    if WAY in {"none", "unread"}:
        await answer(send, 200, WHO)
        return
    principal = scope["doorward.principal"]
    if principal is None:
        await answer(send, 401, {"code": scope["doorward.refusal"].code})
    else:
        await answer(send, 200, {"account": principal.subject, "session": principal.session_id})


def authenticated() -> App:
    from deployment import DATABASE, OPTIONS, PLACES, SECRET, sign_in

    sign_in()
    auth = Doorward(DATABASE, secret=SECRET, **PLACES, **OPTIONS)
    _opened.append(auth)
    guarded = AuthenticationMiddleware(application, auth)
    return _forgetting(guarded, auth) if "FORGETTING" in os.environ else guarded


def _forgetting(guarded: App, auth: Doorward) -> App:
    """As if there were more sessions than a process remembers: whoever asks was forgotten meanwhile."""

    async def forgetting(scope: Scope, receive: Receive, send: Send) -> None:
        if auth.is_open:
            auth.deployment.cookies.forget_all()
        await guarded(scope, receive, send)

    return forgetting


if WAY == "unread":
    # As long as an access token of ours: what the server takes to hand it over is nobody's authentication.
    hand_over("Authorization: Bearer " + "x" * 540)

app = application if WAY in {"none", "unread"} else authenticated()
