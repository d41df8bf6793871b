"""A deployment in memory with a clock that stands still, and the clients that talk to it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Unpack

from doorward.accounts.model import AccountChange
from doorward.audit.model import Actor
from doorward.doorward import Doorward
from doorward.http.api import HostedPages
from doorward.http.message import Request
from doorward.options import OptionFields
from doorward.secret import Secret
from doorward.testing.clock import FakeClock
from doorward.testing.cookie_client import Answer, CookieClient
from doorward.web.asgi import DoorwardApp

ISSUER = "http://127.0.0.1:8000"
PASSWORD = "a walrus in seven teapots"
ADMIN_KEY = "an-admin-key-that-nobody-guesses"
START = datetime(2026, 11, 3, 10, 0, tzinfo=UTC)


class Clock(FakeClock):
    def __init__(self) -> None:
        super().__init__(START)

    def advance(self, seconds: float) -> None:
        self.move(timedelta(seconds=seconds))


class Bugs(logging.Handler):
    """What was answered with 500: a test in which that happens has failed."""

    def __init__(self) -> None:
        super().__init__(level=logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(self.format(record))


@dataclass
class World:
    auth: Doorward
    clock: Clock
    app: DoorwardApp
    bugs: Bugs

    def client(self, **changes: Any) -> CookieClient:
        changes.setdefault("base_url", self.auth.options.issuer)
        return CookieClient(self.app, clock=self.clock, **changes)

    async def sign_up(self, email: str = "ada@example.com") -> str:
        account = await self.auth.sign_up(email=email, password=Secret(PASSWORD), actor=Actor())
        return account.id

    async def make_admin(self, account_id: str) -> None:
        await self.auth.change_account(account_id, AccountChange(roles=("admin",)), actor=Actor())

    async def signed_in(self, email: str = "ada@example.com", **asked: Any) -> tuple[CookieClient, Any]:
        """A client that has signed in, and the body of the answer."""
        client = self.client()
        answer = await sign_in(client, email, **asked)
        assert answer.status == 201, answer.body
        return client, answer.json()


async def sign_in(client: CookieClient, email: str = "ada@example.com", **asked: Any) -> Answer:
    """Sign in with further members of the body; None leaves one out."""
    more = {name: value for name, value in asked.items() if value is not None}
    return await client.post("/v1/sessions", json={"email": email, "password": PASSWORD, **more})


@asynccontextmanager
async def a_world(
    *, pages: HostedPages | None = None, geo_database: Path | None = None, **options: Unpack[OptionFields]
) -> AsyncIterator[World]:
    clock, bugs = Clock(), Bugs()
    fixed: OptionFields = {
        "issuer": ISSUER,
        "admin_key": Secret(ADMIN_KEY),
        "rate_limits": False,
        "insecure_fast_hashing": True,
    }
    fixed.update(options)
    auth = Doorward(
        "memory:",
        secret="the secret of a deployment in tests",
        clock=clock,
        # Limits and the age of what is known of revocations go by it.
        ticks=clock.ticks,
        geo_database=geo_database,
        **fixed,
    )
    app = DoorwardApp(auth, metrics=lambda: b"# none\n", pages=pages)
    world = World(auth=auth, clock=clock, app=app, bugs=bugs)
    logs = [logging.getLogger("doorward.http.api"), logging.getLogger("doorward.pages")]
    for log in logs:
        log.addHandler(bugs)
    try:
        async with auth:
            yield world
    finally:
        for log in logs:
            log.removeHandler(bugs)
    assert bugs.found == []


def a_request(**changes: Any) -> Request:
    fields: dict[str, Any] = {"method": "GET", "path": "/", "headers": {"host": "127.0.0.1:8000"}}
    return Request(**{**fields, **changes})
