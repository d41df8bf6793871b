"""Doorward as the applications have it: the defaults, on SQLite or where they are told, with sessions to ask with."""

from __future__ import annotations

import os
from typing import Any, TypedDict, cast

from credential import WAY, hand_over

from doorward import Doorward
from doorward.audit.model import Actor, Origin
from doorward.blocking import run_blocking
from doorward.options import OptionFields
from doorward.secret import Secret
from doorward.sessions.model import SignedIn
from doorward.wire.cookies import SESSION_COOKIE


class Places(TypedDict):
    redis: str | None
    memcached: str | None


DATABASE = os.environ.get("DATABASE", "sqlite:///application.db")
PLACES: Places = {"redis": os.environ.get("REDIS"), "memcached": os.environ.get("MEMCACHED")}
SECRET = "the secret of a deployment in benchmarks"
OPTIONS = cast("OptionFields", {"strategy": WAY, "insecure_fast_hashing": True, "rate_limits": False})

_SESSIONS = int(os.environ.get("SESSIONS", "1"))
# Several of these processes may share a store.
_EMAIL, _PASSWORD = f"ada-{os.getpid()}@example.com", Secret("seven green kettles whistle at dawn")


def sign_in() -> None:
    """Start the sessions, by a deployment of its own: that of the application is opened by its server."""
    auth = Doorward(DATABASE, secret=SECRET, blocking=True, **PLACES, **OPTIONS)
    hand_over(*map(_header_of, run_blocking(_signed_in(auth))))


def _header_of(signed_in: SignedIn) -> str:
    handle, token = signed_in.credentials.handle, signed_in.credentials.access_token
    if handle is not None:
        return f"Cookie: {SESSION_COOKIE.name_on(prefix='doorward', https=False)}={handle.reveal()}"
    assert token is not None
    return f"Authorization: Bearer {token.text.reveal()}"


async def _signed_in(auth: Any) -> list[SignedIn]:
    async with auth:
        await auth.sign_up(email=_EMAIL, password=_PASSWORD, actor=Actor())
        return [await auth.sign_in(email=_EMAIL, password=_PASSWORD, origin=Origin()) for _ in range(_SESSIONS)]
