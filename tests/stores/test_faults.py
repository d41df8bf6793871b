"""Servers side by side on one PostgreSQL: keys rotated at once, a clock that is wrong, a pool that is full."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from doorward.audit.model import Actor, Origin
from doorward.doorward import Doorward
from doorward.errors import InvalidGrant, InvalidToken, SessionEnded
from doorward.keys.model import Algorithm, KeyState
from doorward.keys.rules import KNOWN_AFTER, state_of
from doorward.principal import Principal
from doorward.secret import Secret
from doorward.sessions.model import Refreshed, SignedIn
from doorward.stores.sql import postgres_connecting as postgres_settings
from doorward.web.asgi import DoorwardApp
from tests.postgres import PostgresServer

pytestmark = pytest.mark.anyio

SECRET = "one secret for all servers of a deployment"
EMAIL = "ada@example.com"
PASSWORD = Secret("seven green kettles whistle at dawn")
HOME = Origin(ip="192.0.2.1", user_agent="Browser/1.0")
TESTER = Actor(name="tester", origin=HOME)
HOUR = timedelta(hours=1)

OpenServer = Callable[..., Awaitable[Doorward]]


@pytest.fixture
async def open_server(anyio_backend: str, address: str) -> AsyncIterator[OpenServer]:
    async with AsyncExitStack() as servers:

        async def begin(*, off_by: timedelta = timedelta(0), query: str = "", **options: Any) -> Doorward:
            """A server; its own clock, and not the database's, may be wrong."""
            options = {"rate_limits": False, "insecure_fast_hashing": True, "issuer": "https://a.example", **options}
            auth = Doorward(address + query, secret=SECRET, **options)
            auth._clock = lambda: datetime.now(UTC) + off_by
            return await servers.enter_async_context(auth)

        yield begin


async def sign_up(auth: Doorward, email: str = EMAIL) -> None:
    await auth.sign_up(email=email, password=PASSWORD, actor=TESTER)


async def sign_in(auth: Doorward) -> SignedIn:
    return await auth.sign_in(email=EMAIL, password=PASSWORD, origin=HOME)


def bearer_of(issued: SignedIn | Refreshed) -> Secret:
    assert issued.credentials.access_token is not None
    return issued.credentials.access_token.text


def token_of(issued: SignedIn | Refreshed) -> Secret:
    assert issued.credentials.refresh_token is not None
    return issued.credentials.refresh_token


# Keys


async def test_servers_that_rotate_the_keys_at_once_rotate_them_once(
    open_server: OpenServer, postgres: PostgresServer
) -> None:
    servers = [await open_server() for _ in range(3)]
    # Made so long ago that everybody knows them.
    postgres.run("UPDATE doorward_signing_key SET created_at = created_at - interval '1 hour'")
    before = await servers[0].stored_keys()
    await asyncio.gather(*(auth.rotate_keys(actor=TESTER) for auth in servers))
    await asyncio.gather(*(auth.rotate_keys(actor=TESTER) for auth in servers))
    after, now = await servers[0].stored_keys(), await servers[0].deployment.store.now()
    # The one that waited signs; the one made by the rotation does not yet, although it was asked for again.
    assert [key.kid for key in after if state_of(key, now=now) is KeyState.ACTIVE] == [
        key.kid for key in before if key.activates_at > now
    ]
    assert {key.kid for key in after} - {key.kid for key in before}


async def test_no_server_signs_with_a_key_that_another_does_not_know_yet(open_server: OpenServer) -> None:
    one, other = await open_server(), await open_server()
    await sign_up(one)
    # It learns nothing from now on, as between two of its reads.
    assert other._watching is not None
    other._watching.cancel()
    for _ in range(4):
        await one.rotate_keys(actor=TESTER)
        assert await other.authenticate(bearer=bearer_of(await sign_in(one)))
    # Nor where a server is told another algorithm.
    third = await open_server(signing_algorithm=Algorithm.EDDSA)
    assert await other.authenticate(bearer=bearer_of(await sign_in(third)))


async def test_once_every_server_knows_the_new_key_it_signs(open_server: OpenServer, postgres: PostgresServer) -> None:
    one = await open_server()
    await sign_up(one)
    await one.rotate_keys(actor=TESTER)
    old = bearer_of(await sign_in(one))
    other = await open_server(signing_algorithm=Algorithm.EDDSA)
    # As if so much time had gone by.
    for instant in ("created_at", "activates_at", "retiring_at", "retired_at"):
        moved = f"{instant} - interval '{KNOWN_AFTER.total_seconds()} s'"
        postgres.run(f"UPDATE doorward_signing_key SET {instant} = {moved} WHERE {instant} < '9999-01-01'")
    for auth in (one, other):
        await auth.read_changes()
    tokens = [old, bearer_of(await sign_in(one)), bearer_of(await sign_in(other))]
    kids = {auth.deployment.desk.signing_key.kid for auth in (one, other)}
    assert len(kids) == 2
    for auth in (one, other):
        for token in tokens:
            assert await auth.authenticate(bearer=token)


# Clocks


@pytest.mark.parametrize("off_by", [HOUR, -HOUR], ids=["an hour ahead", "an hour behind"])
async def test_a_server_whose_clock_is_wrong_signs_nobody_out_and_forks_nothing(
    open_server: OpenServer, off_by: timedelta
) -> None:
    right = await open_server(refresh_grace=timedelta(seconds=60))
    await sign_up(right)
    client, leaving = await sign_in(right), await sign_in(right)
    wrong = await open_server(refresh_grace=timedelta(seconds=60), off_by=off_by)
    # Whichever of them a refresh comes to, also where its reply is lost: one chain, judged by the database's time.
    first = await wrong.refresh(token_of(client), origin=HOME)
    for auth in (right, wrong, right):
        for token in (token_of(client), token_of(first)):
            again = await auth.refresh(token, origin=HOME)
            assert token_of(again).matches(token_of(first))
            # What a server issues is good there; elsewhere it may be too old or too new, and is renewed.
            assert await is_let_in(auth, again) is not None
    # Sessions that start there live neither longer nor shorter.
    started = (await sign_in(wrong)).session
    assert abs(started.expires_at - started.created_at - right.options.session_absolute) < timedelta(seconds=1)
    assert abs(started.created_at - await right.deployment.store.now()) < timedelta(minutes=1)
    # An end holds for both at once, whoever has told it.
    await wrong.end_session(leaving.session.id, account_id=None, actor=TESTER)
    await right.read_changes()
    for auth in (right, wrong):
        with pytest.raises(InvalidGrant):
            await auth.refresh(token_of(leaving), origin=HOME)
        with pytest.raises((SessionEnded, InvalidToken)):
            await auth.authenticate(bearer=bearer_of(leaving))
    assert len(await right.sessions(client.account.id)) == 2
    assert len(await right.stored_keys()) == 2


@pytest.mark.parametrize("off_by", [HOUR, -HOUR], ids=["an hour ahead", "an hour behind"])
async def test_cookies_are_judged_by_the_databases_clock(open_server: OpenServer, off_by: timedelta) -> None:
    options = {"strategy": "session", "session_idle": timedelta(minutes=30), "lost_reply_window": timedelta(minutes=5)}
    right, wrong = await open_server(**options), await open_server(**options, off_by=off_by)
    await sign_up(right)
    for begun, used in ((right, wrong), (wrong, right)):
        handle = (await sign_in(begun)).credentials.handle
        for auth in (used, begun):
            assert await auth.authenticate(handle=handle)


async def is_let_in(auth: Doorward, issued: Refreshed) -> Principal:
    return await auth.authenticate(bearer=bearer_of(issued))


# A pool that is full

SLOW = """
CREATE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$;
CREATE TRIGGER be_slow BEFORE INSERT ON doorward_account FOR EACH ROW EXECUTE FUNCTION be_slow();
"""
OTHERS = 4
"""Connections of a pool of 8 that the hot path does not keep for itself."""


async def test_where_slow_queries_fill_the_pool_the_answer_is_503_and_the_hot_path_goes_on(
    open_server: OpenServer, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_settings, "POOL_TIMEOUT", timedelta(milliseconds=500))
    monkeypatch.setattr(postgres_settings, "STATEMENT_TIMEOUT", timedelta(seconds=3))
    auth = await open_server(query="?pool_size=8", refresh_grace=timedelta(0))
    cookies = await open_server(query="?pool_size=8", strategy="session")
    await sign_up(auth)
    signed_in, with_cookie = await sign_in(auth), await sign_in(cookies)
    crowd = [{"email": f"ada{number}@example.com", "password": PASSWORD.reveal()} for number in range(OTHERS)]
    transport = httpx.ASGITransport(app=DoorwardApp(auth))
    postgres.run(SLOW)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="https://a.example") as client:
            new = {"email": "grace@example.com", "password": PASSWORD.reveal()}
            slow = [asyncio.ensure_future(client.post("/v1/accounts", json=each)) for each in crowd]
            await until_so_many_sleep(postgres, OTHERS)
            turned_away = await client.post("/v1/accounts", json=new)
            # What goes by the other connections: rotating, looking up, signing in, and what is answered from memory.
            who = {"email": EMAIL, "password": PASSWORD.reveal()}
            assert (await client.post("/v1/sessions", json=who)).status_code == 201
            token = token_of(signed_in).reveal()
            for _ in range(3):
                form = {"grant_type": "refresh_token", "refresh_token": token}
                refreshed = await client.post("/v1/token", data=form)
                assert refreshed.status_code == 200
                token = refreshed.json()["refresh_token"]
            assert await auth.deployment.store.session(signed_in.session.key)
            assert await cookies.authenticate(handle=with_cookie.credentials.handle)
            assert await auth.authenticate(bearer=bearer_of(signed_in))
            # A slow one ends by itself, long before what it waits for.
            answers = [turned_away, *await asyncio.gather(*slow)]
            for answer in answers:
                assert answer.status_code == 503
                assert int(answer.headers["Retry-After"]) >= 1
            assert turned_away.json()["code"] == "busy"
            postgres.run("DROP FUNCTION be_slow CASCADE")
            assert (await client.post("/v1/accounts", json=new)).status_code == 201
    finally:
        postgres.run("DROP FUNCTION IF EXISTS be_slow CASCADE")
    # Of those that were given up nothing is left.
    assert postgres.run("SELECT email_key FROM doorward_account ORDER BY 1") == [(EMAIL,), ("grace@example.com",)]


async def until_so_many_sleep(postgres: PostgresServer, many: int) -> None:
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    with psycopg.connect(postgres.address(), autocommit=True) as watching:
        async with asyncio.timeout(60):
            while watching.execute(sleeping).fetchall() != [(many,)]:  # noqa: ASYNC110 -- it happens in the engine
                await asyncio.sleep(0.01)
