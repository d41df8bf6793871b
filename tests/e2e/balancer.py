"""What stands before several servers: each connection goes to the next one that takes it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from types import TracebackType
from typing import Self

from tests.e2e.servers import Server, free_port

_PIECE = 64 * 1024


class Balancer:
    """Passes bytes on between clients and servers.

    Args:
        servers: those behind it; they may die and come back.
    """

    def __init__(self, servers: Sequence[Server] = ()) -> None:
        self.servers = list(servers)
        self._port = free_port()
        self.address = f"http://127.0.0.1:{self._port}"
        self._turns = count()
        self._flows = asyncio.Event()
        self._flows.set()
        self._listening: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._listening = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._listening is not None:
            self._listening.close()
        await asyncio.sleep(0.01)  # what was accepted a moment ago is still to be told of
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        for writer in self._writers:
            writer.close()

    def cut_off(self) -> None:
        """Nothing gets through any more, and nobody is told."""
        self._flows.clear()

    def let_through(self) -> None:
        """Everything gets through again, and what was on its way as well."""
        self._flows.set()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Noted before its task has run at all: one that is cancelled before that would close nothing.
        self._writers.add(writer)
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            onward = await self._connect()
            if onward is not None:
                await self._pass_on(reader, writer, *onward)
        finally:
            writer.close()
            self._writers.discard(writer)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        for _ in self.servers:
            server = self.servers[next(self._turns) % len(self.servers)]
            with suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", server.port)
        return None

    async def _pass_on(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        server_reader: asyncio.StreamReader,
        server_writer: asyncio.StreamWriter,
    ) -> None:
        ways = [
            asyncio.ensure_future(self._pump(reader, server_writer)),
            asyncio.ensure_future(self._pump(server_reader, writer)),
        ]
        try:
            # When one side has gone, so has the connection.
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            server_writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(_PIECE):
                await self._flows.wait()
                writer.write(piece)
                await writer.drain()
