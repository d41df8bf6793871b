"""Doorward on bare ASGI, with sessions to be refreshed; or, where WAY is ``nothing``, an answer of that size."""

from __future__ import annotations

import gc

import msgspec
from credential import WAY
from seeds import DATABASE, SESSIONS, hand_over_tokens

from doorward import Doorward
from doorward.web.asgi import App, DoorwardApp, Receive, Scope, Send, read_body

_HELLO = msgspec.json.encode({"hello": "world"})
_LIKE_OURS = msgspec.json.encode(
    {
        "access_token": "x" * 540,
        "token_type": "Bearer",
        "expires_in": 900,
        "refresh_token_expires_in": 43_200,
        "scope": "",
        "refresh_token": "y" * 110,
    }
)


def _doorward() -> App:
    from refreshed import OPTIONS, SECRET, sign_everybody_up

    sign_everybody_up()
    return DoorwardApp(Doorward(DATABASE, secret=SECRET, **OPTIONS))


def _nothing() -> App:
    hand_over_tokens(f"token{number}" for number in range(SESSIONS))

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await read_body(scope, receive)
            await _send(send, _LIKE_OURS)
        else:
            while (await receive())["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})

    return answer


async def _send(send: Send, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


_inner = _nothing() if WAY == "nothing" else _doorward()
# As the README advises, and as `doorward serve` does by itself.
gc.collect()
gc.freeze()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """As ``_inner``, and ``/`` says that it is there."""
    if scope["type"] == "http" and scope["path"] == "/":
        await _send(send, _HELLO)
    else:
        await _inner(scope, receive, send)
