"""A client that reads an answer as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from doorward.wire.feed import Event, FeedReader
from tests.http.world import World


class Stream:
    """An answer under way."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self._messages: asyncio.Queue[Any] = asyncio.Queue()
        self._reader = FeedReader()
        self._events: list[Event] = []
        self.gone = asyncio.Event()

    async def begin(self) -> None:
        start = await self._messages.get()
        self.status = start["status"]
        self.headers = {name.decode(): value.decode() for name, value in start["headers"]}

    async def next(self) -> Event | None:
        """The next event, or None where the stream has ended."""
        while not self._events:
            message = await self._messages.get()
            self._events += self._reader.feed(message.get("body", b""))
            if not message.get("more_body", False) and not self._events:
                return None
        return self._events.pop(0)

    async def until_over(self) -> None:
        while await self.next() is not None:
            pass

    # The server's side

    async def receive(self) -> Any:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        await self._messages.put(message)


@asynccontextmanager
async def following(
    world: World, bearer: str | None, *, path: str = "/v1/revocations", **headers: str
) -> AsyncIterator[Stream]:
    """Ask for the stream, and go at the end of the block."""
    sent = {"host": "127.0.0.1:8000", **({"authorization": f"Bearer {bearer}"} if bearer else {})}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "root_path": "",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        "client": ("127.0.0.1", 1),
    }
    stream = Stream()
    answering = asyncio.create_task(world.app(scope, stream.receive, stream.send))
    async with asyncio.timeout(30):
        await stream.begin()
        yield stream
        stream.gone.set()
        await answering
