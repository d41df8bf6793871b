"""Doorward with accounts and sessions to be refreshed, put in before anything serves them."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any, cast

from seeds import DATABASE, EMAILS, OWNER, PASSWORD, SESSIONS, hand_over_tokens

from doorward import Doorward
from doorward.audit.model import Actor, Origin
from doorward.blocking import run_blocking
from doorward.options import OptionFields
from doorward.secret import Secret

SECRET = "the secret of a deployment in benchmarks"

_options: dict[str, Any] = {"insecure_fast_hashing": True, "rate_limits": False}
if "GRACE" in os.environ:
    _options["refresh_grace"] = timedelta(seconds=float(os.environ["GRACE"]))
OPTIONS = cast("OptionFields", _options)


def sign_everybody_up() -> None:
    """By a deployment of its own: that which serves is opened by its server."""
    hand_over_tokens(run_blocking(_signed_in(Doorward(DATABASE, secret=SECRET, blocking=True, **OPTIONS))))


async def _signed_in(auth: Any) -> list[str]:
    password = Secret(PASSWORD)
    async with auth:
        for email in (OWNER, *EMAILS):
            await auth.sign_up(email=email, password=password, actor=Actor())
        started = [
            await auth.sign_in(email=OWNER, password=password, carrier="token", origin=Origin())
            for _ in range(SESSIONS)
        ]
    return [each.credentials.refresh_token.reveal() for each in started]
