"""uvicorn's HTTP protocol with the bounds that it leaves open: how long a head is, and how slowly a request comes.

httptools hands over header after header for as long as somebody sends them, and a client that stops in the middle of a
request is waited for without end: a few thousand of those and nobody else is served.
"""

from __future__ import annotations

from asyncio import TimerHandle, Transport
from datetime import timedelta
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LARGEST_HEAD = 64 * 1024
"""Bytes of a request before its body; an access token has 8 KiB at most."""

RECEIVED_WITHIN = timedelta(seconds=30)
"""How long a client may take to send a request, or to begin its first.  Between two, uvicorn's keep-alive counts."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._in_head = True
        self._head = 0
        self._fields = 0
        self._timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self._wait_for_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:
            self._head += len(data)
            if self._head > LARGEST_HEAD and not self.transport.is_closing():
                self.send_400_response("The head of the request is longer than 64 KiB.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._fields = 0
        self._wait_for_request()

    def on_header(self, name: bytes, value: bytes) -> None:
        # Counted here too, since trailers come after the head; what is raised is answered with 400.
        self._fields += len(name) + len(value)
        if self._fields > LARGEST_HEAD:
            raise ValueError("more header fields than 64 KiB")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head, self._head = True, 0
        self._stop_waiting()
        super().on_message_complete()

    def shutdown(self) -> None:
        if self._timer is not None:
            # Of a request that has not wholly come nothing has been done: it is not waited for when the server ends.
            self.transport.abort()
        else:
            super().shutdown()

    def _wait_for_request(self) -> None:
        self._stop_waiting()
        self._timer = self.loop.call_later(RECEIVED_WITHIN.total_seconds(), self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
