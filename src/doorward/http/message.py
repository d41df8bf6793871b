"""What comes in and what goes out, whatever the framework."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import msgspec

from doorward.audit.model import Origin

LARGEST_BODY = 64 * 1024
"""Bytes of a request's body.  An adapter reads at most one more, and none where Content-Length says that it is more."""

_LONGEST_USER_AGENT = 400

Header = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request, as an adapter hands it over.

    Args:
        method: in capitals.
        path: decoded, below the place where Doorward is mounted, beginning with a slash.
        query: the query string as it was sent.
        headers: by their names in small letters; several of one name joined (RFC 9110 section 5.3), so that what must
            be there once and is there twice looks like nothing we know.
        body: at most ``LARGEST_BODY`` + 1 bytes.
        client: the client's address as the server gives it, or None where unknown.
        scheme: ``http`` or ``https``.
        has_left: asks whether the client has closed its connection; None where the server does not say (WSGI).
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    client: str | None = None
    scheme: str = "http"
    has_left: Callable[[], Awaitable[bool]] | None = field(default=None, repr=False, compare=False)

    @property
    def host(self) -> str:
        """The host and port that the client asked for."""
        return self.headers.get("host", "")

    @property
    def https(self) -> bool:
        """Whether this hop is encrypted; see ``caller.is_https`` for whether the client's is."""
        return self.scheme == "https"

    @property
    def origin(self) -> Origin:
        """Where it comes from, for the audit trail and the session's listing."""
        agent = self.headers.get("user-agent")
        # Not None: a request without an address is counted with all others of its kind.
        return Origin(ip=self.client or "", user_agent=agent[:_LONGEST_USER_AGENT] if agent else None)

    @property
    def too_large(self) -> bool:
        """Whether the body is larger than is taken, by what it says or by what arrived."""
        if len(self.body) > LARGEST_BODY:
            return True
        said = self.headers.get("content-length")
        return said is not None and said.isdecimal() and (len(said) > 9 or int(said) > LARGEST_BODY)


class ByteStream(Protocol):
    """A body that comes bit by bit, and has no end of its own.  Whoever sends it closes it, whatever happens."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def __anext__(self) -> bytes: ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An answer.

    Args:
        status: the HTTP status.
        headers: names in small letters; of ``set-cookie`` there may be several.
        body: empty where there is none.
        stream: instead of the body.
    """

    status: int
    headers: tuple[Header, ...] = ()
    body: bytes = field(default=b"", repr=False)
    stream: ByteStream | None = field(default=None, repr=False)

    def with_headers(self, headers: Iterable[Header]) -> Response:
        """The same answer with more headers."""
        # Each answer comes by here, and by replace it would take three times as long.
        return Response(status=self.status, headers=(*self.headers, *headers), body=self.body, stream=self.stream)

    def values(self, name: str) -> list[str]:
        """All values of a header."""
        return [value for key, value in self.headers if key == name]


JSON_TYPE: Header = ("content-type", "application/json")
NO_CONTENT = Response(status=204)

_encoder = msgspec.json.Encoder(order="deterministic")


def json_body(value: Any) -> bytes:
    return _encoder.encode(value)


def json_answer(value: Any, *, status: int = 200, headers: Iterable[Header] = ()) -> Response:
    """An answer in JSON."""
    return Response(status=status, headers=(JSON_TYPE, *headers), body=json_body(value))


def join_headers(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers as a server hands them over (names in small letters), joined by name."""
    joined: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if name in joined:
            # HTTP/2 may bring the Cookie header in pieces (RFC 9113 section 8.2.3).
            value = joined[name] + ("; " if name == "cookie" else ", ") + value
        joined[name] = value
    return joined


def write_time(instant: datetime) -> str:
    """RFC 3339 in UTC, always with milliseconds."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def whole_seconds(duration: timedelta) -> int:
    """Rounded down: nobody is told that something lives longer than it does."""
    return int(duration.total_seconds())


def seconds_to_wait(duration: timedelta) -> int:
    """Rounded up, at least 1: whoever waits so long has waited long enough."""
    return max(math.ceil(duration.total_seconds()), 1)
