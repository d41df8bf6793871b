"""A synchronous host's deployment once more, for its event loop: on every engine the one learns what the other ends."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from doorward.assurance import Demands
from doorward.audit.model import Actor
from doorward.beside import beside
from doorward.blocking import run_blocking
from doorward.doorward import Doorward
from doorward.errors import SessionEnded
from doorward.testing import FakeClock
from doorward.web import guard
from doorward.web.guard import BareWebSocket
from tests.sessions.deployments import EMAIL, HOME, PASSWORD, SECRET

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("engine", ["memory", "sqlite", "postgres", "valkey"])
async def test_what_a_synchronous_host_ends_closes_what_is_open_in_its_event_loop(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    database, redis = f"sqlite:///{tmp_path}/app.db", None
    if engine == "memory":
        database = "memory:"
    elif engine == "postgres":
        database = request.getfixturevalue("postgres").emptied()
    elif engine == "valkey":
        redis = request.getfixturevalue("valkey").emptied()
    synchronous = Doorward(
        database, secret=SECRET, redis=redis, strategy="session", insecure_fast_hashing=True, blocking=True
    )
    await asyncio.to_thread(run_blocking, synchronous.open())
    async with beside(synchronous, guard.Doorward) as auth:
        await asyncio.to_thread(run_blocking, synchronous.sign_up(email=EMAIL, password=PASSWORD, actor=Actor()))
        begun = await asyncio.to_thread(run_blocking, synchronous.sign_in(email=EMAIL, password=PASSWORD, origin=HOME))
        assert begun.credentials.handle is not None
        cookie = f"doorward_session={begun.credentials.handle.reveal()}".encode()
        headers = [(b"cookie", cookie), (b"host", b"127.0.0.1:8000"), (b"sec-fetch-site", b"same-origin")]
        socket = BareWebSocket({"type": "websocket", "path": "/", "headers": headers}, nothing, nothing)
        guarded = await auth.admit(socket, Demands())
        assert guarded.principal.session_id == begun.session.id
        ended = synchronous.end_session(begun.session.id, account_id=None, actor=Actor())
        await asyncio.to_thread(run_blocking, ended)
        async with asyncio.timeout(30):
            assert isinstance(await guarded.over, SessionEnded)
    await asyncio.to_thread(run_blocking, synchronous.close())


async def nothing(*_: object) -> Any: ...


def test_it_is_made_of_what_the_other_was_made_of() -> None:
    clock = FakeClock()
    other = Doorward("memory:", secret=SECRET, max_staleness=timedelta(seconds=7), clock=clock, blocking=True)
    made = beside(other, guard.Doorward)
    assert made.options is other.options
    assert (made._clock, made._ticks, made._entropy) == (clock, other._ticks, other._entropy)
    assert not made.is_blocking
