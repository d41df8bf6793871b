"""Connections that stay open under ASGI: WebSockets, as Django Channels has them, and server-sent events.

Channels itself is not imported: a consumer is an ASGI application, and so is what stands before it.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.handlers.asgi import ASGIRequest
from django.db import DatabaseError, close_old_connections

from doorward.assurance import Demand, Demands
from doorward.beside import beside
from doorward.errors import DoorwardError, InvalidToken, NotAuthenticated, SessionEnded
from doorward.http.problems import close_code_of
from doorward.ports import Store
from doorward.principal import Principal
from doorward.secret import Secret
from doorward.sessions.guards import Guard
from doorward.web.asgi import App, Message, Receive, Scope, Send
from doorward.web.django.caller import check, identify
from doorward.web.django.conf import deployment
from doorward.web.django.signing_in import BACKEND
from doorward.web.django.standing import STANDS_FOR_SECONDS, end_inactive, require_active
from doorward.web.django.users import user_of
from doorward.web.guard import BareWebSocket, Doorward

T = TypeVar("T")

SAYS_WHO_WITHIN = timedelta(seconds=15)
"""How long a client may take for the message that says who it is."""

_log = logging.getLogger(__name__)
_of_loops: dict[asyncio.AbstractEventLoop, tuple[Store, Doorward]] = {}
"""What stands beside the project's deployment in each event loop, and the store of which it was made."""
_watching: dict[asyncio.AbstractEventLoop, asyncio.Task[None]] = {}
"""The task of each event loop that looks at the users of open connections."""


def guard(
    app: App,
    *,
    roles: Collection[str] = (),
    scopes: Collection[str] = (),
    fresh: timedelta | None = None,
    revocation: Demand = "policy",
    anonymous: bool = False,
    token_first: bool = False,
) -> Any:
    """Keep the WebSockets of a consumer open for as long as their sessions stand.

    ``path("live/", guard(Live.as_asgi(), roles={"editor"}))``.  Around a ``URLRouter`` it stands where Channels'
    ``AuthMiddlewareStack`` would: ``scope["user"]`` is Django's user, ``scope["doorward.principal"]`` the principal.

    A WebSocket that may not be open is refused.  One that may be open no more is closed with the code 4401, or 1013
    where that cannot be told; the consumer's ``disconnect`` is called as for any that has gone, and what it sends from
    then on is dropped.

    Args:
        app: a consumer, or what leads to some.
        roles: all of which are needed, for as long as it is open.
        scopes: likewise.
        fresh: how long ago the subject may have proved itself when it is opened.
        revocation: ``immediate`` to close it, too, while nothing recent is known of who has signed out.
        anonymous: let in whoever has not signed in, too: the user is an ``AnonymousUser`` then, the principal None.
        token_first: accept it, and take its first message, a text, for an access token: a page can send no header.

    Returns:
        An ASGI application; without a type, since Django's ``path`` is declared for views alone.

    Raises:
        ValueError: where the route is declared: something is wanted of whoever has not signed in.
    """
    demands = Demands(roles=roles, scopes=scopes, fresh=fresh, revocation=revocation)
    if anonymous and (roles or scopes or fresh or token_first):
        raise ValueError("whoever has not signed in has no role and no token: ask for them, or let anybody in")

    @functools.wraps(app)
    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            raise ValueError(f"a guard is for WebSockets, and would not hold for {scope['type']}")
        try:
            bearer = await _first_message(receive, send) if token_first else None
            auth = await _deployment_here()
            found, user = await _admit(auth, BareWebSocket(scope, receive, send), demands, bearer, anonymous=anonymous)
        except DoorwardError as refusal:
            await _close(send, refusal)
            return
        if found is None:
            await app({**scope, "doorward.principal": None, "user": user}, receive, send)
            return
        between = _Between(receive, send, found.over, is_accepted=token_first)
        closing = asyncio.create_task(between.close_when_over(), name="doorward: close a WebSocket")
        try:
            await app({**scope, "doorward.principal": found.principal, "user": user}, between.receive, between.send)
        finally:
            auth.release(found)
            if not found.over.done():
                closing.cancel()
            await asyncio.wait({closing})

    # Channels asks it of whatever routes further.
    vars(guarded)["_path_routing"] = getattr(app, "_path_routing", False)
    return guarded


async def guarded_stream(
    request: ASGIRequest,
    source: AsyncIterator[T],
    *,
    roles: Collection[str] = (),
    scopes: Collection[str] = (),
    fresh: timedelta | None = None,
    revocation: Demand = "policy",
) -> AsyncGenerator[T, None]:
    """For a ``StreamingHttpResponse`` of an asynchronous view; see ``doorward.web.guard.Doorward.guarded_stream``."""
    if not hasattr(request, "scope"):
        raise RuntimeError("WSGI holds up a thread for each stream, and nobody could end it: serve it under ASGI")
    await sync_to_async(_refuse_inactive)(request)
    # No credential is read from the query, which Django's test client has as text.
    asked = SimpleNamespace(scope={**request.scope, "query_string": b""})
    auth = await _deployment_here()
    return await auth.guarded_stream(asked, source, roles=roles, scopes=scopes, fresh=fresh, revocation=revocation)


def _refuse_inactive(request: ASGIRequest) -> None:
    # What this process has ended, the other one of the event loop may not have heard of yet.
    refusal = check(identify(request)).refusal
    if isinstance(refusal, SessionEnded):
        raise refusal


async def _deployment_here() -> Doorward:
    """The project's deployment for this event loop.  It lasts as long as the loop: Django is told of no shutdown."""
    other, loop = deployment(), asyncio.get_running_loop()
    store = other._store  # noqa: SLF001 -- another one with other settings, and in a rehearsal
    before = _of_loops.get(loop)
    if before is None or before[0] is not store:
        for gone in [each for each in _of_loops if each.is_closed()]:
            del _of_loops[gone]
            _watching.pop(gone, None)
        _of_loops[loop] = store, beside(other, Doorward)
        if before is not None:
            await before[1].close()
    auth = _of_loops[loop][1]
    if loop not in _watching or _watching[loop].done() or before is None or before[1] is not auth:
        if loop in _watching:
            _watching[loop].cancel()
        _watching[loop] = asyncio.create_task(watch_users(auth), name="doorward: watch users")
    return auth


async def _admit(
    auth: Doorward, socket: BareWebSocket, demands: Demands, bearer: Secret | None, *, anonymous: bool
) -> tuple[Guard | None, AbstractBaseUser | AnonymousUser]:
    """Who may connect, and Django's user.  Raises SessionEnded, too, where that is inactive or deleted."""
    try:
        found = await auth.admit(socket, demands, bearer=bearer)
        try:
            return found, await sync_to_async(_user)(found.principal)
        except BaseException:
            auth.release(found)
            raise
    except (NotAuthenticated, InvalidToken, SessionEnded):
        if anonymous:
            return None, AnonymousUser()
        raise


def _user(principal: Principal) -> AbstractBaseUser | AnonymousUser:
    with _django_connections():
        user = user_of(principal, require_active(principal.subject))
    if user is None:
        return AnonymousUser()
    vars(user)["backend"] = BACKEND  # as Django's own authenticate does
    return user


@contextmanager
def _django_connections() -> Iterator[None]:
    # No request begins or ends here, with which Django would look after its connections.
    close_old_connections()
    try:
        yield
    finally:
        close_old_connections()


def _end_inactive(accounts: frozenset[str]) -> None:
    with _django_connections():
        end_inactive(accounts)


async def watch_users(auth: Doorward) -> None:
    """End once a second the sessions of whoever holds a connection open and has become inactive.

    One query for all connections of an event loop, and none while there are none: nobody makes a request by which it
    would be noticed.
    """
    knows = True
    while True:
        await asyncio.sleep(STANDS_FOR_SECONDS)
        try:
            await look_at_users(auth)
        except (DatabaseError, DoorwardError):
            if knows:  # said once, and again when it has been better in between
                _log.warning("it cannot be told whether users with open connections are active", exc_info=True)
            knows = False
        else:
            knows = True


async def look_at_users(auth: Doorward) -> None:
    """End the sessions of those who hold a connection open and have become inactive."""
    accounts = auth.guards.accounts if auth.is_open else frozenset()
    if accounts:
        await sync_to_async(_end_inactive)(accounts)


async def _first_message(receive: Receive, send: Send) -> Secret:
    """Accept a WebSocket, and read what the client says first."""
    await receive()
    await send({"type": "websocket.accept"})
    try:
        async with asyncio.timeout(SAYS_WHO_WITHIN.total_seconds()):
            text = (await receive()).get("text")
    except TimeoutError:
        text = None
    if not text:
        raise NotAuthenticated(detail="the first message was to be an access token")
    return Secret(text)


async def _close(send: Send, why: DoorwardError) -> None:
    try:
        await send({"type": "websocket.close", "code": close_code_of(why), "reason": why.code})
    except Exception:  # noqa: BLE001 -- servers have each their own for it
        _log.debug("a connection was to be closed, and was closed already", exc_info=True)


class _Between:
    """What stands between a server and a consumer whose WebSocket is under guard.

    Args:
        receive: of the server.
        send: likewise.
        over: done as soon as it may be open no more.
        is_accepted: whether it has been accepted, of which the consumer knows nothing.
    """

    def __init__(self, receive: Receive, send: Send, over: asyncio.Future[DoorwardError], *, is_accepted: bool) -> None:
        self._receive = receive
        self._send = send
        self._over = over
        self._is_accepted = self._is_to_connect = is_accepted

    async def close_when_over(self) -> None:
        await _close(self._send, await self._over)

    async def receive(self) -> Message:
        """What the client says next; once it is over the client has gone, whatever it goes on to say."""
        if self._is_to_connect:
            self._is_to_connect = False
            return {"type": "websocket.connect"}
        following = asyncio.ensure_future(self._receive())
        either: set[asyncio.Future[Any]] = {following, self._over}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not self._over.done():
                return following.result()
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        why = self._over.result()
        return {"type": "websocket.disconnect", "code": close_code_of(why), "reason": why.code}

    async def send(self, message: Message) -> None:
        """What the consumer says, for as long as anybody may hear it."""
        if self._over.done() or (self._is_accepted and message["type"] == "websocket.accept"):
            return
        await self._send(message)
