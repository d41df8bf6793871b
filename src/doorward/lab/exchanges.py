"""What travelled: a request and its answer, to the byte, with what the server asked its store meanwhile."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from itertools import count
from time import perf_counter_ns

from doorward.lab.deployments import asked
from doorward.options import Strategy
from doorward.web.asgi import App, Message, Receive, Scope, Send

KEPT = 200
LARGEST_TEXT = 16 * 1024

_Headers = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request and its answer.

    Args:
        number: counts up.
        strategy: whose.
        status: of the answer.
        sent: the request as HTTP/1.1 text.
        received: the answer as HTTP/1.1 text.
        sent_bytes: how long the request is.
        received_bytes: how long the answer is.
        credential_bytes: how much of the request is its credential.
        asked: the store's operations, in order.
        microseconds: that the server took.
    """

    number: int
    strategy: Strategy
    status: int
    sent: str
    received: str
    sent_bytes: int
    received_bytes: int
    credential_bytes: int
    asked: tuple[str, ...]
    microseconds: int


class Recorder:
    """Keeps the last exchanges."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._kept: deque[Exchange] = deque(maxlen=KEPT)

    def find(self, number: int) -> Exchange | None:
        return next((each for each in self._kept if each.number == number), None)

    async def record(self, app: App, strategy: Strategy, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer by an application, and keep what travelled.  The answer names its number."""
        number, body, answer, noted = next(self._numbers), bytearray(), bytearray(), list[str]()
        start: Message = {}

        async def hear() -> Message:
            message = await receive()
            body.extend(message.get("body", b""))
            return message

        async def say(message: Message) -> None:
            # Held back until all is known: the page asks for the exchange as soon as it has the answer.
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                answer.extend(message.get("body", b""))

        token = asked.set(noted)
        begun = perf_counter_ns()
        try:
            await app(scope, hear, say)
        finally:
            asked.reset(token)
        microseconds = (perf_counter_ns() - begun) // 1000
        if not start:
            return  # the client has gone
        headers = [(b"x-lab-exchange", str(number).encode()), *start["headers"]]
        sent, received = _request_text(scope, bytes(body)), _answer_text(start, bytes(answer))
        self._kept.append(
            Exchange(
                number=number,
                strategy=strategy,
                status=start["status"],
                sent=sent[:LARGEST_TEXT],
                received=received[:LARGEST_TEXT],
                sent_bytes=len(sent.encode()),
                received_bytes=len(received.encode()),
                credential_bytes=sum(len(value) for name, value in scope["headers"] if name in _CREDENTIALS),
                asked=tuple(noted),
                microseconds=microseconds,
            )
        )
        await send({**start, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(answer)})


_CREDENTIALS = frozenset({b"authorization", b"cookie"})


def _request_text(scope: Scope, body: bytes) -> str:
    query = scope.get("query_string", b"").decode("latin-1")
    target = scope["path"] + (f"?{query}" if query else "")
    return _text(f"{scope['method']} {target} HTTP/1.1", scope["headers"], body)


def _answer_text(start: Message, body: bytes) -> str:
    status = HTTPStatus(start["status"])
    return _text(f"HTTP/1.1 {status.value} {status.phrase}", start["headers"], body)


def _text(first: str, headers: _Headers, body: bytes) -> str:
    lines = [first, *(f"{name.decode('latin-1')}: {value.decode('latin-1')}" for name, value in headers)]
    return "\r\n".join([*lines, "", body.decode(errors="replace")])
