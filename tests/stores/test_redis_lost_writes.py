"""Redis after it has lost something: emptied, restarted, or replaced by a replica that lagged."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest

from doorward.accounts.model import AccountChange
from doorward.audit.model import Action
from doorward.doorward import Doorward
from doorward.errors import InvalidGrant, NotAuthenticated, SessionEnded, StoreUnavailable
from doorward.revocation.model import LiveSet
from doorward.sessions.model import EndReason, SignedIn
from doorward.stores.redis.sessions import index_name, pointer_name, row_name
from doorward.stores.redis.store import RedisSessionStore
from doorward.testing import FakeClock
from doorward.watching import Watch
from tests.sessions.deployments import ACTOR, HOME, next_token, opened_with_ada, refresh_token, sqlite, template, told
from tests.sessions.deployments import sign_in as sign_in_to
from tests.valkey import ValkeyServer, a_valkey, missing

__all__ = ["sqlite", "template"]

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def losing() -> Iterator[ValkeyServer]:
    """A server that may be put back: its state as it was saved is what a replica that lagged has."""
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    with a_valkey() as server:
        yield server


async def fail_over(server: ValkeyServer) -> None:
    """Come back with what was there when ``SAVE`` was said."""
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(autouse=True)
def _no_background(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands still: what is read once a second is read when a test says so."""

    class Nothing(Watch):
        def __init__(self, *_: Any, **__: Any) -> None:
            self._tasks = []

        async def stop(self) -> None:
            pass

    monkeypatch.setattr("doorward.doorward.Watch", Nothing)


@pytest.fixture(params=["hybrid", "session"])
def strategy(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def auth(sqlite: str, losing: ValkeyServer, clock: FakeClock, strategy: str) -> AsyncIterator[Doorward]:
    async with opened_with_ada(sqlite, clock, redis=losing.emptied(), strategy=strategy) as auth:
        yield auth


only_hybrid = pytest.mark.parametrize("strategy", ["hybrid"], indirect=True)
only_session = pytest.mark.parametrize("strategy", ["session"], indirect=True)


def store_of(auth: Doorward) -> RedisSessionStore:
    store = auth.deployment.store
    assert isinstance(store, RedisSessionStore)
    return store


def forget(auth: Doorward) -> None:
    """As in another process, or a quarter of an hour later: nobody remembers what was revoked."""
    auth.deployment.hub.live = LiveSet()


async def tidied(auth: Doorward) -> None:
    await auth.read_changes()
    finishing = store_of(auth)._finishing
    if finishing is not None:
        await finishing


async def is_refused(auth: Doorward, signed_in: SignedIn) -> bool:
    credentials = signed_in.credentials
    try:
        if credentials.refresh_token is not None:
            await auth.refresh(credentials.refresh_token, origin=HOME)
        else:
            await auth.authenticate(handle=credentials.handle)
    except (InvalidGrant, SessionEnded, NotAuthenticated):
        return True
    return False


@pytest.mark.parametrize("how", ["FLUSHALL", "restart"])
async def test_an_emptied_redis_has_users_sign_in_again_and_breaks_nothing_else(
    auth: Doorward, losing: ValkeyServer, how: str
) -> None:
    signed_in = await sign_in_to(auth)
    if how == "FLUSHALL":
        losing.say("FLUSHALL")
    else:
        await fail_over(losing)
    assert await is_refused(auth, signed_in)
    assert await auth.sessions(signed_in.account.id) == ()
    await auth.end_sessions(signed_in.account.id, actor=ACTOR)
    again = await sign_in_to(auth)
    assert not await is_refused(auth, again)
    assert Action.REFRESH_REUSED not in {event.action for event in await told(auth)}


@only_hybrid
async def test_a_rotation_that_was_lost_is_an_alarm_and_no_theft(
    auth: Doorward, losing: ValkeyServer, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    signed_in = await sign_in_to(auth)
    losing.say("SAVE")
    refreshed = await auth.refresh(refresh_token(signed_in), origin=HOME)
    await fail_over(losing)
    with pytest.raises(InvalidGrant) as refused:
        await auth.refresh(next_token(refreshed), origin=HOME)
    assert refused.value.reason is None
    assert "lost writes" in caplog.text
    happened = {event.action for event in await told(auth)}
    assert Action.REFRESH_AHEAD in happened
    assert Action.SESSION_ENDED not in happened
    # One chain: what the store has is what goes on.
    assert (await auth.refresh(refresh_token(signed_in), origin=HOME)).session.generation == 1


async def test_whoever_lost_a_rotation_goes_on_where_that_is_wanted(
    sqlite: str, losing: ValkeyServer, clock: FakeClock
) -> None:
    async with opened_with_ada(sqlite, clock, redis=losing.emptied(), heal_lost_writes=True) as auth:
        signed_in = await sign_in_to(auth)
        losing.say("SAVE")
        refreshed = await auth.refresh(refresh_token(signed_in), origin=HOME)
        await fail_over(losing)
        assert (await auth.refresh(next_token(refreshed), origin=HOME)).session.generation == 2


ENDS = {
    "signed out": lambda auth, session: auth.end_session(session.id, account_id=None, actor=ACTOR),
    "all": lambda auth, session: auth.end_sessions(session.account, actor=ACTOR),
    "disabled": lambda auth, session: auth.change_account(session.account, AccountChange(disabled=True), actor=ACTOR),
}


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("known", [True, False], ids=["known to the server", "known to the database alone"])
async def test_an_end_that_was_lost_is_one_all_the_same(
    auth: Doorward, losing: ValkeyServer, clock: FakeClock, how: str, *, known: bool
) -> None:
    signed_in = await sign_in_to(auth)
    losing.say("SAVE")
    await ENDS[how](auth, signed_in.session)
    await fail_over(losing)
    clock.move(timedelta(minutes=2))
    if not known:
        forget(auth)
    assert await is_refused(auth, signed_in)
    # Ended for good, and not only for as long as somebody remembers.
    row = (await store_of(auth)._sessions.row(signed_in.session.key)).row
    assert row is not None
    assert row.session.ended_at is not None
    assert Action.REFRESH_REUSED not in {event.action for event in await told(auth)}


@pytest.mark.parametrize("how", ["all", "disabled"])
async def test_an_end_of_all_sessions_that_was_lost_outlives_its_revocation(
    auth: Doorward, losing: ValkeyServer, clock: FakeClock, how: str
) -> None:
    signed_in = await sign_in_to(auth)
    losing.say("SAVE")
    await ENDS[how](auth, signed_in.session)
    await fail_over(losing)
    clock.move(timedelta(hours=1))
    forget(auth)
    assert await is_refused(auth, signed_in)


async def test_an_end_that_was_lost_is_found_by_reading_though_nobody_uses_the_session(
    auth: Doorward, losing: ValkeyServer, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    signed_in = await sign_in_to(auth)
    losing.say("SAVE")
    await auth.end_session(signed_in.session.id, account_id=None, actor=ACTOR)
    await fail_over(losing)
    await tidied(auth)
    assert "writes have been lost" in caplog.text
    clock.move(timedelta(hours=1))
    forget(auth)
    assert await is_refused(auth, signed_in)


async def test_some_revoked_sessions_are_looked_at_with_each_reading_until_all_have_been(
    auth: Doorward, losing: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doorward.stores.redis.store.LOOKED_AT_ONCE", 2)
    signed_in = [await sign_in_to(auth) for _ in range(5)]
    losing.say("SAVE")
    for each in signed_in:
        await auth.end_session(each.session.id, account_id=None, actor=ACTOR)
    await fail_over(losing)
    left = []
    for _ in range(3):
        await tidied(auth)
        rows = await store_of(auth)._sessions.rows([each.session.key for each in signed_in])
        left.append(sum(row is not None and row.session.ended_at is None for row in rows))
    assert left == [3, 1, 0]


async def test_a_carried_session_that_lost_it_is_over_rather_than_wrong(
    auth: Doorward, losing: ValkeyServer, clock: FakeClock
) -> None:
    """Its row says roles that are no longer so."""
    signed_in = await sign_in_to(auth)
    losing.say("SAVE")
    await auth.change_account(signed_in.account.id, AccountChange(roles=("admin",)), actor=ACTOR)
    await fail_over(losing)
    clock.move(timedelta(hours=1))
    forget(auth)
    assert await is_refused(auth, signed_in)


async def test_a_session_under_a_version_that_the_database_has_lost_is_over(
    auth: Doorward, losing: ValkeyServer, clock: FakeClock, sqlite: str
) -> None:
    """Once the version is reached again, by another change, nobody could tell the two apart."""
    signed_in = await sign_in_to(auth)
    await auth.change_account(signed_in.account.id, AccountChange(roles=("admin",)), actor=ACTOR)
    with sqlite3.connect(sqlite.removeprefix("sqlite:///")) as database:
        database.execute("UPDATE doorward_account SET version = 0, roles = '[]'")
    clock.move(timedelta(minutes=2))
    assert await is_refused(auth, signed_in)
    row = (await store_of(auth)._sessions.row(signed_in.session.key)).row
    assert row is not None
    assert row.session.ended_at is not None


@only_hybrid
async def test_a_session_whose_account_the_database_has_lost_is_refused(auth: Doorward, sqlite: str) -> None:
    signed_in = await sign_in_to(auth)
    with sqlite3.connect(sqlite.removeprefix("sqlite:///")) as database:
        database.execute("DELETE FROM doorward_account")
    for _ in range(2):
        assert await is_refused(auth, signed_in)


@only_session
async def test_where_the_database_does_not_answer_a_cookie_is_taken_as_redis_has_it(
    auth: Doorward, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_statement: object) -> Any:
        raise StoreUnavailable(detail="the database is away")

    signed_in = await sign_in_to(auth)
    clock.move(timedelta(minutes=2))
    with monkeypatch.context() as patch:
        patch.setattr(store_of(auth)._runner, "look_up", away)
        assert await auth.authenticate(handle=signed_in.credentials.handle)


# What leads to a session


@only_session
async def test_what_leads_to_a_session_is_back_once_it_is_used(
    auth: Doorward, losing: ValkeyServer, clock: FakeClock
) -> None:
    signed_in = await sign_in_to(auth)
    session = signed_in.session
    losing.say("DEL", pointer_name(session.id), index_name(session.account))
    clock.move(timedelta(minutes=2))
    assert await auth.authenticate(handle=signed_in.credentials.handle)
    assert [each.id for each in await auth.sessions(session.account)] == [session.id]
    await auth.end_session(session.id, account_id=session.account, reason=EndReason.SIGNED_OUT, actor=ACTOR)
    assert await is_refused(auth, signed_in)


@only_hybrid
async def test_what_leads_to_a_session_is_back_once_it_is_refreshed(auth: Doorward, losing: ValkeyServer) -> None:
    signed_in = await sign_in_to(auth)
    session = signed_in.session
    losing.say("DEL", pointer_name(session.id), index_name(session.account))
    refreshed = await auth.refresh(refresh_token(signed_in), origin=HOME)
    for name in (pointer_name(session.id), index_name(session.account)):
        assert losing.say("PTTL", name) >= losing.say("PTTL", row_name(session.key)) - 60_000
    await auth.change_account(session.account, AccountChange(disabled=True), actor=ACTOR)
    row = (await store_of(auth)._sessions.row(session.key)).row
    assert row is not None
    assert row.session.ended_reason is EndReason.ACCOUNT_DISABLED
    with pytest.raises(InvalidGrant):
        await auth.refresh(next_token(refreshed), origin=HOME)


@pytest.fixture(autouse=True)
def _told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
