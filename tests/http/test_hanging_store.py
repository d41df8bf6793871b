"""Every operation over a store that hangs: what it waits for, and that it is answered when its time is over.

Time does not pass here: a request's bound is over in the moment in which it begins to wait for the store.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from doorward import background
from doorward.http import admission
from doorward.http.operations import TABLE
from doorward.ports import Store
from doorward.secret import Secret
from tests.http.world import ADMIN_KEY, PASSWORD, World, a_world

pytestmark = pytest.mark.anyio

IN_BACKGROUND = {"acknowledge", "touch"}

WAITS_FOR = {
    "change_account": "change_account",
    "change_password": "account",
    "end_account_session": "end_session",
    "end_account_sessions": "account",
    "end_session": "end_session",
    "end_sessions": "end_sessions",
    "find_accounts": "accounts",
    "introspect": "session_by_id",
    "list_account_sessions": "account",
    "list_sessions": "sessions_of",
    "read_account": "account",
    "read_audit": "trail",
    "read_current_session": "session_by_id",
    "read_keys": "now",
    "read_readiness": "ping",
    "refresh": "rotate",
    "revoke": "session",
    "sign_in": "account_by_email",
    "sign_out": "end_session",
    "sign_up": "now",
}
"""What an operation waits for first, and so in all: none goes on to a second operation of the store."""

FROM_MEMORY = {
    "check",
    "read_health",
    "read_metrics",
    "read_oauth_metadata",
    "read_oidc_metadata",
    "read_openapi",
    "read_revocation_digests",
}
ELSEWHERE = {
    "follow_revocations",  # a stream, which tests/http/test_feed.py follows
    "read_status_list",  # there is none without an option
}

BODIES: dict[str, dict[str, Any]] = {
    "sign_up": {"json": {"email": "grace@example.com", "password": "seven green kettles whistle"}},
    "sign_in": {"json": {"email": "ada@example.com", "password": PASSWORD}},
    "change_password": {"json": {"current_password": PASSWORD, "new_password": "nine blue teapots answer"}},
    "change_account": {"json": {"disabled": True}},
}

_bound: ContextVar[asyncio.Timeout] = ContextVar("_bound")


class Hanging:
    """A store of which nothing comes back."""

    identity = "hanging"

    def __init__(self) -> None:
        self.waited_for: list[str] = []

    def __getattr__(self, name: str) -> Any:
        async def for_ever(*_arguments: Any, **_named: Any) -> Any:
            if name not in IN_BACKGROUND:
                self.waited_for.append(name)
                _bound.get().reschedule(asyncio.get_running_loop().time())
            await asyncio.Event().wait()

        return for_ever


def a_bound(_seconds: float) -> asyncio.Timeout:
    bound = asyncio.timeout(None)
    _bound.set(bound)
    return bound


@pytest.fixture
def without_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "asyncio", SimpleNamespace(timeout=a_bound))
    monkeypatch.setattr(background, "WAITED_FOR", timedelta(0))
    monkeypatch.setattr(background, "CLOSE_TIMEOUT", timedelta(0))


async def call(world: World, name: str, signed_in: dict[str, Any]) -> Any:
    operation = next(each for each in TABLE if each.id == name)
    session, account = signed_in["session"]["id"], signed_in["account"]["id"]
    path = operation.path.replace("{id}", account if "/admin/" in operation.path else session).replace("{sid}", session)
    bearer = signed_in["access_token"]
    if "/admin/" in path or name in {"introspect", "read_revocation_digests"}:
        bearer = ADMIN_KEY
    body = dict(BODIES.get(name, {}))
    if name == "refresh":
        body = {"form": {"grant_type": "refresh_token", "refresh_token": signed_in["refresh_token"]}}
    if name in {"revoke", "introspect"}:
        body = {"form": {"token": signed_in["refresh_token" if name == "revoke" else "access_token"]}}
    headers = {} if name in {"sign_up", "sign_in", "refresh", "revoke"} else {"authorization": f"Bearer {bearer}"}
    return await world.client(page=None).request(operation.method, path, headers=headers, **body)


def test_no_operation_is_left_out() -> None:
    assert WAITS_FOR.keys() | FROM_MEMORY | ELSEWHERE == {operation.id for operation in TABLE}


@pytest.mark.usefixtures("without_time")
@pytest.mark.parametrize("name", sorted(WAITS_FOR.keys() | FROM_MEMORY))
async def test_an_operation_waits_for_one_thing_and_is_answered_when_its_time_is_over(name: str) -> None:
    async with a_world() as world:
        await world.sign_up()
        _, signed_in = await world.signed_in(carrier="token")
        hanging, deployment, store = Hanging(), world.auth.deployment, world.auth._store
        world.auth._deployment = replace(deployment, store=cast("Store", hanging))
        world.auth._store = cast("Store", hanging)
        try:
            answer = await call(world, name, signed_in)
        finally:
            world.auth._deployment, world.auth._store = deployment, store
        if name in FROM_MEMORY:
            assert (answer.status, hanging.waited_for) == (200, [])
            return
        assert (answer.status, hanging.waited_for) == (503, [WAITS_FOR[name]])
        assert int(answer.header("retry-after") or "") >= 1
        # Nobody was signed out, and nothing that was asked for was done.
        assert (await world.auth.authenticate(bearer=Secret(signed_in["access_token"]))).session_id
