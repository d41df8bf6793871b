"""An issuer on loopback: the feed by the real live set and the real wire, and a way to misbehave."""

from __future__ import annotations

import json
import queue
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from doorward.keys.model import SigningKey
from doorward.revocation.model import Kind, LiveSet, Revocation
from doorward.tokens.access import AccessClaims, sign_access_token
from doorward.verifier.keyset import KEY_SET_PATH
from doorward.verifier.transport import INTROSPECTION_PATH
from doorward.wire.feed import (
    AS_OF_HEADER,
    DIGEST_MARGIN,
    DIGEST_PATH,
    NOW_HEADER,
    STREAM_PATH,
    Heartbeat,
    KeysChanged,
    Reading,
    Revoked,
    etag_of,
    write_digests,
    write_event,
    write_instant,
    write_snapshot,
)
from tests.tokens.minting import ES256

CREDENTIAL = "dwv_a_credential"
AUDIENCE = "payments"
LIFETIME = timedelta(seconds=900)

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Issuer

    def do_GET(self) -> None:
        self.server.answer(self)

    do_POST = do_GET  # noqa: N815 -- http.server's name

    def log_message(self, *args: Any) -> None:
        """Tests look at the verifier's log, not at this one."""

    def send(self, status: int, body: bytes = b"", *, media_type: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def begin_stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True


class Issuer(ThreadingHTTPServer):
    """One server with one live set.  Put another answer into ``answers`` to make it misbehave."""

    daemon_threads = True
    request_queue_size = 128
    block_on_close = False

    def __init__(self, *, keys: Sequence[SigningKey] = (ES256,), tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.scheme = "http" if tls is None else "https"
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.keys = list(keys)
        self.live = LiveSet()
        self.active = True
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.answers: dict[str, Answer] = {
            STREAM_PATH: self.stream,
            DIGEST_PATH: self.digest,
            KEY_SET_PATH: self.key_set,
            INTROSPECTION_PATH: self.introspection,
        }
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.happened = threading.Condition()
        self._readers: list[queue.Queue[bytes | None]] = []
        self._number = 0

    @property
    def address(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}"

    # What the issuer does

    def a_token(self, *, key: SigningKey | None = None, **changes: Any) -> str:
        issued_at = int(self.now().timestamp())
        claims: dict[str, Any] = {
            "iss": self.address,
            "sub": "acc_ada",
            "aud": AUDIENCE,
            "exp": issued_at + 900,
            "iat": issued_at,
            "jti": "tok_1",
            "client_id": "first-party",
            "sid": "ses_1",
            "gen": 0,
            "ver": 1,
            "auth_time": issued_at,
            "amr": ("pwd",),
            "roles": ("editor",),
            "scope": "read write",
        }
        return sign_access_token(AccessClaims(**{**claims, **changes}), key or self.keys[0])

    def revoke(self, kind: Kind = Kind.SESSION, name: str = "ses_1", value: int = 1, *, announced: bool = True) -> None:
        entry = Revocation(kind=kind, id=name, value=value, dies_at=self.now() + LIFETIME + timedelta(minutes=2))
        with self.happened:
            self.live.merge([entry])
            self._number += 1
            if announced:
                self._publish(write_event(Revoked(revocations=(entry,)), id=self._id()))

    def announce_keys(self) -> None:
        with self.happened:
            self._publish(write_event(KeysChanged()))

    def cut_streams(self) -> None:
        with self.happened:
            for reader in self._readers:
                reader.put(None)

    def wait_for(self, path: str, times: int = 1, *, within: float = 20) -> None:
        """Wait until a path has been asked for so often."""
        with self.happened:
            assert self.happened.wait_for(lambda: self.count(path) >= times, within), path

    def count(self, path: str) -> int:
        return sum(1 for each, _ in self.requests if each == path)

    # How it answers

    def answer(self, handler: Handler) -> None:
        with self.happened:
            self.requests.append((handler.path, dict(handler.headers.items())))
            self.happened.notify_all()
        try:
            self.answers[handler.path](handler)
        except OSError:
            handler.close_connection = True  # the verifier has gone

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A verifier that hangs up in mid-request is what many of these tests are about."""

    def heartbeat(self) -> Heartbeat:
        now = self.now()
        return Heartbeat(reading=Reading(as_of=now, now=now), digests=self.live.digest(after=now + DIGEST_MARGIN))

    def stream(self, handler: Handler) -> None:
        if handler.headers["Authorization"] != f"Bearer {CREDENTIAL}":
            handler.send(401)
            return
        reader: queue.Queue[bytes | None] = queue.Queue()
        with self.happened:
            self._readers.append(reader)
            frames = list(write_snapshot(self.live, reading=self.heartbeat().reading, id=self._id()))
        handler.begin_stream()
        for frame in frames:
            handler.wfile.write(frame)
        try:
            while (piece := self._next(reader)) is not None:
                handler.wfile.write(piece)
        finally:
            self._readers.remove(reader)

    def _next(self, reader: queue.Queue[bytes | None]) -> bytes | None:
        try:
            return reader.get(timeout=1)
        except queue.Empty:
            with self.happened:
                return write_event(self.heartbeat())

    def digest(self, handler: Handler) -> None:
        with self.happened:
            heartbeat = self.heartbeat()
        etag = etag_of(heartbeat.digests)
        if handler.headers["If-None-Match"] == etag:
            as_of, now = (write_instant(at) for at in (heartbeat.reading.as_of, heartbeat.reading.now))
            handler.send(304, b"", **{AS_OF_HEADER: as_of, NOW_HEADER: now, "ETag": etag})
        else:
            handler.send(200, write_digests(heartbeat), ETag=etag)

    def key_set(self, handler: Handler) -> None:
        jwks = [key.verification_key().public_jwk() for key in self.keys]
        handler.send(200, json.dumps({"keys": jwks}).encode())

    def introspection(self, handler: Handler) -> None:
        form = parse_qs(handler.rfile.read(int(handler.headers["Content-Length"])).decode())
        assert form["token"]
        handler.send(200, json.dumps({"active": self.active}).encode())

    def _publish(self, frame: bytes) -> None:
        for reader in self._readers:
            reader.put(frame)

    def _id(self) -> str:
        return f"feed-{self._number}"


@contextmanager
def an_issuer(**changes: Any) -> Iterator[Issuer]:
    issuer = Issuer(**changes)
    thread = threading.Thread(target=issuer.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield issuer
    finally:
        issuer.cut_streams()
        issuer.shutdown()
        thread.join()
        issuer.server_close()
