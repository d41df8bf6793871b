"""What a guard does to the code that it surrounds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from doorward.audit.model import Actor
from doorward.errors import ConfigurationError, InvalidToken, NotAuthenticated, SessionEnded
from doorward.http.problems import SESSION_OVER, TRY_AGAIN_LATER
from doorward.secret import Secret
from doorward.testing import FakeClock
from doorward.web.asgi import AuthenticationMiddleware
from doorward.web.fastapi import Doorward as FastApiDoorward
from doorward.web.guard import BareWebSocket, Doorward
from doorward.web.litestar import Doorward as LitestarDoorward
from doorward.web.starlette import Doorward as StarletteDoorward
from tests.sessions.deployments import EMAIL, HOME, PASSWORD
from tests.web.misconfigured import MISCONFIGURED, NOT_TO_BE_ASKED_FOR, WITHOUT_A_SECRET

pytestmark = pytest.mark.anyio

KINDS = (Doorward, FastApiDoorward, LitestarDoorward, StarletteDoorward)


class Socket:
    """A WebSocket, or a request, of somebody who has signed in."""

    def __init__(self, bearer: str | None) -> None:
        headers = [(b"authorization", f"Bearer {bearer}".encode())] if bearer else []
        self.scope: dict[str, Any] = {"type": "websocket", "path": "/live", "headers": headers}
        self.closed: list[tuple[int, str | None]] = []

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        self.closed.append((code, reason))


class Gone(Socket):
    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        raise RuntimeError("it has been closed already")


@pytest.fixture
async def auth() -> AsyncIterator[Doorward]:
    options: dict[str, Any] = {"strategy": "jwt", "insecure_fast_hashing": True, "clock": FakeClock()}
    async with Doorward("memory:", secret="the secret of a deployment in tests", **options) as auth:
        await auth.sign_up(email=EMAIL, password=PASSWORD, actor=Actor())
        yield auth


async def a_token(auth: Doorward) -> str:
    signed_in = await auth.sign_in(email=EMAIL, password=PASSWORD, origin=HOME)
    assert signed_in.credentials.access_token is not None
    return signed_in.credentials.access_token.text.reveal()


async def end(auth: Doorward, session_id: str) -> None:
    await auth.end_session(session_id, account_id=None, actor=Actor())


def _cancel(task: asyncio.Task[None], _over: object) -> None:
    task.cancel()


async def for_ever() -> None:
    await asyncio.Event().wait()


async def test_what_the_block_waits_for_is_cancelled_and_the_function_goes_on(auth: Doorward) -> None:
    socket = Socket(await a_token(auth))
    async with auth.guard(socket) as principal:
        await end(auth, principal.session_id)
        await for_ever()
    assert socket.closed == [(SESSION_OVER, "session_ended")]
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)  # nothing is left that would cancel
    assert len(auth.guards) == 0


async def test_a_block_that_ends_by_itself_is_left_alone(auth: Doorward) -> None:
    socket = Socket(await a_token(auth))
    async with auth.guard(socket) as principal:
        pass
    await end(auth, principal.session_id)
    await asyncio.sleep(0)
    assert not socket.closed


async def test_what_is_found_out_too_late_interrupts_nothing(auth: Doorward) -> None:
    """The store was being asked when the block ended."""
    socket = Socket(await a_token(auth))
    async with auth.guard(socket):
        (guard,) = auth.guards._all()
    guard.over.set_result(SessionEnded("signed_out"))
    for _ in range(3):
        await asyncio.sleep(0)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    assert not socket.closed


async def test_what_the_block_raises_goes_through(auth: Doorward) -> None:
    socket = Socket(await a_token(auth))
    with pytest.raises(ZeroDivisionError):
        async with auth.guard(socket):
            raise ZeroDivisionError
    assert not socket.closed
    assert len(auth.guards) == 0


async def test_whoever_else_cancels_the_task_is_heard(auth: Doorward) -> None:
    socket, opened = Socket(await a_token(auth)), asyncio.Event()
    session_id = ""

    async def serve() -> None:
        nonlocal session_id
        async with auth.guard(socket) as principal:
            session_id = principal.session_id
            opened.set()
            await for_ever()
        raise AssertionError("the cancellation was swallowed")

    for ended_as_well in (False, True):
        opened.clear()
        task = asyncio.create_task(serve())
        await opened.wait()
        if ended_as_well:
            (guard,) = auth.guards._all()
            guard.over.add_done_callback(partial(_cancel, task))
            await end(auth, session_id)
        else:
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not socket.closed


async def test_nobody_minds_that_the_other_end_has_gone(auth: Doorward) -> None:
    async with auth.guard(Gone(await a_token(auth))) as principal:
        await end(auth, principal.session_id)
        await for_ever()


async def test_a_server_that_closes_says_to_come_again(auth: Doorward) -> None:
    socket = Socket(await a_token(auth))
    async with auth.guard(socket):
        await auth.close()
        await for_ever()
    assert socket.closed == [(TRY_AGAIN_LATER, "unavailable")]


async def test_whoever_closes_has_released_all(auth: Doorward) -> None:
    token, opened, source = await a_token(auth), asyncio.Event(), Source()
    socket, stream = Socket(token), await auth.guarded_stream(Socket(token), source.events("one"))

    async def serve() -> None:
        async with auth.guard(socket):
            opened.set()
            await for_ever()

    assert await anext(stream) == "one"
    serving, reading = asyncio.create_task(serve()), asyncio.create_task(_all_of(stream))
    await opened.wait()
    await auth.close()
    await serving
    assert socket.closed == [(TRY_AGAIN_LATER, "unavailable")]
    assert await reading == []


async def _all_of(stream: AsyncIterator[str]) -> list[str]:
    return [event async for event in stream]


@pytest.mark.parametrize("kind", KINDS)
async def test_what_would_hold_up_the_event_loop_is_refused_where_it_is_made(kind: type[Doorward]) -> None:
    with pytest.raises(ConfigurationError, match=r"DW104: .*Make it without blocking=True"):
        kind("memory:", blocking=True)


@pytest.mark.parametrize(("options", "told"), MISCONFIGURED)
async def test_none_is_made_of_what_would_be_unsafe(options: dict[str, Any], told: str) -> None:
    for kind in KINDS:
        with pytest.raises(ConfigurationError, match=told):
            kind("memory:", **options)
        with pytest.raises(ConfigurationError, match=r"DW053: .* Give all servers the same in DOORWARD_SECRET"):
            kind(WITHOUT_A_SECRET)
        for name in NOT_TO_BE_ASKED_FOR:
            asked: dict[str, Any] = {name: "None"}
            with pytest.raises(ConfigurationError, match=f"DW060: {name}"):
                kind("memory:", **asked)


async def test_a_token_may_come_in_the_first_message(auth: Doorward) -> None:
    token = await a_token(auth)
    for bearer in (token, Secret(token)):
        async with auth.guard(Socket(None), bearer=bearer) as principal:
            assert principal.carrier == "token"
    with pytest.raises(InvalidToken):
        async with auth.guard(Socket(None), bearer="x"):
            raise AssertionError("it was opened")


async def test_where_it_may_not_be_open_the_block_is_not_entered(auth: Doorward) -> None:
    with pytest.raises(NotAuthenticated):
        async with auth.guard(Socket(None)):
            raise AssertionError("it was opened")
    token = await a_token(auth)
    await end(auth, (await auth.authenticate(bearer=Secret(token))).session_id)
    with pytest.raises(SessionEnded):
        async with auth.guard(Socket(token)):
            raise AssertionError("it was opened")
    assert len(auth.guards) == 0


async def test_bare_asgi_closes_what_its_application_refuses(auth: Doorward) -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        async with auth.guard(BareWebSocket(scope, receive, send)):
            raise AssertionError("it was opened")

    await AuthenticationMiddleware(application, auth)(Socket(None).scope, receive, send)
    assert sent == [{"type": "websocket.close", "code": SESSION_OVER, "reason": "not_authenticated"}]


# Streams


class Source:
    """Gives what it is told to, and then nothing."""

    def __init__(self) -> None:
        self.closed = False

    async def events(self, *events: str, endless: bool = True) -> AsyncIterator[str]:
        try:
            for event in events:
                yield event
            if endless:
                await for_ever()
        finally:
            self.closed = True


async def test_a_stream_ends_with_its_session_and_closes_its_source(auth: Doorward) -> None:
    token, source = await a_token(auth), Source()
    stream = await auth.guarded_stream(Socket(token), source.events("one", "two"))
    assert [await anext(stream), await anext(stream)] == ["one", "two"]
    await end(auth, (await auth.authenticate(bearer=Secret(token))).session_id)
    assert [event async for event in stream] == []
    assert source.closed
    assert len(auth.guards) == 0


async def test_a_stream_that_ends_by_itself_ends(auth: Doorward) -> None:
    source = Source()
    stream = await auth.guarded_stream(Socket(await a_token(auth)), source.events("one", endless=False))
    assert [event async for event in stream] == ["one"]
    assert source.closed
    assert len(auth.guards) == 0


async def test_a_reader_that_goes_leaves_nothing_behind(auth: Doorward) -> None:
    source = Source()
    stream = await auth.guarded_stream(Socket(await a_token(auth)), source.events("one"))
    assert await anext(stream) == "one"
    reading = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert source.closed
    assert len(auth.guards) == 0


async def test_a_stream_whose_session_ends_before_it_is_read_is_empty(auth: Doorward) -> None:
    token, source = await a_token(auth), Source()
    stream = await auth.guarded_stream(Socket(token), source.events("one"))
    await end(auth, (await auth.authenticate(bearer=Secret(token))).session_id)
    assert [event async for event in stream] == []


async def test_a_stream_is_refused_before_its_answer_begins(auth: Doorward) -> None:
    with pytest.raises(NotAuthenticated):
        await auth.guarded_stream(Socket(None), Source().events("one"))
