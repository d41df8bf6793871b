"""Bare ASGI that looks each session up by a statement of its own, by hand: no account, no expiry, no revocation."""

from __future__ import annotations

import asyncpg
from answering import answer
from deployment import DATABASE, sign_in

from doorward.stores.sql.postgres_address import POOL_SIZE
from doorward.web.asgi import Receive, Scope, Send
from doorward.wire.cookies import SESSION_COOKIE, read_cookies
from doorward.wire.handle import parse_handle

_LOOK_UP = "SELECT * FROM doorward_session WHERE key = $1"
_pools: list[asyncpg.Pool] = []

sign_in()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    if scope["path"] == "/":
        await answer(send, 200, {"hello": "world"})
        return
    cookie = dict(scope["headers"]).get(b"cookie", b"").decode("latin-1")
    values = read_cookies(cookie, SESSION_COOKIE, prefix="doorward", https=False)
    handle = parse_handle(values[0].reveal()) if values else None
    row = None if handle is None else await _pools[0].fetchrow(_LOOK_UP, handle.key)
    if row is None or handle is None or row["secret_hash"] != handle.secret_hash:
        await answer(send, 401, {})
    else:
        await answer(send, 200, {"account": row["account"], "session": row["id"]})


async def _lifespan(receive: Receive, send: Send) -> None:
    await receive()
    pool = await asyncpg.create_pool(DATABASE, min_size=POOL_SIZE, max_size=POOL_SIZE, reset=_as_it_is)
    _pools.append(pool)
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await pool.close()
    await send({"type": "lifespan.shutdown.complete"})


async def _as_it_is(_: object) -> None:
    """Nothing is left behind on a connection; to ask for it would be another way to the engine."""
