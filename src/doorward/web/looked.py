"""Whether an application has looked at who makes a request: then its answer varies by that, and says so.

A shared cache would otherwise give one person's page to the next.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

from doorward.errors import DoorwardError
from doorward.http.vary import merge_vary
from doorward.principal import Principal

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
MoreAnswers = Callable[[Principal | None], Mapping[str, Any]]
"""What else of a scope says who makes the request, as a framework calls it."""

RawHeaders = Sequence[tuple[bytes, bytes]]

KEY = "doorward.looked"


class Looked:
    """Shared by all copies that middleware makes of a scope."""

    __slots__ = ("yes",)

    def __init__(self) -> None:
        self.yes = False


def mark_looked(scope: Scope) -> None:
    """Note that the answer to a request depends on who makes it."""
    looked: Looked | None = scope.get(KEY)
    if looked is None:
        looked = scope[KEY] = Looked()
    looked.yes = True


def is_looked_at(scope: Mapping[str, Any]) -> bool:
    """Whether the answer to a request depends on who makes it."""
    looked: Looked | None = scope.get(KEY)
    return looked is not None and looked.yes


def vary_headers(headers: RawHeaders) -> list[tuple[bytes, bytes]]:
    """The headers of such an answer, with one ``Vary``."""
    present = [value.decode("latin-1") for name, value in headers if name.lower() == b"vary"]
    kept = [header for header in headers if header[0].lower() != b"vary"]
    return [*kept, (b"vary", merge_vary(present).encode("latin-1"))]


def varying(send: Send, looked: Looked) -> Send:
    """``send``, which adds ``Vary`` to an answer where the application has looked before it began."""

    def sending(message: Message) -> Awaitable[None]:
        return send(_varied(message) if looked.yes and message["type"] == _START else message)

    return sending


def varying_late(send: Send, looked: Looked) -> Send:
    """The same for an application that may look while its answer is under way.

    The headers of an answer whose length is not known wait for the first of its body: where there is more to come,
    the answer varies.  An event stream, whose first event may take long, does at once.
    """
    held: Message | None = None

    def sending(message: Message) -> Awaitable[None]:
        nonlocal held
        if held is not None:
            start, held = held, None
            return _both(send, _varied(start) if looked.yes or message.get("more_body") else start, message)
        if message["type"] != _START:
            return send(message)
        named = {name.lower(): value for name, value in message.get("headers", ())}
        if looked.yes or named.get(b"content-type", b"").startswith(b"text/event-stream"):
            return send(_varied(message))
        if b"content-length" in named:
            return send(message)
        held = message
        return _nothing()

    return sending


_START = "http.response.start"


def _varied(start: Message) -> Message:
    return {**start, "headers": vary_headers(list(start.get("headers", ())))}


async def _both(send: Send, start: Message, message: Message) -> None:
    await send(start)
    await send(message)


async def _nothing() -> None:
    """The message is held back."""


class VaryMiddleware:
    """Adds ``Vary`` to what an ASGI application answers after ``mark_looked``.

    Args:
        app: the application.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in {"http", "websocket"}:
            # A WebSocket's too: by this key a route knows that its application has this middleware.
            looked: Looked = scope.setdefault(KEY, Looked())
            send = varying(send, looked)
        await self.app(scope, receive, send)


def answers_of(
    principal: Principal | None, refusal: DoorwardError | None, more: MoreAnswers | None
) -> Mapping[str, Any]:
    """What a scope says of who makes the request, or why nobody does."""
    return {"doorward.principal": principal, "doorward.refusal": refusal, **(more(principal) if more else {})}


class WatchedScope(dict[str, Any]):
    """A scope that knows who makes a request, and notices whether it is asked for that.

    What says who it is comes into the dictionary when somebody asks for it, or copies or goes through the dictionary;
    any other key costs what it costs in a plain one.

    Args:
        scope: as it came.
        answers: the keys that say who makes the request.
    """

    __slots__ = ("_answers", "_looked")

    def __init__(self, scope: Mapping[str, Any], answers: Mapping[str, Any]) -> None:
        super().__init__(scope)
        self._answers: Mapping[str, Any] = {}
        self._looked: Looked = self.setdefault(KEY, Looked())
        for key in answers:
            # Of a middleware further out, whose word this one's replaces.
            super().pop(key, None)
        self._answers = answers

    @property
    def looked(self) -> Looked:
        return self._looked

    def _tell(self) -> None:
        self._looked.yes = True
        answers, self._answers = self._answers, {}
        for key, value in answers.items():
            # What the application has set itself stays.
            self.setdefault(key, value)

    def __missing__(self, key: str) -> Any:
        if key not in self._answers:
            raise KeyError(key)
        self._tell()
        return self[key]

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or key in self._answers

    def get(self, key: str, default: Any = None) -> Any:
        if key in self._answers:
            self._tell()
        return super().get(key, default)

    def setdefault(self, key: str, default: Any = None) -> Any:
        if key in self._answers:
            self._tell()
        return super().setdefault(key, default)

    def pop(self, key: str, *default: Any) -> Any:
        if key in self._answers:
            self._tell()
        return super().pop(key, *default)

    def __iter__(self) -> Iterator[str]:
        self._tell()
        return super().__iter__()

    def keys(self) -> Any:
        self._tell()
        return super().keys()

    def values(self) -> Any:
        self._tell()
        return super().values()

    def items(self) -> Any:
        self._tell()
        return super().items()

    def copy(self) -> dict[str, Any]:
        self._tell()
        return super().copy()
