"""What of a request is bounded, wherever its packets end: its head and its trailers, and never its body."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from doorward.http.message import LARGEST_BODY
from doorward.server.protocol import LARGEST_HEAD, BoundedProtocol
from doorward.web.asgi import read_body

pytestmark = pytest.mark.anyio

PACKET = 4096


class Wire(asyncio.Transport):
    """What the server has answered, and whether it has hung up."""

    def __init__(self) -> None:
        super().__init__()
        self.answered = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.answered += bytes(data)

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        """There is nothing to pause."""

    def resume_reading(self) -> None:
        """There is nothing to resume."""

    @property
    def statuses(self) -> list[int]:
        return [int(part[:3]) for part in self.answered.split(b"HTTP/1.1 ")[1:]]


async def measure(scope: Any, receive: Any, send: Any) -> None:
    """An app that answers 200 where it was given all of a body that may be so large, and 413 to a larger one."""
    body = await read_body(scope, receive)
    too_large = body is None or len(body) > LARGEST_BODY or (body == b"" and scope["method"] == "POST")
    status = 413 if too_large else 200
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


async def answers_to(*packets: bytes) -> Wire:
    wire = Wire()
    config = uvicorn.Config(measure, interface="asgi3", lifespan="off", log_config=None, access_log=False, ws="none")
    protocol = BoundedProtocol(config, ServerState(), {})
    protocol.connection_made(wire)
    for packet in packets:
        if not wire.closed:
            protocol.data_received(packet)
        for _ in range(10):
            await asyncio.sleep(0)  # so that the app has its turn
    protocol.connection_lost(None)
    return wire


def a_head(size: int = 0, *, method: str = "GET", **fields: str) -> bytes:
    """A request's head, filled up to a size in bytes."""
    lines = [f"{method} / HTTP/1.1", "Host: x", *(f"{name.replace('_', '-')}: {each}" for name, each in fields.items())]
    head = "\r\n".join([*lines, "X-Fill: \r\n\r\n"])
    return head.replace("X-Fill: ", "X-Fill: " + "f" * (size - len(head))).encode()


def with_length(body: bytes) -> bytes:
    return a_head(method="POST", content_length=str(len(body))) + body


def in_chunks(body: bytes, size: int = 10_000) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    framed = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return a_head(method="POST", transfer_encoding="chunked") + framed + b"0\r\n\r\n"


def packets_of(request: bytes, size: int) -> Iterable[bytes]:
    return (request[at : at + size] for at in range(0, len(request), size))


each_framing = pytest.mark.parametrize("framed", [with_length, in_chunks])


@each_framing
@pytest.mark.parametrize("packet", [1000, 65_536, 262_144])
@pytest.mark.parametrize(
    ("size", "status"),
    [(65_400, 200), (65_500, 200), (LARGEST_BODY, 200), (LARGEST_BODY + 1, 413), (66_000, 413), (70_000, 413)],
)
async def test_a_body_is_judged_by_its_own_size(framed: Any, packet: int, size: int, status: int) -> None:
    wire = await answers_to(*packets_of(framed(b"b" * size), packet))
    assert wire.statuses == [status]


@each_framing
async def test_a_head_in_two_packets_after_a_large_body_is_taken(framed: Any) -> None:
    first, second = framed(b"b" * 64_000), a_head(6000)
    wire = await answers_to(first, second[:4000], second[4000:])
    assert wire.statuses == [200, 200]


@each_framing
async def test_a_head_that_comes_in_one_packet_with_the_body_before_it_is_taken(framed: Any) -> None:
    second = a_head(6000)
    wire = await answers_to(framed(b"b" * 64_000) + second[:3000], second[3000:4000], second[4000:])
    assert wire.statuses == [200, 200]


async def test_heads_of_many_requests_are_counted_one_by_one() -> None:
    head = a_head(20_000)
    assert (await answers_to(*[head] * 10)).statuses == [200] * 10
    assert (await answers_to(*packets_of(head * 10, PACKET))).statuses == [200] * 10


async def test_a_head_behind_a_body_in_one_packet_is_bounded_by_the_next() -> None:
    first = with_length(b"b" * 100) + b"GET / HTTP/1.1\r\nX-Long: " + b"a" * 10_000
    assert (await answers_to(first, b"a" * LARGEST_HEAD)).statuses == [200]
    assert (await answers_to(first, b"a" * LARGEST_HEAD, b"a")).statuses == [200, 400]


@pytest.mark.parametrize("packet", [1, PACKET, 262_144])
async def test_a_head_of_60_kib_is_taken(packet: int) -> None:
    assert (await answers_to(*packets_of(a_head(60 * 1024), packet))).statuses == [200]


FIELDS = b"X-Many: 1\r\n"


@pytest.mark.parametrize("packet", [100, PACKET, 262_144])
@pytest.mark.parametrize(
    ("begun", "goes_on"),
    [
        (b"", b"\r\n"),
        (b"GET /", b"a"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: ", b"a"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"a"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", FIELDS),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"a:\r\n"),
        (in_chunks(b"{")[:-2], FIELDS),
        (in_chunks(b"{")[:-2] + b"X-Long: ", b"a"),
        (in_chunks(b"")[:-5] + b"1;", b"a"),
    ],
)
async def test_what_never_ends_is_refused_after_64_kib_and_a_packet(packet: int, begun: bytes, goes_on: bytes) -> None:
    first, *endless = packets_of(begun + goes_on * (4 * LARGEST_HEAD // len(goes_on)), packet)
    sent = [first, *endless[: 1 + (LARGEST_HEAD + packet) // packet], goes_on * LARGEST_HEAD]
    wire = await answers_to(*sent)
    assert wire.closed
    assert wire.statuses[-1:] == [400]


@pytest.mark.parametrize("packet", [1000, 262_144])
async def test_a_request_beside_its_body_has_64_kib_and_its_trailers_count(packet: int) -> None:
    request = in_chunks(b"{}")[:-2] + FIELDS * (LARGEST_HEAD // len(FIELDS)) + b"\r\n"
    assert (await answers_to(*packets_of(request, packet))).statuses[-1:] == [400]


async def test_the_whole_of_a_body_of_64_kib_reaches_the_operation() -> None:
    seen: list[bytes] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(await read_body(scope, receive) or b"")
        await measure(scope, receive, send)

    body = json.dumps({"email": "ada@example.com"}).encode()
    body += b" " * (LARGEST_BODY - len(body))
    config = uvicorn.Config(app, interface="asgi3", lifespan="off", log_config=None, access_log=False, ws="none")
    protocol = BoundedProtocol(config, ServerState(), {})
    protocol.connection_made(Wire())
    protocol.data_received(with_length(body))
    for _ in range(10):
        await asyncio.sleep(0)
    protocol.connection_lost(None)
    assert seen == [body]
