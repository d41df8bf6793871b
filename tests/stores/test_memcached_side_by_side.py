"""Several servers over one database and one Memcached: who is signed in, and who is not any more."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from doorward.accounts.model import AccountChange
from doorward.blocking import run_blocking
from doorward.doorward import Doorward
from doorward.errors import ConfigurationError, NotAuthenticated, SessionEnded
from doorward.principal import Principal
from doorward.secret import Secret
from doorward.sessions.model import EndReason, SignedIn
from doorward.stores import memcached_connection
from doorward.stores.memcached import CachedSqlStore
from doorward.testing import SeededEntropy
from tests.memcached import MemcachedServer, a_memcached, missing
from tests.sessions.deployments import ACTOR, EMAIL, HOME, OTHER_PASSWORD, PASSWORD, SECRET, sign_in, sqlite, template
from tests.stores.cached import Watched, patient

__all__ = ["patient", "sqlite", "template"]

pytestmark = pytest.mark.anyio

OPTIONS: dict[str, Any] = {"strategy": "session", "rate_limits": False, "insecure_fast_hashing": True, "secret": SECRET}


@dataclass(slots=True, kw_only=True)
class Side:
    """Servers side by side, each of which learns what others have revoked only when a test says so."""

    database: str
    url: str
    stack: AsyncExitStack
    tick: float = 0.0
    servers: list[Doorward] = field(default_factory=list)

    async def server(self, **options: Any) -> Doorward:
        fields = {**OPTIONS, "memcached": self.url, **options}
        auth = Doorward(self.database, entropy=SeededEntropy(len(self.servers)), ticks=lambda: self.tick, **fields)
        await self.stack.enter_async_context(auth)
        assert auth._watching is not None
        auth._watching.cancel()
        self.servers.append(auth)
        return auth


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return str(request.getfixturevalue("sqlite"))
    return str(request.getfixturevalue("postgres").emptied())


@pytest.fixture
async def side(database: str, memcached: MemcachedServer, anyio_backend: str) -> AsyncIterator[Side]:
    async with AsyncExitStack() as stack:
        yield Side(database=database, url=memcached.emptied(), stack=stack)


@pytest.fixture
async def one(side: Side) -> Doorward:
    return await side.server()


@pytest.fixture
async def other(side: Side) -> Doorward:
    return await side.server()


async def ada(auth: Doorward) -> SignedIn:
    await auth.sign_up(email=EMAIL, password=PASSWORD, actor=ACTOR)
    return await sign_in(auth)


def handle(signed_in: SignedIn) -> Secret:
    assert signed_in.credentials.handle is not None
    return signed_in.credentials.handle


def counted(auth: Doorward) -> Watched:
    """What the server asks the database for from now on."""
    store = auth.deployment.store
    assert isinstance(store, CachedSqlStore)
    watched = Watched(store._runner)
    store._runner = watched
    return watched


async def asks(auth: Doorward, signed_in: SignedIn) -> Principal:
    """A request with the cookie at a server that does not remember it; what it leaves in the cache has arrived."""
    auth.deployment.cookies.forget_all()
    store = auth.deployment.store
    assert isinstance(store, CachedSqlStore)
    principal = await auth.authenticate(handle=handle(signed_in))
    await store._servers.look(b"nothing")
    return principal


async def test_requests_at_any_server_ask_the_database_for_nothing(one: Doorward, other: Doorward) -> None:
    signed_in = await ada(one)
    for auth in (one, other):
        await asks(auth, signed_in)
    watched = [counted(auth) for auth in (one, other)]
    for auth in (one, other) * 10:
        principal = await asks(auth, signed_in)
        assert principal.session_id == signed_in.session.id
    assert [each.look_ups for each in watched] == [0, 0]


async def test_a_session_that_was_signed_out_is_refused_by_all_at_once(one: Doorward, other: Doorward) -> None:
    signed_in = await ada(one)
    for auth in (one, other):
        await asks(auth, signed_in)
    await one.end_session(signed_in.session.id, account_id=None, actor=ACTOR)
    for auth in (one, other, one, other):
        with pytest.raises(SessionEnded) as refused:
            await asks(auth, signed_in)
        assert refused.value.reason is EndReason.SIGNED_OUT


async def test_roles_are_those_of_now(one: Doorward, other: Doorward) -> None:
    signed_in = await ada(one)
    for auth in (one, other):
        assert (await asks(auth, signed_in)).roles == frozenset()
    await one.change_account(signed_in.account.id, AccountChange(roles=("admin",)), actor=ACTOR)
    for auth in (one, other):
        assert (await asks(auth, signed_in)).roles == {"admin"}


async def test_a_handle_from_before_the_password_was_changed_is_refused(one: Doorward, other: Doorward) -> None:
    signed_in = await ada(one)
    for auth in (one, other):
        await asks(auth, signed_in)
    principal = await one.authenticate(handle=handle(signed_in))
    new = await one.change_password(principal, current=PASSWORD, new=OTHER_PASSWORD, origin=HOME)
    for auth in (one, other):
        with pytest.raises(NotAuthenticated):
            await asks(auth, signed_in)
        assert (await auth.authenticate(handle=new)).session_id == signed_in.session.id


async def _ends(auth: Doorward, signed_in: SignedIn) -> None:
    await auth.end_session(signed_in.session.id, account_id=None, actor=ACTOR)


async def _is_disabled(auth: Doorward, signed_in: SignedIn) -> None:
    await auth.change_account(signed_in.account.id, AccountChange(disabled=True), actor=ACTOR)


async def _changes_the_password(auth: Doorward, signed_in: SignedIn) -> None:
    principal = await auth.authenticate(handle=handle(signed_in))
    await auth.change_password(principal, current=PASSWORD, new=OTHER_PASSWORD, origin=HOME)


@pytest.mark.parametrize("event", [_ends, _is_disabled, _changes_the_password])
async def test_what_a_server_without_a_cache_to_tell_ends_is_refused_with_the_next_read_of_the_revocations(
    side: Side, other: Doorward, event: Callable[[Doorward, SignedIn], Awaitable[None]]
) -> None:
    """Its Memcached does not answer it; the others' does."""
    signed_in = await ada(other)
    alone = await side.server(memcached="memcached://127.0.0.1:1")
    await asks(other, signed_in)
    await event(alone, signed_in)
    await asks(other, signed_in)
    await other.read_changes()
    with pytest.raises((SessionEnded, NotAuthenticated)):
        await asks(other, signed_in)


async def test_what_the_command_line_ends_is_refused_with_the_next_read_of_the_revocations(
    side: Side, one: Doorward
) -> None:
    signed_in = await ada(one)
    await asks(one, signed_in)
    command = Doorward(side.database, memcached=side.url, blocking=True, **OPTIONS)
    run_blocking(command.open())
    run_blocking(command.end_session(signed_in.session.id, account_id=None, actor=ACTOR))
    run_blocking(command.close())
    await one.read_changes()
    with pytest.raises(SessionEnded):
        await asks(one, signed_in)


async def test_a_server_cut_off_from_the_revocations_asks_the_database(
    side: Side, one: Doorward, memcached: MemcachedServer
) -> None:
    signed_in = await ada(one)
    await asks(one, signed_in)
    watched = counted(one)
    side.tick += one.options.max_staleness.total_seconds()
    await asks(one, signed_in)
    assert watched.look_ups == 0
    side.tick += 0.001
    memcached.emptied()
    await asks(one, signed_in)
    await asks(one, signed_in)
    assert watched.look_ups == 2
    await one.read_changes()
    watched.look_ups = 0
    await asks(one, signed_in)
    await asks(one, signed_in)
    assert watched.look_ups == 1


async def test_sessions_outlive_the_cache(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memcached_connection, "ANSWER_TIMEOUT", timedelta(milliseconds=50))
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    with a_memcached() as server:
        one = await side.server(memcached=server.url)
        signed_in = await ada(one)
        await asks(one, signed_in)
        with server.paused():
            for _ in range(3):
                await one.authenticate(handle=handle(signed_in))
            await one.change_account(signed_in.account.id, AccountChange(roles=("admin",)), actor=ACTOR)
        server.kill()
        assert (await one.authenticate(handle=handle(signed_in))).roles == {"admin"}
        await one.end_session(signed_in.session.id, account_id=None, actor=ACTOR)
        with pytest.raises(SessionEnded):
            await one.authenticate(handle=handle(signed_in))


async def test_a_server_with_another_secret_is_not_let_in_by_the_cache(side: Side, one: Doorward) -> None:
    """A secret that took another's place: what was kept under that is read from the database again."""
    signed_in = await ada(one)
    await asks(one, signed_in)
    newer = await side.server(secret=[Secret("another secret that is long enough"), Secret(SECRET)])
    watched = counted(newer)
    await asks(newer, signed_in)
    await asks(newer, signed_in)
    assert watched.look_ups == 1


def test_there_is_no_cache_before_memory() -> None:
    with pytest.raises(ConfigurationError) as refused:
        Doorward("memory:", memcached="memcached://127.0.0.1")
    assert [problem.id for problem in refused.value.problems] == ["DW058"]


def test_an_address_of_no_memcached_is_refused(sqlite: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Doorward(sqlite, memcached="redis://127.0.0.1")
    assert [problem.id for problem in refused.value.problems] == ["DW057"]
