"""A TCP proxy between a client under test and a real server: it resets, swallows and loses what passes.

It runs in a thread of its own, so that it serves blocking clients and clients of any event loop alike.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any

_PIECE = 64 * 1024
_WITHIN_SECONDS = 30
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class TcpProxy:
    """Passes bytes between clients and one server.

    Args:
        port: of the server, on 127.0.0.1.

    ``port`` is the proxy's own.  ``accepted`` counts the connections that clients have made.
    """

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tcp-proxy", daemon=True)
        self._clients: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flows: asyncio.Event | None = None
        self._loses_answer_to: bytes | None = None
        self._refuses = False
        self.accepted = 0
        self.lost = 0
        self.port = 0

    def reset(self) -> None:
        """Reset every connection (RST), and return when the clients' kernel has been told."""
        self._call(self._reset)

    def lose_answer_to(self, words: bytes) -> None:
        """Reset a connection, once, instead of passing on the answer to what contains these words."""
        self._loses_answer_to = words

    def swallow(self) -> None:
        """Keep connections open, and let nothing through any more."""
        self._call(lambda: self._event().clear())

    def let_through(self) -> None:
        self._call(lambda: self._event().set())

    def refuse(self, *, refuses: bool = True) -> None:
        """Reset whatever connects from now on."""
        self._refuses = refuses

    # The thread

    def _call(self, work: Callable[[], object]) -> None:
        done: Future[None] = Future()

        def run() -> None:
            work()
            done.set_result(None)

        self._loop.call_soon_threadsafe(run)
        done.result(_WITHIN_SECONDS)

    def _event(self) -> asyncio.Event:
        assert self._flows is not None
        return self._flows

    def _reset(self) -> None:
        for writer in [*self._clients]:
            _reset(writer)
        self._clients.clear()

    async def _start(self) -> asyncio.Server:
        self._flows = asyncio.Event()
        self._flows.set()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self._refuses:
            _reset(writer)
            return
        self._clients.add(writer)
        task = self._loop.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        loses = asyncio.Event()
        ways = [
            asyncio.ensure_future(self._pump(reader, server_writer, seen=lambda piece: self._note(piece, loses))),
            asyncio.ensure_future(self._pump(server_reader, writer, before=lambda: self._lose(writer, loses))),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            server_writer.close()
            writer.close()
            self._clients.discard(writer)

    def _note(self, piece: bytes, loses: asyncio.Event) -> None:
        if self._loses_answer_to is not None and self._loses_answer_to in piece:
            self._loses_answer_to = None
            loses.set()

    def _lose(self, writer: asyncio.StreamWriter, loses: asyncio.Event) -> None:
        if loses.is_set():
            self.lost += 1
            _reset(writer)

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        seen: Callable[[bytes], object] = lambda _: None,
        before: Callable[[], object] = lambda: None,
    ) -> None:
        with suppress(OSError):
            while piece := await reader.read(_PIECE):
                seen(piece)
                await self._event().wait()
                before()
                writer.write(piece)
                await writer.drain()

    async def _stop(self, server: asyncio.Server) -> None:
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._clients:
            writer.close()
        await asyncio.sleep(0)

    @contextmanager
    def running(self) -> Iterator[TcpProxy]:
        self._thread.start()
        server: asyncio.Server = self._run(self._start())
        try:
            yield self
        finally:
            self._run(self._stop(server))
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_WITHIN_SECONDS)
            self._loop.close()

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_WITHIN_SECONDS)


@contextmanager
def a_proxy(port: int) -> Iterator[TcpProxy]:
    """A proxy before the server on a port of 127.0.0.1."""
    with TcpProxy(port).running() as proxy:
        yield proxy


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()
