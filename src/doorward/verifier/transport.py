"""HTTP to the issuer, by the standard library: every wait and every size bounded, no redirect followed.

Proxies that the environment names are not used: where the keys come from is not the environment's choice.
"""

from __future__ import annotations

import io
import json
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import timedelta
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

from doorward.secret import Secret
from doorward.verifier.keyset import KEY_SET_PATH, LARGEST_KEY_SET
from doorward.verifier.replica import Unchanged
from doorward.wire.feed import (
    AS_OF_HEADER,
    DIGEST_PATH,
    LONGEST_LINE,
    NOW_HEADER,
    STREAM_PATH,
    STREAM_TYPE,
    Heartbeat,
    Reading,
    parse_digests,
    parse_instant,
)

INTROSPECTION_PATH = "/v1/introspect"

CONNECT_WITHIN = timedelta(seconds=5)
ANSWER_WITHIN = timedelta(seconds=10)
SILENCE = timedelta(seconds=10)
"""A stream that says nothing for so long is dead: there is a heartbeat each second."""

_PIECE = 64 * 1024
_LARGEST_INTROSPECTION = 64 * 1024


class NoAnswer(Exception):
    """The issuer gave no answer that can be used.  The text is for the log and quotes nothing of it.

    Args:
        retry_after: how long it asks us to wait.
    """

    def __init__(self, why: str, *, retry_after: timedelta = timedelta()) -> None:
        super().__init__(why)
        self.retry_after = retry_after


class _Deadline:
    """When to give up.  With ``silence`` it moves on with every byte."""

    def __init__(self, within: timedelta) -> None:
        self._until = time.monotonic() + within.total_seconds()
        self._silence: timedelta | None = None

    def left(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def allow_until_silence(self, silence: timedelta) -> None:
        self._silence = silence
        self.heard()

    def heard(self) -> None:
        if self._silence is not None:
            self._until = time.monotonic() + self._silence.total_seconds()


class _Pieces(io.RawIOBase):
    """What arrives on a socket.  A socket's own time-out is for each piece: a byte at a time would never end."""

    def __init__(self, sock: socket.socket, deadline: _Deadline) -> None:
        self._socket = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._socket.settimeout(self._deadline.left())
        count = self._socket.recv_into(buffer)
        self._deadline.heard()
        return count


class _Line:
    """A connection's socket in the place where http.client keeps it."""

    def __init__(self, sock: socket.socket, deadline: _Deadline) -> None:
        self._socket = sock
        self._deadline = deadline

    def sendall(self, data: bytes) -> None:
        self._socket.settimeout(self._deadline.left())
        self._socket.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Pieces(self._socket, self._deadline), _PIECE)

    def close(self) -> None:
        """Whoever opened the socket closes it."""


class Stream:
    """The open stream."""

    def __init__(self, response: HTTPResponse, sock: socket.socket) -> None:
        self._response = response
        self._socket = sock

    def read(self) -> bytes:
        """What has arrived; nothing at the end.

        Raises:
            NoAnswer: the connection broke, or was silent for too long.
        """
        with _problems():
            return self._response.read1(_PIECE)

    def abandon(self) -> None:
        """End it from another thread: a ``read`` that waits comes back."""
        try:
            # The plain socket's: under TLS the wrapper would be taken apart while the other thread reads from it.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        except OSError:
            return  # it has ended by itself


class IssuerClient:
    """Asks the issuer.  It keeps no connection, so it may be used from any thread.

    Args:
        issuer: its address, with a path where it is mounted below one.
        credential: what it knows this verifier by.
        tls: how its certificate is checked; by default as the system does.
    """

    def __init__(self, issuer: str, *, credential: Secret | None, tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(issuer)
        self._host, self._port = parts.hostname or "", parts.port
        self._prefix = parts.path.rstrip("/")
        self._tls = (tls or ssl.create_default_context()) if parts.scheme == "https" else None
        self._credential = credential

    @contextmanager
    def stream(self, last_id: str | None) -> Iterator[Stream]:
        """Open the feed.

        Raises:
            NoAnswer: it could not be had.
        """
        headers = {"Accept": STREAM_TYPE, **({} if last_id is None else {"Last-Event-ID": last_id})}
        deadline = _Deadline(ANSWER_WITHIN)
        with self._ask("GET", STREAM_PATH, headers, deadline) as (response, sock):
            _expect(response, 200, STREAM_TYPE)
            deadline.allow_until_silence(SILENCE)
            yield Stream(response, sock)

    def digests(self, etag: str | None, *, within: timedelta) -> Heartbeat | Unchanged:
        """Ask what the server holds.

        Raises:
            NoAnswer: there was no answer in time.
            MalformedFeed: it cannot be read.
        """
        headers = {} if etag is None else {"If-None-Match": etag}
        with self._ask("GET", DIGEST_PATH, headers, _Deadline(within)) as (response, _):
            if response.status == 304 and etag is not None:
                said = (parse_instant(response.getheader(name)) for name in (AS_OF_HEADER, NOW_HEADER))
                as_of, now = said
                return Unchanged(reading=Reading(as_of=as_of, now=now))
            _expect(response, 200, "application/json")
            return parse_digests(_body(response, LONGEST_LINE))

    def key_set(self) -> bytes:
        """Fetch the key set.

        Raises:
            NoAnswer: it could not be had.
        """
        with self._ask("GET", KEY_SET_PATH, {}, _Deadline(ANSWER_WITHIN), authenticated=False) as (response, _):
            # Issuers serve it as application/json and as application/jwk-set+json (RFC 7517 section 8.5).
            _expect(response, 200)
            return _body(response, LARGEST_KEY_SET)

    def is_active(self, token: str, *, within: timedelta) -> bool:
        """Ask whether a token is still good (RFC 7662).

        Raises:
            NoAnswer: that is not known.
        """
        form = urlencode({"token": token, "token_type_hint": "access_token"}).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        with self._ask("POST", INTROSPECTION_PATH, headers, _Deadline(within), body=form) as (response, _):
            _expect(response, 200, "application/json")
            body = _body(response, _LARGEST_INTROSPECTION)
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            raise NoAnswer("the answer is not JSON") from None
        if not isinstance(answer, dict) or not isinstance(answer.get("active"), bool):
            raise NoAnswer("the answer does not say whether the token is active")
        return cast("bool", answer["active"])

    @contextmanager
    def _ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        deadline: _Deadline,
        *,
        body: bytes | None = None,
        authenticated: bool = True,
    ) -> Iterator[tuple[HTTPResponse, socket.socket]]:
        sent = {"User-Agent": "doorward-verifier", "Connection": "close", **headers}
        if authenticated and self._credential is not None:
            sent["Authorization"] = f"Bearer {self._credential.reveal()}"
        with _problems():
            connection = self._connection(min(CONNECT_WITHIN.total_seconds(), deadline.left()))
            connection.connect()
            sock = connection.sock
        with closing(sock):
            with _problems():
                connection.sock = cast("socket.socket", _Line(sock, deadline))
                connection.request(method, self._prefix + path, body=body, headers=sent)
                response = connection.getresponse()
            with closing(response):
                yield response, sock

    def _connection(self, timeout: float) -> HTTPConnection:
        if self._tls is None:
            return HTTPConnection(self._host, self._port, timeout=timeout)
        return HTTPSConnection(self._host, self._port, timeout=timeout, context=self._tls)


def _expect(response: HTTPResponse, status: int, media_type: str | None = None) -> None:
    if response.status == 401:
        raise NoAnswer("the issuer refuses the credential (401): was it revoked?")
    if response.status != status:
        # A redirect too: whoever could redirect us would choose our keys.
        raise NoAnswer(f"the issuer answers {response.status}", retry_after=_plea(response))
    if media_type is not None and response.headers.get_content_type() != media_type:
        raise NoAnswer(f"the issuer's answer is not {media_type}")


def _plea(response: HTTPResponse) -> timedelta:
    text = response.getheader("Retry-After", "")
    return timedelta(seconds=int(text)) if text.isascii() and text.isdigit() and len(text) <= 6 else timedelta()


def _body(response: HTTPResponse, limit: int) -> bytes:
    with _problems():
        body = response.read(limit + 1)
    if len(body) > limit:
        raise NoAnswer("the issuer's answer is too large")
    return body


@contextmanager
def _problems() -> Iterator[None]:
    """Everything that can go wrong on the way, as one error."""
    try:
        yield
    except TimeoutError:
        raise NoAnswer("the issuer takes too long to answer") from None
    except ssl.SSLError as error:
        raise NoAnswer(f"TLS with the issuer fails: {error.reason}") from None
    except OSError as error:
        raise NoAnswer(f"the issuer cannot be reached: {type(error).__name__}") from None
    except (HTTPException, ValueError):
        # http.client raises ValueError for a chunk whose size is no number.
        raise NoAnswer("the issuer's answer is not HTTP") from None
