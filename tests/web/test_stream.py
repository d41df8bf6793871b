"""Answers that come bit by bit: sent as they come, and closed whoever ends them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from doorward.http.message import Response
from doorward.web import asgi
from doorward.web.asgi import send_stream

pytestmark = pytest.mark.anyio


class Tap:
    """A stream that gives what it is told to."""

    def __init__(self, *parts: bytes, endless: bool = True) -> None:
        self.parts = list(parts)
        self.endless = endless
        self.closed = 0

    def __aiter__(self) -> Tap:
        return self

    async def __anext__(self) -> bytes:
        if self.parts:
            return self.parts.pop(0)
        if not self.endless:
            raise StopAsyncIteration
        await asyncio.Event().wait()
        raise AssertionError("never set")

    async def aclose(self) -> None:
        self.closed += 1


class Client:
    """Takes what is sent, and goes when it has taken enough."""

    def __init__(self, *, goes_after: int | None = None, takes: Callable[[], Any] | None = None) -> None:
        self.sent: list[Any] = []
        self.gone = asyncio.Event()
        self._goes_after = goes_after
        self._takes = takes
        self._asked = False

    async def receive(self) -> Any:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)
        if self._takes is not None and message["type"] == "http.response.body":
            await self._takes()
        if len(self.sent) == self._goes_after:
            self.gone.set()

    @property
    def body(self) -> list[tuple[bytes, bool]]:
        return [(each["body"], each.get("more_body", False)) for each in self.sent[1:]]


def an_answer() -> Response:
    return Response(status=200, headers=(("content-type", "text/event-stream"),))


async def test_each_part_is_sent_as_it_comes_and_the_end_is_said() -> None:
    tap, client = Tap(b"one", b"two", endless=False), Client()
    await send_stream(an_answer(), tap, client.receive, client.send)
    assert client.sent[0] == {
        "type": "http.response.start",
        "status": 200,
        # No length: nobody knows it.
        "headers": [(b"content-type", b"text/event-stream")],
    }
    assert client.body == [(b"one", True), (b"two", True), (b"", False)]
    assert tap.closed == 1


async def test_a_client_that_goes_ends_the_stream() -> None:
    tap, client = Tap(b"one"), Client(goes_after=2)
    await send_stream(an_answer(), tap, client.receive, client.send)
    assert client.body == [(b"one", True)]
    assert tap.closed == 1


async def test_a_client_that_takes_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi, "TAKEN_WITHIN", timedelta(milliseconds=1))
    tap, client = Tap(b"one", b"two"), Client(takes=asyncio.Event().wait)
    await send_stream(an_answer(), tap, client.receive, client.send)
    assert client.body == [(b"one", True)]
    assert tap.closed == 1


async def test_a_server_that_cancels_the_answer_leaves_nothing_running() -> None:
    before = asyncio.all_tasks()
    tap, client = Tap(b"one"), Client()
    answering = asyncio.create_task(send_stream(an_answer(), tap, client.receive, client.send))
    while len(client.sent) < 2:  # noqa: ASYNC110 -- as many turns of the loop as it takes, and no time
        await asyncio.sleep(0)
    answering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answering
    assert tap.closed == 1
    assert asyncio.all_tasks() == before


async def test_a_server_that_says_nothing_of_the_client_does_not_keep_the_processor_busy() -> None:
    """Some clients for tests hand over the same request for ever."""
    asked = 0

    async def receive() -> Any:
        nonlocal asked
        asked += 1
        return {"type": "http.request", "body": b"", "more_body": False}

    tap, client = Tap(b"one", endless=False), Client()
    await send_stream(an_answer(), tap, receive, client.send)
    assert asked == 2


async def test_a_mistake_of_the_stream_is_raised_and_it_is_closed() -> None:
    class Broken(Tap):
        async def __anext__(self) -> bytes:
            raise RuntimeError("a bug")

    tap, client = Broken(), Client()
    with pytest.raises(RuntimeError):
        await send_stream(an_answer(), tap, client.receive, client.send)
    assert tap.closed == 1
