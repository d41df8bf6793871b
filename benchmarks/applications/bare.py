"""Bare ASGI: as little as there can be around a request."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from credential import WAY, WHO, hand_over

from doorward import Doorward
from doorward.web.asgi import App, AuthenticationMiddleware, Receive, Scope, Send, serve_lifespan

_encode = msgspec.json.Encoder().encode
_opened: list[Doorward] = []


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        for auth in _opened:
            await serve_lifespan(auth, receive, send)
        return
    if scope["path"] == "/":
        await _answer(send, 200, {"hello": "world"})
        return
    if WAY in {"none", "unread"}:
        await _answer(send, 200, WHO)
        return
    principal = scope["doorward.principal"]
    if principal is None:
        await _answer(send, 401, {"code": scope["doorward.refusal"].code})
    else:
        await _answer(send, 200, {"account": principal.subject, "session": principal.session_id})


async def _answer(send: Send, status: int, value: Mapping[str, str]) -> None:
    body = _encode(value)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def authenticated() -> App:
    from deployment import DATABASE, OPTIONS, SECRET, sign_in

    sign_in()
    auth = Doorward(DATABASE, secret=SECRET, **OPTIONS)
    _opened.append(auth)
    return AuthenticationMiddleware(application, auth)


if WAY == "unread":
    # As long as an access token of ours: what the server takes to hand it over is nobody's authentication.
    hand_over("Authorization: Bearer " + "x" * 540)

app = application if WAY in {"none", "unread"} else authenticated()
