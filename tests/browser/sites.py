"""Servers that a browser can reach by names, over TLS as in production."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

COMMAND = (sys.executable, "-c", "from doorward.cli import main; main()", "serve", "--port", "0")
PATIENCE_SECONDS = 60
_PIECE = 64 * 1024


class Front:
    """Takes TLS off connections and hands them on, as the proxy does behind which Doorward stands.

    Args:
        certificate: a file with a key and its certificate.
    """

    def __init__(self, certificate: Path) -> None:
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(certificate)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = 0
        self.upstream = 0
        """The port on this machine that connections are handed on to; may change while it runs."""

    def start(self) -> None:
        self._thread.start()
        self._run(self._listen())

    def stop(self) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_SECONDS)
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_SECONDS)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.CancelledError):
            try:
                upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
                await asyncio.gather(_pump(reader, upstream_writer), _pump(upstream_reader, writer))
            finally:
                writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(_PIECE):
            writer.write(piece)
            await writer.drain()
    finally:
        writer.close()


class Site:
    """``doorward serve`` over a SQLite file in a folder of its own, with TLS before it.

    Args:
        folder: where the database is and what the server prints.
        certificate: for the front.
        host: the name that browsers know it by.
        settings: by their names without ``DOORWARD_``.
    """

    def __init__(self, folder: Path, certificate: Path, *, host: str, settings: Mapping[str, str]) -> None:
        self.folder = folder
        self._front = Front(certificate)
        self._host = host
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self.address = ""
        """Where the server is reached without the front."""

    @property
    def origin(self) -> str:
        return f"https://{self._host}:{self._front.port}"

    @property
    def log(self) -> str:
        return (self.folder / "err").read_text()

    def start(self) -> None:
        """Start, or start again, and come back once it answers."""
        if not self._front.port:
            self._front.start()
        with (self.folder / "out").open("wb") as out, (self.folder / "err").open("ab") as err:
            self._process = subprocess.Popen(
                COMMAND,
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
        self.address = self._wait(self._process)
        self._front.upstream = int(self.address.rpartition(":")[2])

    def kill(self) -> None:
        """``kill -9``; the front stays, so that it can be started again at its origin."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE_SECONDS)
        self._front.stop()

    def _environment(self) -> dict[str, str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("DOORWARD_")}
        given = {"RATE_LIMITS": "off", "INSECURE_FAST_HASHING": "on", "ISSUER": self.origin} | dict(self._settings)
        return plain | {f"DOORWARD_{name}": value for name, value in given.items()}

    def _wait(self, process: subprocess.Popen[bytes]) -> str:
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until and process.poll() is None:
            found = re.search(r"serves on (http://\S+)", (self.folder / "out").read_text())
            with suppress(URLError, ConnectionError):
                if found is not None and urlopen(f"{found[1]}/healthz", timeout=PATIENCE_SECONDS).status == 200:
                    return found[1]
            time.sleep(0.02)
        raise AssertionError(f"the server did not start:\n{self.log[-4000:]}")


@contextmanager
def a_site(
    folder: Path, certificate: Path, *, host: str = "auth.example.test", settings: Mapping[str, str] | None = None
) -> Iterator[Site]:
    site = Site(folder, certificate, host=host, settings=settings or {})
    site.start()
    try:
        yield site
    finally:
        site.stop()


@dataclass
class Elsewhere:
    """Pages of another origin, over TLS too: a page over plain HTTP is refused more than an attacker's would be.

    Args:
        origin: as browsers write it.
        pages: HTML by path; a test puts its own there.
        asked: what was asked for, in order.
    """

    origin: str = ""
    pages: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@contextmanager
def an_elsewhere(certificate: Path, *, host: str) -> Iterator[Elsewhere]:
    elsewhere, front = Elsewhere(), Front(certificate)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, elsewhere))
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    front.start()
    front.upstream = server.server_address[1]
    elsewhere.origin = f"https://{host}:{front.port}"
    try:
        yield elsewhere
    finally:
        front.stop()
        server.shutdown()
        server.server_close()
        serving.join(PATIENCE_SECONDS)


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, elsewhere: Elsewhere, *args: object) -> None:
        self._elsewhere = elsewhere
        super().__init__(*args)  # type: ignore[arg-type]  # what the server hands over

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self._elsewhere.asked.append(self.path)
        page = self._elsewhere.pages.get(path)
        body = (page or "").encode()
        self.send_response(404 if page is None else 200)
        self.send_header("Content-Type", "text/javascript" if path.endswith(".js") else "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Tests say what they need to."""


def write_certificate(file: Path) -> None:
    """A key and a certificate of its own, for names under example.test; browsers in tests are told to take it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a site of tests")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("*.example.test")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
