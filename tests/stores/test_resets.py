"""Connections to stores that are reset (RST), under asyncio and under uvloop: an answer, or 503, and never a bug.

A load balancer, a firewall or a restarted server resets connections that were idle.  The two event loops report it
differently, and so do the drivers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from doorward.blocking import run_blocking
from doorward.doorward import Doorward
from doorward.errors import StoreUnavailable
from doorward.http.api import Api
from doorward.http.message import Request
from doorward.secret import Secret
from doorward.sessions.model import SignedIn
from doorward.stores import open_announcements
from doorward.stores.lost_connections import is_closed_transport
from doorward.stores.memcached_connection import Connection, read_version
from doorward.stores.redis import scripts
from doorward.stores.redis.address import parse_redis
from doorward.stores.redis.port import is_worth_another_try, translated
from doorward.stores.redis.unavailable import RedisUnavailable
from tests.memcached import MemcachedServer
from tests.postgres import PostgresServer
from tests.sessions.deployments import (
    ACTOR,
    EMAIL,
    HOME,
    PASSWORD,
    SECRET,
    next_token,
    refresh_token,
    sign_in,
    sqlite,
    template,
)
from tests.tcp_proxy import TcpProxy, a_proxy
from tests.valkey import ValkeyServer

__all__ = ["sqlite", "template"]

LOOPS = [
    pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
]
HANDLER_IS_CLOSED = RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")


@pytest.fixture(scope="module", params=LOOPS)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(scope="module")
def to_redis(valkey: ValkeyServer) -> Iterator[TcpProxy]:
    with a_proxy(valkey.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def to_postgres(postgres: PostgresServer) -> Iterator[TcpProxy]:
    with a_proxy(postgres.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def to_memcached(memcached: MemcachedServer) -> Iterator[TcpProxy]:
    with a_proxy(memcached.port) as proxy:
        yield proxy


def on_redis(sqlite: str, valkey: ValkeyServer, to_redis: TcpProxy) -> dict[str, Any]:
    valkey.emptied()
    return {"database": sqlite, "redis": f"redis://127.0.0.1:{to_redis.port}"}


@asynccontextmanager
async def opened(**options: Any) -> AsyncIterator[Doorward]:
    async with Doorward(secret=SECRET, rate_limits=False, insecure_fast_hashing=True, **options) as auth:
        await auth.sign_up(email=EMAIL, password=PASSWORD, actor=ACTOR)
        yield auth


async def each_operation(auth: Doorward, signed_in: SignedIn, proxy: TcpProxy, *, noticed: bool) -> None:
    """Operations that read, rotate, start and end, each after a reset."""
    token = refresh_token(signed_in)
    for operation in ("refresh", "sessions", "ping", "sign in", "sign out"):
        proxy.reset()
        if noticed:
            # Enough turns for the loop to read what its kernel knows, and time for the kernel to know it.
            for _ in range(20):
                await asyncio.sleep(0.001)
        match operation:
            case "refresh":
                token = next_token(await auth.refresh(token, origin=HOME))
            case "sessions":
                assert await auth.sessions(signed_in.account.id)
            case "ping":
                await auth.ping()
            case "sign in":
                await sign_in(auth)
            case "sign out":
                await auth.end_session(signed_in.session.id, account_id=None, actor=ACTOR)


@pytest.mark.anyio
async def test_what_redis_has_reset_is_connected_anew_before_anything_is_sent(
    sqlite: str, valkey: ValkeyServer, to_redis: TcpProxy
) -> None:
    async with opened(**on_redis(sqlite, valkey, to_redis)) as auth:
        await each_operation(auth, await sign_in(auth), to_redis, noticed=True)


@pytest.mark.anyio
@pytest.mark.parametrize("noticed", [True, False])
async def test_what_postgresql_has_reset_is_asked_again(
    postgres: PostgresServer, to_postgres: TcpProxy, *, noticed: bool
) -> None:
    address = postgres.emptied().replace(str(postgres.port), str(to_postgres.port))
    async with opened(database=address) as auth:
        signed_in = await sign_in(auth)
        try:
            await each_operation(auth, signed_in, to_postgres, noticed=noticed)
        except StoreUnavailable:
            # The reset and the statement crossed: whether it has arrived is not known.
            assert not noticed


def test_what_postgresql_has_reset_is_asked_again_by_a_host_without_a_loop(
    postgres: PostgresServer, to_postgres: TcpProxy
) -> None:
    address = postgres.emptied().replace(str(postgres.port), str(to_postgres.port))

    async def all_of_it() -> None:
        async with opened(database=address, blocking=True) as auth:
            await each_operation(auth, await sign_in(auth), to_postgres, noticed=False)

    run_blocking(all_of_it())


@pytest.mark.anyio
async def test_a_memcached_that_resets_is_a_look_up_in_the_database(
    sqlite: str, memcached: MemcachedServer, to_memcached: TcpProxy
) -> None:
    cache = f"memcached://127.0.0.1:{to_memcached.port}"
    async with opened(database=sqlite, memcached=cache, strategy="session") as auth:
        signed_in = await sign_in(auth)
        for _ in range(3):
            to_memcached.reset()
            auth.deployment.cookies.forget_all()
            principal = await auth.authenticate(handle=signed_in.credentials.handle)
            assert principal.session_id == signed_in.session.id


@pytest.mark.anyio
async def test_a_question_to_memcached_is_not_written_to_a_transport_that_is_closing() -> None:
    class Closing(asyncio.Transport):
        def is_closing(self) -> bool:
            return True

        def write(self, data: object) -> None:
            raise HANDLER_IS_CLOSED

        def abort(self) -> None: ...

    failures: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: failures.append(context))
    connection = Connection(loop, lambda *_: None)
    connection.connection_made(Closing())
    answer = connection.ask(b"version\r\n", read_version)
    await asyncio.sleep(0)
    connection.connection_lost(None)
    assert await answer is None
    assert failures == []


@pytest.mark.anyio
async def test_a_rotation_whose_answer_is_lost_is_503_and_goes_on_with_the_same_token(
    sqlite: str, valkey: ValkeyServer, to_redis: TcpProxy, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(**on_redis(sqlite, valkey, to_redis)) as auth:
        token = refresh_token(await sign_in(auth))
        api = Api(auth)
        to_redis.lose_answer_to(scripts.ROTATE.digest.encode())
        lost = await api.answer(a_refresh(token))
        assert (lost.status, dict(lost.headers)["retry-after"]) == (503, "1")
        # It took, and was not repeated: the client's own repetition is answered as its first.
        assert (await api.answer(a_refresh(token))).status == 200
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.anyio
async def test_what_may_be_done_twice_is_repeated_where_its_answer_is_lost(
    sqlite: str, valkey: ValkeyServer, to_redis: TcpProxy
) -> None:
    async with opened(**on_redis(sqlite, valkey, to_redis)) as auth:
        signed_in = await sign_in(auth)
        lost = to_redis.lost
        to_redis.lose_answer_to(scripts.ACKNOWLEDGE.digest.encode())
        await auth.deployment.store.acknowledge(signed_in.session.id, 0)
        assert to_redis.lost == lost + 1
        row = (await auth.deployment.store.session(signed_in.session.key)).session
        assert row is not None
        assert row.acknowledged


@pytest.mark.anyio
async def test_a_subscription_that_is_reset_is_made_again(
    valkey: ValkeyServer, to_redis: TcpProxy, sqlite: str
) -> None:
    subscribed = asyncio.Semaphore(0)
    announcements = open_announcements(sqlite, redis_url=f"redis://127.0.0.1:{to_redis.port}")
    assert announcements is not None
    listening = asyncio.create_task(announcements.listen(lambda heard: subscribed.release() if heard is None else None))
    try:
        async with asyncio.timeout(30):
            await subscribed.acquire()
            to_redis.reset()
            await subscribed.acquire()
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


def test_what_uvloop_says_of_a_lost_connection_is_known_for_it() -> None:
    address = parse_redis("redis://db")
    for repeats in (True, False):
        # Nothing of it was sent.
        assert is_worth_another_try(HANDLER_IS_CLOSED, repeats=repeats)
    assert isinstance(translated(HANDLER_IS_CLOSED, address), RedisUnavailable)
    mistake = RuntimeError("dictionary changed size during iteration")
    assert translated(mistake, address) is mistake
    assert not is_worth_another_try(mistake, repeats=True)
    assert not is_closed_transport(OSError("the handler is closed"))


def a_refresh(token: Secret) -> Request:
    return Request(
        method="POST",
        path="/v1/token",
        headers={"content-type": "application/x-www-form-urlencoded", "host": "localhost"},
        body=f"grant_type=refresh_token&refresh_token={token.reveal()}".encode(),
        client="192.0.2.1",
    )
