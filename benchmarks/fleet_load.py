"""Requests on time, in a process of their own, for ``benchmarks/fleet.py``: it ends badly once one is refused.

``python -m benchmarks.fleet_load A_SECOND TOKEN PORT ...``
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence

_AT_ONCE = 8
"""Connections to each server."""


async def ask(port: int, token: str, due: asyncio.Queue[None]) -> None:
    """Ask for the current session whenever it is due, over one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = f"GET /v1/sessions/current HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n\r\n"
    while True:
        await due.get()
        writer.write(request.encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        # A server without a core to itself may say so; it may not say anything else.
        if not head.startswith((b"http/1.1 200", b"http/1.1 503")):
            raise SystemExit(head.decode())
        await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))


async def load(a_second: int, token: str, ports: Sequence[int]) -> None:
    """So many a second, at the servers in turns, whether or not the last answer has come."""
    due: list[asyncio.Queue[None]] = [asyncio.Queue() for _ in ports]
    async with asyncio.TaskGroup() as tasks:
        for port, queue in zip(ports, due, strict=True):
            for _ in range(_AT_ONCE):
                tasks.create_task(ask(port, token, queue))
        begun, number = time.monotonic(), 0
        while True:
            due[number % len(due)].put_nowait(None)
            number += 1
            await asyncio.sleep(max(begun + number / a_second - time.monotonic(), 0))


if __name__ == "__main__":
    asyncio.run(load(int(sys.argv[1]), sys.argv[2], [int(port) for port in sys.argv[3:]]))
