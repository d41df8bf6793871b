"""``rediss://``: whoever answers has to have a certificate that an authority vouches for, with his name in it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from doorward.blocking import run_blocking
from doorward.errors import StoreUnavailable
from doorward.testing.store_suite.case import sign_up, start
from tests.sessions.deployments import sqlite, template
from tests.stores.on_redis import a_store, opened
from tests.valkey import ValkeyServer
from tests.verifier.test_tls import certificate

__all__ = ["certificate", "sqlite", "template"]

pytestmark = pytest.mark.anyio


@pytest.fixture
async def tls_port(valkey: ValkeyServer, certificate: Path) -> AsyncIterator[int]:
    """Where TLS ends before the server, which was built without."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    valkey.emptied()
    relayed = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relayed.append(asyncio.current_task())
        onward, back = await asyncio.open_connection("127.0.0.1", valkey.port)
        with suppress(OSError):
            await asyncio.gather(carry(reader, back), carry(onward, writer))

    async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                target.write(data)
                await target.drain()
        target.close()

    server = await asyncio.start_server(relay, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await asyncio.gather(*(each for each in relayed if each is not None))


async def test_sessions_travel_over_tls(sqlite: str, tls_port: int, certificate: Path) -> None:
    async with opened(sqlite, f"rediss://127.0.0.1:{tls_port}?ca_file={certificate}") as store:
        await sign_up(store)
        session = await start(store)
        assert (await store.session(session.key)).session == session


@pytest.mark.parametrize("blocking", [False, True])
@pytest.mark.parametrize("wrong", ["nobody vouches for it", "another name"])
async def test_whoever_cannot_prove_his_name_is_not_talked_to(
    sqlite: str, tls_port: int, certificate: Path, wrong: str, *, blocking: bool
) -> None:
    address = {
        "nobody vouches for it": f"rediss://127.0.0.1:{tls_port}",
        "another name": f"rediss://localhost:{tls_port}?ca_file={certificate}",
    }[wrong]
    store = a_store(sqlite, address, blocking=blocking)
    with pytest.raises(StoreUnavailable, match=r"(?i)certificate"):
        await (asyncio.to_thread(lambda: run_blocking(store.open())) if blocking else store.open())
