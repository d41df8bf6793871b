"""Server-sent events: one, and then none for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator


async def the_events() -> AsyncIterator[bytes]:
    yield b"data: hello\n\n"
    await asyncio.Event().wait()
