"""A database put back to an earlier moment under servers that run: what is lost, and what they give back."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from doorward.audit.model import Action, Actor, Origin
from doorward.doorward import Doorward
from doorward.errors import InvalidGrant, SessionEnded, Unavailable
from doorward.ports import Page
from doorward.secret import Secret
from doorward.sessions.model import EndReason, SignedIn
from tests.postgres import PostgresServer

pytestmark = pytest.mark.anyio

SECRET = "one secret for all servers of a deployment"
PASSWORD = Secret("seven green kettles whistle at dawn")
HOME = Origin(ip="192.0.2.1", user_agent="Browser/1.0")
TESTER = Actor(name="tester", origin=HOME)
WITHIN_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A database that can be put back: ``back_up`` remembers how it is, ``put_back`` has it so again."""

    address: str
    back_up: Callable[[], None]
    put_back: Callable[[], None]


@pytest.fixture(params=["sqlite", "postgres files", "postgres recovered"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    if request.param == "sqlite":
        return a_file(tmp_path / "doorward.db", tmp_path / "backup.db")
    postgres: PostgresServer = request.getfixturevalue("postgres")
    copies: list[Path] = []
    return Engine(
        address=postgres.emptied(),
        back_up=lambda: copies.append(postgres.backed_up()),
        put_back=lambda: postgres.put_back(copies[0], recovered=request.param.endswith("recovered")),
    )


def a_file(file: Path, backup: Path) -> Engine:
    def copied(source: Path, target: Path) -> None:
        # By SQLite itself, as its .backup and .restore do: servers have the file open.
        with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as other:
            one.backup(other)

    return Engine(
        address=f"sqlite:///{file}", back_up=lambda: copied(file, backup), put_back=lambda: copied(backup, file)
    )


@pytest.fixture
async def open_server(anyio_backend: str, engine: Engine) -> AsyncIterator[Callable[..., Any]]:
    async with AsyncExitStack() as servers:

        async def begin(**options: Any) -> Doorward:
            # Without a grace there is no rest either, so that every presentation rotates.
            options = {"rate_limits": False, "insecure_fast_hashing": True, "refresh_grace": timedelta(0), **options}
            auth = Doorward(
                engine.address,
                secret="one secret for all servers of a deployment",
                issuer="https://a.example",
                **options,
            )
            return await servers.enter_async_context(auth)

        yield begin


@dataclass(slots=True, kw_only=True)
class Client:
    """Somebody who is signed in, and what he holds."""

    signed_in: SignedIn
    token: Secret
    bearer: Secret

    async def refresh(self, auth: Doorward) -> None:
        refreshed = (await auth.refresh(self.token, origin=HOME)).credentials
        assert refreshed.refresh_token is not None
        assert refreshed.access_token is not None
        self.token, self.bearer = refreshed.refresh_token, refreshed.access_token.text


async def a_client(auth: Doorward, name: str, *, signed_up: bool = False) -> Client:
    email = f"{name}@example.com"
    if not signed_up:
        await auth.sign_up(email=email, password=PASSWORD, actor=TESTER)
    signed_in = await auth.sign_in(email=email, password=PASSWORD, origin=HOME)
    credentials = signed_in.credentials
    assert credentials.refresh_token is not None
    assert credentials.access_token is not None
    return Client(signed_in=signed_in, token=credentials.refresh_token, bearer=credentials.access_token.text)


async def until_read(auth: Doorward) -> None:
    """Until a server that had lost its database has read it again."""
    async with asyncio.timeout(WITHIN_SECONDS):
        while True:
            try:
                await auth.read_changes()
            except Unavailable:
                await asyncio.sleep(0.02)
            else:
                return


async def refused(auth: Doorward, client: Client) -> InvalidGrant:
    with pytest.raises(InvalidGrant) as refusal:
        await client.refresh(auth)
    return refusal.value


async def test_who_refreshed_in_between_signs_in_again_and_what_was_ended_stays_ended(
    engine: Engine, open_server: Callable[..., Any]
) -> None:
    one, other = await open_server(), await open_server()
    resting, refreshing, leaving, barred = [await a_client(one, name) for name in ("ada", "bob", "cyd", "dot")]
    await resting.refresh(one)
    await asyncio.to_thread(engine.back_up)

    await until_read(one)
    await refreshing.refresh(one)
    await refreshing.refresh(one)
    await one.end_session(leaving.signed_in.session.id, account_id=None, actor=TESTER)
    await one.end_sessions(barred.signed_in.account.id, reason=EndReason.ADMIN, actor=TESTER)
    # One has done it and the other has read of it; which of them comes first afterwards is left open.
    await until_read(other)
    await asyncio.to_thread(engine.put_back)
    await asyncio.gather(until_read(one), until_read(other))

    for auth in (one, other):
        # Nobody else is signed out.
        await resting.refresh(auth)
        assert (await auth.authenticate(bearer=resting.bearer)).session_id == resting.signed_in.session.id
        # He is refused, and nothing of his is ended: an access token that he has goes on to its own end.
        assert (await refused(auth, refreshing)).reason is None
        assert await auth.authenticate(bearer=refreshing.bearer)
        for ended in (leaving, barred):
            with pytest.raises(SessionEnded):
                await auth.authenticate(bearer=ended.bearer)
            await refused(auth, ended)
    again = await a_client(other, "bob", signed_up=True)
    await again.refresh(one)
    # What the servers gave back is in the store: one that is new knows it as well.
    fresh = await open_server()
    for ended in (leaving, barred):
        with pytest.raises(SessionEnded):
            await fresh.authenticate(bearer=ended.bearer)
        await refused(fresh, ended)
    # Which of the two ended them, and which of the two told of it, is left open.
    assert len(await fresh.trail(Page(limit=50), action=Action.STORE_PUT_BACK)) == 1
    ended_again = await fresh.trail(Page(limit=50), action=Action.SESSION_ENDED)
    assert [event.actor.name for event in ended_again] == ["housekeeping", "housekeeping"]


async def test_with_heal_lost_writes_who_refreshed_in_between_goes_on(
    engine: Engine, open_server: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    one, other = await open_server(heal_lost_writes=True), await open_server(heal_lost_writes=True)
    refreshing, leaving = await a_client(one, "ada"), await a_client(one, "bob")
    await leaving.refresh(one)
    await asyncio.to_thread(engine.back_up)

    await until_read(one)
    for client in (refreshing, leaving):
        await client.refresh(one)
        await client.refresh(one)
    held = refreshing.token
    await one.end_session(leaving.signed_in.session.id, account_id=None, actor=TESTER)
    await until_read(other)
    await asyncio.to_thread(engine.put_back)
    await asyncio.gather(until_read(one), until_read(other))

    await refreshing.refresh(other)
    await refreshing.refresh(one)
    assert await one.authenticate(bearer=refreshing.bearer)
    actions = {event.action for event in await one.trail(Page(limit=50), session=refreshing.signed_in.session.id)}
    assert Action.REFRESH_HEALED in actions
    # Healing is for whoever lost a write, and not for whoever has ended his session, or holds an old copy.
    await refused(other, leaving)
    refreshing.token = held
    assert (await refused(one, refreshing)).reason is EndReason.REUSE
