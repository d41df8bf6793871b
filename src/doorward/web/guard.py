"""Guards for connections that stay open, for any ASGI framework: WebSockets, server-sent events.

A connection lives longer than the request that opened it.  A guard closes it when its session ends or expires, or when
its account loses what was demanded; a token that is renewed meanwhile closes nothing: what is followed is the session.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from doorward import doorward
from doorward.assurance import Demand, Demands
from doorward.errors import DoorwardError
from doorward.http.problems import close_code_of
from doorward.principal import Principal
from doorward.secret import Secret
from doorward.sessions.guards import Guard, Guards
from doorward.web.asgi import Receive, Scope, Send, authenticate_scope, refuse_blocking

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Connection(Protocol):
    """What Starlette and Litestar call a connection; more of it is not used."""

    @property
    def scope(self) -> Any: ...


class WebSocket(Connection, Protocol):
    """What they call a WebSocket."""

    async def close(self, code: int = ..., reason: str | None = ...) -> None: ...


class BareWebSocket:
    """A WebSocket of an application that has no framework, for ``Doorward.guard``."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        """Close it; before it is accepted, that refuses it."""
        await self.send({"type": "websocket.close", "code": code, "reason": reason or ""})


class Doorward(doorward.Doorward):
    """``doorward.Doorward`` with guards for connections that stay open; what asynchronous frameworks have begins here.

    Raises:
        ConfigurationError: as ``doorward.Doorward``, and where it would hold up the event loop.
    """

    _guards: Guards | None = None

    if not TYPE_CHECKING:  # for whom the parameters stay as they are

        @functools.wraps(doorward.Doorward.__init__)
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            refuse_blocking(self)

    @property
    def guards(self) -> Guards:
        """All connections that are under guard."""
        if self._guards is None:
            self._guards = Guards(self.deployment)
        return self._guards

    async def close(self) -> None:
        """Close what was opened, and the connections under guard.  It can be opened again."""
        if self._guards is not None:
            self._guards.close()
            self._guards = None
        await super().close()

    def guard(
        self,
        websocket: WebSocket,
        *,
        roles: Collection[str] = (),
        scopes: Collection[str] = (),
        fresh: timedelta | None = None,
        revocation: Demand = "policy",
        bearer: Secret | str | None = None,
    ) -> Guarded:
        """Keep a WebSocket open for as long as its session stands: ``async with auth.guard(websocket) as principal:``.

        When it may stay open no more, whatever the block waits for is cancelled, the connection is closed with the code
        4401, or 1013 where it cannot be told, and the function goes on after the block.  Entering the block raises what
        the framework closes a WebSocket by, where it may not be open in the first place.

        Args:
            websocket: accepted or not.
            roles: all of which are needed, for as long as it is open.
            scopes: likewise.
            fresh: how long ago the subject may have proved itself when it is opened.
            revocation: ``immediate`` to close it, too, while nothing recent is known of who has signed out.
            bearer: an access token that came another way than in the handshake, such as in the first message.
        """
        demands = Demands(roles=roles, scopes=scopes, fresh=fresh, revocation=revocation)
        return Guarded(self, websocket, demands, Secret(bearer) if isinstance(bearer, str) else bearer)

    async def guarded_stream(
        self,
        request: Connection,
        source: AsyncIterator[T],
        *,
        roles: Collection[str] = (),
        scopes: Collection[str] = (),
        fresh: timedelta | None = None,
        revocation: Demand = "policy",
    ) -> AsyncGenerator[T, None]:
        """What a source gives, for as long as the session of a request stands; then it ends, and so does the answer.

        Await it before the answer begins: whoever may not read it is refused as anywhere else.

        Args:
            request: what is answered.
            source: what to send, such as server-sent events; it is closed with the stream.
            roles: all of which are needed, for as long as it is open.
            scopes: likewise.
            fresh: how long ago the subject may have proved itself when it is opened.
            revocation: ``immediate`` to end it, too, while nothing recent is known of who has signed out.
        """
        demands = Demands(roles=roles, scopes=scopes, fresh=fresh, revocation=revocation)
        principal = await self.assure(await _authenticate(self, request), demands)
        return self._until_over(principal, demands, source)

    async def _until_over(
        self, principal: Principal, demands: Demands, source: AsyncIterator[T]
    ) -> AsyncGenerator[T, None]:
        guard: Guard | None = None
        following: asyncio.Future[Any] | None = None
        try:
            guard = await self.guards.begin(principal, demands)
            while True:
                following = asyncio.ensure_future(anext(source))
                either: set[asyncio.Future[Any]] = {following, guard.over}
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                if guard.over.done():
                    return
                yield following.result()
        except StopAsyncIteration:
            return
        except DoorwardError as refusal:
            # It was good when the answer began: whoever connects again is told why it is not.
            _log.debug("a stream ends: %s", refusal.detail)
        finally:
            if guard is not None:
                self.release(guard)
            if following is not None:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
            if isinstance(source, AsyncGenerator):
                await source.aclose()

    async def admit(self, connection: Connection, demands: Demands, *, bearer: Secret | None = None) -> Guard:
        """Begin to guard a connection: ``release`` it in any case.

        Raises:
            DoorwardError: why it may not be open.
        """
        principal = await self.assure(await _authenticate(self, connection, bearer), demands)
        return await self.guards.begin(principal, demands)

    def release(self, guard: Guard) -> None:
        """The connection is closed.  Whoever closes Doorward has released all."""
        if self._guards is not None:
            self._guards.end(guard)

    def refusal_of_websocket(self, error: DoorwardError) -> Exception:
        """What a framework closes a WebSocket by, where one may not be open.  Bare ASGI: the error itself."""
        return error


async def _authenticate(auth: Doorward, connection: Connection, bearer: Secret | None = None) -> Principal:
    if not auth.is_open:
        await auth.open()
    if bearer is not None:
        return await auth.authenticate(bearer=bearer)
    return await authenticate_scope(auth, connection.scope)


class Guarded:
    """A WebSocket under guard: what ``Doorward.guard`` gives."""

    def __init__(self, auth: Doorward, websocket: WebSocket, demands: Demands, bearer: Secret | None) -> None:
        self._auth = auth
        self._websocket = websocket
        self._demands = demands
        self._bearer = bearer
        self._guard: Guard | None = None
        self._task: asyncio.Task[Any] | None = None
        self._cancelling = 0
        self._interrupted = False

    async def __aenter__(self) -> Principal:
        try:
            guard = self._guard = await self._auth.admit(self._websocket, self._demands, bearer=self._bearer)
        except DoorwardError as error:
            raise self._auth.refusal_of_websocket(error) from error
        self._task = asyncio.current_task()
        self._cancelling = self._task.cancelling() if self._task is not None else 0
        guard.over.add_done_callback(self._interrupt)
        return guard.principal

    def _interrupt(self, _over: object) -> None:
        if self._task is not None:
            self._interrupted = True
            self._task.cancel()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        task, guard = self._task, self._guard
        if task is None or guard is None:
            return False
        self._task = None  # from here on nobody is to be interrupted
        self._auth.release(guard)
        if not self._interrupted:
            return False
        # As asyncio.timeout does it: where somebody else cancels as well, his is not swallowed.
        ours = task.uncancel() <= self._cancelling
        if not ours or (kind is not None and not issubclass(kind, asyncio.CancelledError)):
            return False
        why = guard.over.result()
        try:
            await self._websocket.close(code=close_code_of(why), reason=why.code)
        except Exception:  # noqa: BLE001 -- frameworks have each their own for it
            _log.debug("a connection was to be closed, and was closed already", exc_info=True)
        return True
