"""The answers of the applications that have no framework."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from doorward.web.asgi import Send

_encode = msgspec.json.Encoder().encode


async def answer(send: Send, status: int, value: Mapping[str, str]) -> None:
    body = _encode(value)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
