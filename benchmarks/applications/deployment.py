"""Doorward as the applications have it: the defaults, on SQLite, with one session to be asked with."""

from __future__ import annotations

from typing import Any, cast

from credential import WAY, hand_over

from doorward import Doorward
from doorward.audit.model import Actor, Origin
from doorward.blocking import run_blocking
from doorward.options import OptionFields
from doorward.secret import Secret
from doorward.sessions.model import SignedIn
from doorward.wire.cookies import SESSION_COOKIE

DATABASE = "sqlite:///application.db"
SECRET = "the secret of a deployment in benchmarks"
OPTIONS = cast("OptionFields", {"strategy": WAY, "insecure_fast_hashing": True, "rate_limits": False})

_EMAIL, _PASSWORD = "ada@example.com", Secret("seven green kettles whistle at dawn")


def sign_in() -> None:
    """Start the session, by a deployment of its own: that of the application is opened by its server."""
    auth = Doorward(DATABASE, secret=SECRET, blocking=True, **OPTIONS)
    signed_in = run_blocking(_signed_in(auth))
    handle, token = signed_in.credentials.handle, signed_in.credentials.access_token
    if handle is not None:
        hand_over(f"Cookie: {SESSION_COOKIE.name_on(https=False)}={handle.reveal()}")
    else:
        assert token is not None
        hand_over(f"Authorization: Bearer {token.text.reveal()}")


async def _signed_in(auth: Any) -> SignedIn:
    async with auth:
        await auth.sign_up(email=_EMAIL, password=_PASSWORD, actor=Actor())
        signed_in: SignedIn = await auth.sign_in(email=_EMAIL, password=_PASSWORD, origin=Origin())
        return signed_in
