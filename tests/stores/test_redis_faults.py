"""Redis slow, full, gone or back: an answer in bounded time, nobody signed out, and recovery by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from redis.exceptions import ConnectionError  # noqa: A004 -- Redis' own

from doorward.accounts.model import AccountChange
from doorward.audit.model import Action, AuditEvent
from doorward.blocking import run_blocking
from doorward.doorward import Doorward
from doorward.errors import Busy, StoreUnavailable, Unavailable
from doorward.rotation.model import Taken
from doorward.sessions.model import AccountMoved, EndReason, Started
from doorward.stores.redis import clients, connecting
from doorward.stores.redis.port import Call
from doorward.stores.redis.scripts import LOOK
from doorward.stores.redis.sessions import row_name
from doorward.stores.redis.store import RedisSessionStore
from doorward.stores.redis.unavailable import RedisUnavailable
from doorward.stores.sql import session_work
from doorward.testing import a_new_session, an_account, an_ending
from doorward.testing.store_suite.case import POLICY, SOMEBODY, WHENEVER, actions, presentation, row, sign_up, start
from tests.sessions.deployments import (
    ACTOR,
    EMAIL,
    HOME,
    PASSWORD,
    refresh_token,
    sign_in,
    sqlite,
    template,
    whoever,
)
from tests.stores.on_redis import PASSWORD_HASH, a_store, instead, opened
from tests.valkey import ValkeyCluster, ValkeyServer, a_cluster, a_valkey, missing

__all__ = ["sqlite", "template"]

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def failing() -> Iterator[ValkeyServer]:
    """A server of this module's own, since it is stopped and killed."""
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    with a_valkey() as server:
        yield server


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds are the same, and sooner reached."""
    # Not so soon that a busy machine reaches them while the server is there.
    monkeypatch.setattr(clients, "OPERATION_TIMEOUT", timedelta(milliseconds=1000))
    monkeypatch.setattr(clients, "POOL_TIMEOUT", timedelta(milliseconds=300))
    monkeypatch.setattr(connecting, "ANSWER_TIMEOUT", timedelta(milliseconds=300))
    monkeypatch.setattr(connecting, "CONNECT_TIMEOUT", timedelta(milliseconds=300))
    monkeypatch.setattr(session_work, "LEFT_OVER_AFTER", timedelta(0))


@pytest.fixture
async def store(sqlite: str, failing: ValkeyServer) -> AsyncIterator[RedisSessionStore]:
    async with opened(sqlite, failing.emptied()) as store:
        yield store


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await condition():  # noqa: ASYNC110 -- it happens in the engine
            await asyncio.sleep(0.01)


@pytest.fixture(params=["paused", "gone"])
async def away(request: pytest.FixtureRequest, failing: ValkeyServer) -> AsyncIterator[Callable[[], Any]]:
    """How the server goes away, and comes back with what it had."""
    back: list[Callable[[], Any]] = []

    async def go() -> Callable[[], Awaitable[None]]:
        if request.param == "paused":
            pause = failing.paused()
            pause.__enter__()

            async def come_back() -> None:
                pause.__exit__(None, None, None)
        else:
            failing.say("SAVE")
            await asyncio.to_thread(failing.kill)

            async def come_back() -> None:
                await asyncio.to_thread(failing.start)

        back.append(come_back)

        async def come_back_once() -> None:
            while back:
                await back.pop()()

        return come_back_once

    yield go
    while back:
        await back.pop()()


async def test_a_server_that_is_away_is_an_answer_in_bounded_time_and_signs_nobody_out(
    sqlite: str, failing: ValkeyServer, away: Callable[[], Any]
) -> None:
    options: dict[str, Any] = {"rate_limits": False, "insecure_fast_hashing": True}
    async with Doorward(
        sqlite, secret="the secret of a deployment in tests", redis=failing.emptied(), **options
    ) as auth:
        await auth.sign_up(email=EMAIL, password=PASSWORD, actor=ACTOR)
        signed_in = await sign_in(auth)
        token = refresh_token(signed_in)
        come_back = await away()
        for operation in (
            lambda: auth.refresh(token, origin=HOME),
            lambda: sign_in(auth),
            lambda: auth.sessions(signed_in.account.id),
            lambda: auth.end_session(signed_in.session.id, account_id=None, actor=ACTOR),
            auth.ping,
        ):
            async with asyncio.timeout(20):
                with pytest.raises(StoreUnavailable) as told:
                    await operation()
            assert told.value.retry_after >= timedelta(seconds=1)
            assert told.value.dependency == "redis"
        # What is signed is believed all the same: that is the point of the hybrid.
        assert (await whoever(auth, signed_in)).session_id == signed_in.session.id
        await auth.read_changes()
        await come_back()
        await until(lambda: answers(auth))
        # Once it was asked while the server stood still, and answered nobody: the chain goes on all the same.
        refreshed = await auth.refresh(token, origin=HOME)
        assert (await auth.sessions(signed_in.account.id))[-1].id == refreshed.session.id


async def answers(auth: Doorward) -> bool:
    try:
        await auth.ping()
    except Unavailable:
        return False
    return True


async def test_the_blocking_client_is_as_bounded(sqlite: str, failing: ValkeyServer, away: Callable[[], Any]) -> None:
    store = a_store(sqlite, failing.emptied(), blocking=True)
    await store.open()
    await sign_up(store)
    session = await start(store)
    come_back = await away()
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            run_blocking(store.rotate(presentation(session), POLICY, actor=SOMEBODY))
    await come_back()
    found = run_blocking(store.rotate(presentation(session), POLICY, actor=SOMEBODY))
    now = run_blocking(store.session(session.key)).session
    assert now is not None
    # It took now, or late, when the server went on with what it had been sent.
    assert isinstance(found, Taken) or now.generation == 1
    await store.close()


async def test_a_server_that_was_away_when_it_was_opened_is_opened_later(
    sqlite: str, failing: ValkeyServer, away: Callable[[], Any]
) -> None:
    store = a_store(sqlite, failing.emptied())
    come_back = await away()
    with pytest.raises(StoreUnavailable):
        await store.open()
    await come_back()
    await store.open()
    await store.ping()
    await store.close()


@pytest.mark.parametrize("blocking", [False, True])
async def test_a_store_that_is_closed_between_two_attempts_is_unavailable(
    sqlite: str, failing: ValkeyServer, *, blocking: bool
) -> None:
    store = a_store(sqlite, failing.emptied(), blocking=blocking)
    await store.open()
    client = store._redis._client  # type: ignore[attr-defined]

    def lose_the_connection(*_: Any, **__: Any) -> Any:
        store._redis._client = None  # type: ignore[attr-defined]
        raise ConnectionError("lost")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "execute_command", lose_the_connection)
        with pytest.raises(StoreUnavailable, match="not open"):
            await store._redis.call(Call(LOOK, "doorward:nothing", ("",)))
    store._redis._client = client  # type: ignore[attr-defined]
    await store.close()


# What the database has decided meanwhile


async def test_an_account_can_be_disabled_and_all_its_sessions_ended_while_redis_is_away(
    store: RedisSessionStore, away: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    await sign_up(store)
    session = await start(store)
    come_back = await away()
    ended = await store.end_sessions(session.account, an_ending(EndReason.ADMIN))
    assert [entry.id for entry in ended.revocations] == [session.account]
    changed = await store.change_account(session.account, AccountChange(disabled=True), an_ending(EndReason.ADMIN))
    assert changed is not None
    assert changed.account.disabled_at is not None
    assert "wait for it" in caplog.text
    await come_back()
    await until(lambda: pinged(store))
    await store.revocations()
    assert store._finishing is not None
    await store._finishing
    found = (await store._sessions.row(session.key)).row
    assert found is not None
    assert found.session.ended_reason is EndReason.ADMIN
    assert (await actions(store, session=session.id)).count(Action.SESSION_ENDED) == 1
    assert await store._runner.read(session_work.left_over) == []


async def pinged(store: RedisSessionStore) -> bool:
    try:
        await store.ping()
    except Unavailable:
        return False
    return True


async def lost(*_: object) -> Any:
    raise RedisUnavailable(detail="the connection was lost")


@pytest.mark.parametrize("script", ["end", "carry"])
async def test_a_changed_password_is_changed_though_redis_did_not_answer_afterwards(
    store: RedisSessionStore, script: str
) -> None:
    await sign_up(store, password_hash=PASSWORD_HASH)
    kept, other = await start(store, 1, strategy="session"), await start(store, 2)
    account = await store.account(kept.account)
    assert account is not None
    instead(store, script, lost)
    changed = await store.change_password(
        account, PASSWORD_HASH, keep=kept, new_secret_hash=b"n" * 32, ending=an_ending(EndReason.PASSWORD_CHANGED)
    )
    assert not isinstance(changed, AccountMoved)
    await store.remove_expired(session_retention=timedelta(1), audit_retention=timedelta(1), until=WHENEVER)
    assert (await row(store, kept)).secret_hash == b"n" * 32
    assert (await row(store, kept)).ended_at is None
    assert (await row(store, other)).ended_reason is EndReason.PASSWORD_CHANGED


async def test_a_session_that_was_signed_out_is_over_though_redis_did_not_answer(store: RedisSessionStore) -> None:
    await sign_up(store)
    session = await start(store)
    instead(store, "end", lost)
    ended = await store.end_session(session.id, an_ending())
    assert ended is not None
    assert [entry.id for entry in ended.revocations] == [session.id]
    # Whoever presents it does what was left.
    assert not isinstance(await store.rotate(presentation(session), POLICY, actor=SOMEBODY), Taken)
    assert (await row(store, session)).ended_reason is EndReason.SIGNED_OUT


async def test_a_reuse_whose_end_was_lost_is_not_known(store: RedisSessionStore) -> None:
    """Nothing has been decided before the row says that it is still as it was judged."""
    await sign_up(store)
    session = await start(store)
    instead(store, "end as seen", lost)
    event = AuditEvent(action=Action.REFRESH_REUSED, actor=SOMEBODY, account=session.account, session=session.id)
    with pytest.raises(StoreUnavailable):
        await store.end_reused(session, an_ending(EndReason.REUSE), event)
    assert Action.REFRESH_REUSED not in await actions(store)
    await store.remove_expired(session_retention=timedelta(1), audit_retention=timedelta(1), until=WHENEVER)
    assert (await row(store, session)).ended_reason is EndReason.REUSE
    assert (await actions(store, session=session.id))[-2:] == [Action.REFRESH_REUSED, Action.SESSION_ENDED]


# Starting


@pytest.mark.parametrize("script", ["join", "put", "keep", "settle", "point"])
async def test_a_start_that_is_cut_short_leaves_nothing_that_anybody_holds(
    store: RedisSessionStore, failing: ValkeyServer, script: str
) -> None:
    await sign_up(store)
    instead(store, script, lost)
    with pytest.raises(StoreUnavailable):
        await start(store)
    # The next one starts, and what was cut short is no obstacle to ending all.
    session = await start(store, 2)
    account = await store.account(session.account)
    assert account is not None
    await store.end_sessions(account.id, an_ending())
    for key in (1, 2):
        found = (await store._sessions.row(key)).row
        assert found is None or found.session.ended_at is not None
    assert failing.say("PTTL", "doorward:account:" + account.id) > 0


async def test_a_start_whose_account_moves_meanwhile_leaves_nothing(
    store: RedisSessionStore, failing: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sign_up(store)
    put = store._sessions.put

    async def put_and_disable(*arguments: Any) -> None:
        await put(*arguments)
        await store.change_account(an_account().id, AccountChange(disabled=True), an_ending(EndReason.ADMIN))

    monkeypatch.setattr(store._sessions, "put", put_and_disable)
    started = await store.start_session(a_new_session(), limit=None, replaces=(), ending=an_ending())
    assert isinstance(started, AccountMoved)
    assert failing.keys("doorward:session:*") == failing.keys("doorward:id:*") == []


async def test_a_session_that_starts_before_its_account_is_disabled_ends_with_it(
    store: RedisSessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sign_up(store)
    settle = store._sessions.settle

    async def disable_and_settle(*arguments: Any, **named: Any) -> None:
        await store.change_account(an_account().id, AccountChange(disabled=True), an_ending(EndReason.ADMIN))
        await settle(*arguments, **named)

    monkeypatch.setattr(store._sessions, "settle", disable_and_settle)
    started = await store.start_session(a_new_session(), limit=None, replaces=(), ending=an_ending())
    assert isinstance(started, Started)
    assert (await row(store, started.session)).ended_reason is EndReason.ADMIN


# Full, and all connections in use


@pytest.fixture
def full(failing: ValkeyServer) -> Iterator[Callable[[], None]]:
    yield lambda: failing.say("CONFIG", "SET", "maxmemory", "1")
    failing.say("CONFIG", "SET", "maxmemory", "0")


async def test_a_server_that_is_full_takes_no_writes_and_signs_nobody_out(
    store: RedisSessionStore, failing: ValkeyServer, full: Callable[[], None]
) -> None:
    await sign_up(store)
    session, other = await start(store), await start(store, 2)
    full()
    for operation in (
        lambda: store.rotate(presentation(session), POLICY, actor=SOMEBODY),
        lambda: store.touch(session.key, idle=timedelta(hours=1)),
        lambda: start(store, 3),
    ):
        with pytest.raises(StoreUnavailable, match="maxmemory"):
            await operation()
    # Reading goes on, and so does ending: that is noted in the database.
    assert (await store.session(session.key)).session == session
    assert await store.end_session(other.id, an_ending()) is not None
    failing.say("CONFIG", "SET", "maxmemory", "0")
    assert isinstance(await store.rotate(presentation(session), POLICY, actor=SOMEBODY), Taken)
    assert not isinstance(await store.rotate(presentation(other), POLICY, actor=SOMEBODY), Taken)


async def test_whoever_finds_all_connections_in_use_is_told_to_come_again(sqlite: str, failing: ValkeyServer) -> None:
    async with opened(sqlite, failing.emptied() + "?pool_size=2") as store:
        await sign_up(store)
        session = await start(store)
        with failing.paused():
            asked = []
            async with asyncio.timeout(20):
                for _ in range(12):
                    asked.append(asyncio.create_task(store.rotate(presentation(session), POLICY, actor=SOMEBODY)))
                    # Apart from one another: what one tick asks for needs one connection.
                    await asyncio.sleep(0.001)
                said = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(each, StoreUnavailable | Busy) for each in said)
        assert any(isinstance(each, Busy) for each in said)
        await until(lambda: pinged(store))
        assert (await row(store, session)).ended_at is None


async def test_a_row_of_another_version_is_no_error_of_ours(store: RedisSessionStore, failing: ValkeyServer) -> None:
    await sign_up(store)
    session = await start(store)
    value = msgspec.msgpack.decode(failing.say("GET", row_name(session.key)))
    failing.say("SET", row_name(session.key), msgspec.msgpack.encode([99, *value[1:]]))
    with pytest.raises(StoreUnavailable):
        await store.session(session.key)
    with pytest.raises(StoreUnavailable):
        await store.rotate(presentation(session), POLICY, actor=SOMEBODY)


@pytest.mark.parametrize(("carrier", "idle"), [("cookie", timedelta(hours=12)), ("token", timedelta(days=14))])
async def test_a_row_from_before_sessions_were_remembered_goes_on_under_the_limit_of_its_carrier(
    store: RedisSessionStore, failing: ValkeyServer, carrier: str, idle: timedelta
) -> None:
    await sign_up(store)
    session = await start(store, carrier=carrier)
    value = msgspec.msgpack.decode(failing.say("GET", row_name(session.key)))
    failing.say("SET", row_name(session.key), msgspec.msgpack.encode(value[:-1]))
    assert await row(store, session) == session
    policy = replace(POLICY, idle=timedelta(hours=12), idle_remembered=timedelta(days=14))
    taken = await store.rotate(presentation(session), policy, actor=SOMEBODY)
    assert isinstance(taken, Taken)
    assert taken.session == await row(store, session)
    assert taken.session.idle_expires_at == taken.at + idle


# A Cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[ValkeyCluster]:
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    with a_cluster() as nodes:
        yield nodes


async def test_a_node_of_a_cluster_that_is_lost_takes_its_sessions_out_of_reach_until_it_is_back(
    sqlite: str, cluster: ValkeyCluster
) -> None:
    async with opened(sqlite, cluster.emptied()) as store:
        await sign_up(store)
        sessions = [await start(store, number) for number in range(1, 7)]
        lost_node = cluster.nodes[1]
        lost_node.say("SAVE")
        await asyncio.to_thread(lost_node.kill)
        try:
            said = await asyncio.gather(
                *(store.rotate(presentation(each), POLICY, actor=SOMEBODY) for each in sessions), return_exceptions=True
            )
            assert all(isinstance(each, Taken | StoreUnavailable) for each in said), said
            with pytest.raises(StoreUnavailable):
                await store.ping()
        finally:
            await asyncio.to_thread(lost_node.start)
        cluster.wait_until_whole()
        await until(lambda: pinged(store))
        for session, answer in zip(sessions, said, strict=True):
            now = await row(store, session)
            assert now.ended_at is None
            assert now.generation == 1 or not isinstance(answer, Taken)
            if now.generation == 0:
                assert isinstance(await store.rotate(presentation(session), POLICY, actor=SOMEBODY), Taken)
