"""Doorward on bare ASGI, asked who the caller is; or, where WAY is ``nothing``, a constant answer of that size."""

from __future__ import annotations

import gc

import msgspec
from credential import WAY, hand_over

from doorward import Doorward
from doorward.web.asgi import App, DoorwardApp, Receive, Scope, Send, read_body

_HELLO = msgspec.json.encode({"hello": "world"})
_TIME = "2026-01-01T00:00:00.000Z"
_LIKE_OURS = msgspec.json.encode(
    {
        "account": {
            "id": "x" * 24,
            "email": "ada-12345@example.com",
            "email_verified": False,
            "name": None,
            "roles": [],
            "created_at": _TIME,
        },
        "session": {
            "id": "x" * 24,
            **dict.fromkeys(("created_at", "last_seen_at", "idle_expires_at", "expires_at"), _TIME),
            **dict.fromkeys(("label", "ip", "user_agent", "location")),
            "methods": ["pwd"],
            "current": True,
        },
    }
)


def _doorward() -> App:
    from deployment import DATABASE, OPTIONS, PLACES, SECRET, sign_in

    sign_in()
    return DoorwardApp(Doorward(DATABASE, secret=SECRET, **PLACES, **OPTIONS))


def _nothing() -> App:
    hand_over("Authorization: Bearer " + "x" * 540)

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
    """As ``_inner``; ``/`` answers 200 once the server accepts requests."""
    if scope["type"] == "http" and scope["path"] == "/":
        await _send(send, _HELLO)
    else:
        await _inner(scope, receive, send)
