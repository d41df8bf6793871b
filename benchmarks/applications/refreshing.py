"""Doorward on bare ASGI, with sessions to be refreshed; or, where WAY is ``nothing``, an answer of that size."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any, cast

import msgspec
from credential import WAY
from seeds import DATABASE, EMAILS, OWNER, PASSWORD, SESSIONS, hand_over_tokens

from doorward import Doorward
from doorward.audit.model import Actor, Origin
from doorward.blocking import run_blocking
from doorward.options import OptionFields
from doorward.secret import Secret
from doorward.web.asgi import App, DoorwardApp, Receive, Scope, Send, read_body

_SECRET = "the secret of a deployment in benchmarks"
_NOTHING = "nothing"

_options: dict[str, Any] = {"insecure_fast_hashing": True, "rate_limits": False}
if "GRACE" in os.environ:
    _options["refresh_grace"] = timedelta(seconds=float(os.environ["GRACE"]))
_OPTIONS = cast("OptionFields", _options)

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


async def _sign_everybody_up(auth: Any) -> list[str]:
    async with auth:
        for email in EMAILS:
            await auth.sign_up(email=email, password=Secret(PASSWORD), actor=Actor())
        if not SESSIONS:
            return []
        owner = await auth.sign_up(email=OWNER, password=Secret(PASSWORD), actor=Actor())
        started = [await auth.start_session(owner, origin=Origin()) for _ in range(SESSIONS)]
        return [each.credentials.refresh_token.reveal() for each in started]


def _doorward() -> App:
    hand_over_tokens(run_blocking(_sign_everybody_up(Doorward(DATABASE, secret=_SECRET, blocking=True, **_OPTIONS))))
    return DoorwardApp(Doorward(DATABASE, secret=_SECRET, **_OPTIONS))


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


_inner = _nothing() if WAY == _NOTHING else _doorward()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """As ``_inner``, and ``/`` says that it is there."""
    if scope["type"] == "http" and scope["path"] == "/":
        await _send(send, _HELLO)
    else:
        await _inner(scope, receive, send)
