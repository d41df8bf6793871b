"""A server whose clock a test moves, and a way to it on which answers are lost."""

from __future__ import annotations

import asyncio
import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import uvicorn

from doorward.audit.model import Action
from doorward.doorward import Doorward
from doorward.ports import Page
from doorward.testing import FakeClock
from doorward.web.asgi import DoorwardApp
from tests.browser.sites import PATIENCE_SECONDS, Front

DROPS_EVERY = 3


class LossyWay:
    """Hands requests on one by one; while it is lossy, every third answer is lost after the server has done its part.

    Args:
        upstream: the server's port on this machine.
    """

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.lossy = False
        self.lost: list[str] = []
        """The paths whose answers were lost."""
        self._passed = DROPS_EVERY - 1
        self._counting = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_LossyHandler, self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def loses(self, path: str) -> bool:
        with self._counting:
            self._passed += self.lossy
            if not self.lossy or self._passed % DROPS_EVERY:
                return False
            self.lost.append(path)
            return True

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(PATIENCE_SECONDS)


class _LossyHandler(BaseHTTPRequestHandler):
    def __init__(self, way: LossyWay, *args: object) -> None:
        self._way = way
        super().__init__(*args)  # type: ignore[arg-type]  # what the server hands over

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        connection = http.client.HTTPConnection("127.0.0.1", self._way.upstream, timeout=PATIENCE_SECONDS)
        connection.request(self.command, self.path, body, dict(self.headers))
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        self.close_connection = True
        if self._way.loses(self.path):
            return
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = do_OPTIONS = _pass  # noqa: N815 -- what the standard library calls

    def log_message(self, *_: object) -> None:
        """Tests say what they need to."""


class Clocked:
    """Doorward in this process, at an origin with TLS.

    Args:
        certificate: for the front.
        options: of the deployment, beside those that make it cheap.
    """

    def __init__(self, certificate: Path, *, host: str = "app.example.test", **options: Any) -> None:
        self.clock = FakeClock(datetime.now(UTC))
        self._front = Front(certificate)
        self._front.start()
        self.origin = f"https://{host}:{self._front.port}"
        cheap = {"issuer": self.origin, "rate_limits": False, "insecure_fast_hashing": True}
        self.auth = Doorward("memory:", secret="a secret " * 5, clock=self.clock, **(cheap | options))  # type: ignore[arg-type]  # as given
        self._loop = asyncio.new_event_loop()
        config = uvicorn.Config(
            DoorwardApp(self.auth), port=0, log_config=None, access_log=False, ws="none", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=[self._server.serve()], daemon=True)
        self._thread.start()
        until = time.monotonic() + PATIENCE_SECONDS
        while not self._server.started:
            assert time.monotonic() < until
            time.sleep(0.01)
        self.way = LossyWay(self._server.servers[0].sockets[0].getsockname()[1])
        self._front.upstream = self.way.port

    def count(self, action: Action) -> int:
        """How often the trail says that something happened."""
        trail = self.auth.trail(Page(limit=200), action=action)
        return len(asyncio.run_coroutine_threadsafe(trail, self._loop).result(PATIENCE_SECONDS))

    def close(self) -> None:
        self._front.stop()
        self.way.close()
        self._server.should_exit = True
        self._thread.join(PATIENCE_SECONDS)
        self._loop.close()


@contextmanager
def a_clocked_site(certificate: Path, **options: Any) -> Iterator[Clocked]:
    clocked = Clocked(certificate, **options)
    try:
        yield clocked
    finally:
        clocked.close()
