"""The server around the contract: housekeeping in bounded rounds, and connections that do not wait for ever."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import socket
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from doorward.audit.model import Actor, Origin
from doorward.ports import Removed
from doorward.secret import Secret
from doorward.server import protocol
from doorward.server.app import MOST_BATCHES, ServerApp, create_app
from doorward.server.logs import set_up_logs
from doorward.server.protocol import BoundedProtocol
from doorward.server.settings import load_settings

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("logging_put_back")]


def an_app(monkeypatch: pytest.MonkeyPatch, folder: Path, **flags: Any) -> ServerApp:
    monkeypatch.setenv("DOORWARD_INSECURE_FAST_HASHING", "on")
    monkeypatch.chdir(folder)
    settings = load_settings({"database": "memory:", **flags}).settings
    return ServerApp(settings.doorward(), settings)


async def test_what_a_worker_begins_with_is_no_work_for_the_collector(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOORWARD_DATABASE", "memory:")
    monkeypatch.chdir(tmp_path)
    try:
        create_app()
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


@pytest.mark.parametrize(("level", "written"), [("info", ["sign_in"]), ("warning", [])])
async def test_a_request_is_logged_unless_nobody_reads_such_lines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, level: str, written: list[str]
) -> None:
    app, stream = an_app(monkeypatch, tmp_path), io.StringIO()
    set_up_logs("json", level=level, stream=stream)
    app._observe("sign_in", 201, 0.001)
    app._observe("read_health", 200, 0.001)
    # A verifier asks for them every second or two.
    app._observe("read_revocation_digests", 304, 0.001)
    assert [json.loads(line)["operation"] for line in stream.getvalue().splitlines()] == written


async def test_a_round_of_housekeeping_is_bounded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    app = an_app(monkeypatch, tmp_path)
    batches = 0

    async def remove_expired() -> Removed:
        nonlocal batches
        batches += 1
        return Removed(sessions=500, more=True)

    monkeypatch.setattr(app.auth, "remove_expired", remove_expired)
    await app.keep_house()
    assert batches == MOST_BATCHES


async def test_a_round_is_left_to_the_server_that_is_at_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    app = an_app(monkeypatch, tmp_path)
    batches = iter([Removed(sessions=500, more=True), Removed(elsewhere=True)])

    async def remove_expired() -> Removed:
        return next(batches)

    monkeypatch.setattr(app.auth, "remove_expired", remove_expired)
    await app.keep_house()
    assert next(batches, None) is None


async def test_a_round_ends_where_nothing_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    app = an_app(monkeypatch, tmp_path)
    async with app.life():
        await app.keep_house()


async def test_the_lifespan_opens_and_closes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    app = an_app(monkeypatch, tmp_path)
    assert await lifespan(app) == [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}]
    assert not app.auth.is_open


async def test_what_the_feed_does_is_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    app = an_app(monkeypatch, tmp_path, strategy="session")
    async with app.life():
        password = Secret("a walrus in seven teapots")
        await app.auth.sign_up(email="ada@example.com", password=password, actor=Actor())
        signed_in = await app.auth.sign_in(email="ada@example.com", password=password, origin=Origin())
        for _ in range(3):
            await app.auth.authenticate(handle=signed_in.credentials.handle)
        reader = app.auth.deployment.hub.admit(None)
        await app.auth.end_session(signed_in.session.id, account_id=None, actor=Actor())
        text = app._metrics.text().decode()
        await reader.aclose()
    for line in (
        "doorward_live_revocations 1.0", "doorward_feed_readers 1.0", "doorward_revocation_told_seconds_count 1.0",
        'doorward_revocation_told_seconds_bucket{le="5.0"} 1.0',
        'doorward_cache_lookups_total{cache="sessions",outcome="hit"} 2.0',
        'doorward_cache_lookups_total{cache="sessions",outcome="miss"} 1.0',
    ):  # fmt: skip
        assert line in text, line
    assert "doorward_live_revocations 1.0" in app._metrics.text().decode()


async def test_a_database_that_cannot_be_used_fails_the_start_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "doorward.db").write_bytes(b"this is no database" * 300)
    (answer,) = await lifespan(an_app(monkeypatch, tmp_path, database="sqlite:///doorward.db"))
    assert answer["type"] == "lifespan.startup.failed"
    assert "not a SQLite database" in answer["message"]


async def lifespan(app: ServerApp) -> list[Any]:
    asked = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    answered: list[Any] = []

    async def receive() -> Any:
        return next(asked)

    async def send(message: Any) -> None:
        answered.append(message)

    await app({"type": "lifespan"}, receive, send)
    return answered


@pytest.mark.parametrize("sent", [b"", b"GET /", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"])
async def test_who_stops_in_the_middle_of_a_request_is_cut_off(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(protocol, "RECEIVED_WITHIN", timedelta(milliseconds=50))
    async with asyncio.timeout(20):
        assert await answer_to(sent) == b""


async def test_who_sends_a_whole_request_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "RECEIVED_WITHIN", timedelta(seconds=20))
    async with asyncio.timeout(20):
        assert (await answer_to(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).startswith(b"HTTP/1.1 204")


async def answer_to(sent: bytes) -> bytes:
    """What a server with our protocol answers until it closes the connection."""

    async def application(_scope: Any, receive: Any, send: Any) -> None:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            more = message.get("more_body", False)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    config = uvicorn.Config(application, log_config=None, http=BoundedProtocol, ws="none", lifespan="off")
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        server = await loop.create_server(
            lambda: BoundedProtocol(config=config, server_state=state, app_state={}, _loop=loop), sock=sock
        )
        async with server:
            reader, writer = await asyncio.open_connection(*sock.getsockname())
            writer.write(sent)
            try:
                return await reader.read()
            except ConnectionResetError:
                return b""
            finally:
                writer.close()
