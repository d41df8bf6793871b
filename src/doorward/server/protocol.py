"""uvicorn's HTTP protocol with the bounds that it leaves open: how long a head is, and how slowly a request comes.

httptools hands over header after header for as long as somebody sends them, and a client that stops in the middle of a
request is waited for without end: a few thousand of those and nobody else is served.
"""

from __future__ import annotations

from asyncio import TimerHandle, Transport
from datetime import timedelta
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

LARGEST_HEAD = 64 * 1024
"""Bytes of a request beside its body; an access token has 8 KiB at most."""

RECEIVED_WITHIN = timedelta(seconds=30)
"""How long a client may take to send a request, or to begin its first.  Between two, uvicorn's keep-alive counts."""

TAKEN_WITHIN = timedelta(seconds=10)
"""How long a client may leave an answer lie that fills the buffers, before the connection is dropped."""

_FIELD_FRAME = len(": \r\n")


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head = 0
        self._undelivered = 0
        self._progressed = False
        self._timer: TimerHandle | None = None
        self._stalled: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self._wait_for_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._stop_stalling()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stop_stalling()
        self._stalled = self.loop.call_later(TAKEN_WITHIN.total_seconds(), self.transport.abort)

    def resume_writing(self) -> None:
        self._stop_stalling()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        self._progressed = False
        super().data_received(data)
        if self._progressed:
            # Where in it a body ended and a head began is not known: none of it is taken for head.
            return
        # All of it is in the midst of a head, a trailer or a chunk's size: the parser keeps a field until it ends.
        self._undelivered += len(data)
        if self._undelivered > LARGEST_HEAD and not self.transport.is_closing():
            self.send_400_response("The head of the request is longer than 64 KiB.")

    def on_message_begin(self) -> None:
        # No progress: where nothing ended in this packet before, all of it is head.
        super().on_message_begin()
        self._head = 0
        self._wait_for_request()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers too, which come after the head.
        self._count(len(name) + len(value) + _FIELD_FRAME)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._progress()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._progress()
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._progress()
        self._stop_waiting()
        super().on_message_complete()

    def shutdown(self) -> None:
        if self._timer is not None:
            # Of a request that has not wholly come nothing has been done: it is not waited for when the server ends.
            self.transport.abort()
        elif self._is_streaming:
            # It has no end of its own; who reads it comes back elsewhere.
            self.transport.close()
        else:
            super().shutdown()

    @property
    def _is_streaming(self) -> bool:
        """Whether an answer is under way of which nobody has said how long it is."""
        # uvicorn types it as if there were one from the beginning.
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is not None and not cycle.response_complete and cycle.chunked_encoding is True

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > LARGEST_HEAD:
            # What is raised in the parser's callbacks is answered with 400.
            raise ValueError("a head longer than 64 KiB")

    def _progress(self) -> None:
        self._progressed, self._undelivered = True, 0

    def _wait_for_request(self) -> None:
        self._stop_waiting()
        self._timer = self.loop.call_later(RECEIVED_WITHIN.total_seconds(), self.transport.abort)

    def _stop_stalling(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
