"""What a guard does to a consumer of Django Channels, and to a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import URLRouter
from django.contrib.auth import get_user_model
from django.test import AsyncRequestFactory, RequestFactory
from django.urls import path

from doorward.accounts.model import Account
from doorward.audit.model import Actor, Origin
from doorward.errors import NotAuthenticated, SessionEnded
from doorward.http.problems import SESSION_OVER
from doorward.testing.stage import rehearsal
from doorward.web.django import guards
from doorward.web.django.conf import deployment, run
from doorward.web.django.guards import guard, guarded_stream
from doorward.web.django.users import user_of_account
from doorward.web.guard import Doorward
from tests.web.django.people import an_account, configured, forget_guards

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
async def in_memory() -> AsyncIterator[None]:
    """The project's deployment, and what stands beside it."""
    with configured(STRATEGY="jwt"):
        yield
        await forget_guards()


class Consumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # has no types
    """Says who it is, says back what it is told, and keeps account."""

    def __init__(self, heard: list[Any], busy: asyncio.Event) -> None:
        super().__init__()
        self.heard = heard
        self.busy = busy

    async def connect(self) -> None:
        await self.accept()
        user, principal = self.scope["user"], self.scope["doorward.principal"]
        await self.send(f"{user.get_username()} {principal and principal.subject}")

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.heard.append(text_data)
        await self.busy.wait()
        await self.send(text_data)

    async def disconnect(self, code: int) -> None:
        self.heard.append(code)
        await self.send("too late")


class Wire:
    """What a server does with a WebSocket."""

    def __init__(self, app: Any, token: str | None = None, *, path: str = "/live") -> None:
        headers = [(b"authorization", f"Bearer {token}".encode())] if token else []
        self.scope = {"type": "websocket", "path": path, "headers": headers}
        self.server: Any = ApplicationCommunicator(app, self.scope)  # type: ignore[no-untyped-call]

    async def connect(self) -> int | None:
        """None if it is accepted, else what it is refused with."""
        await self.server.send_input({"type": "websocket.connect"})
        answer = await self.server.receive_output(timeout=10)
        return answer["code"] if answer["type"] == "websocket.close" else None

    async def say(self, message: str | bytes) -> None:
        kind = "text" if isinstance(message, str) else "bytes"
        await self.server.send_input({"type": "websocket.receive", kind: message})

    async def hear(self) -> Any:
        answer = await self.server.receive_output(timeout=10)
        return answer["text"] if answer["type"] == "websocket.send" else (answer["code"], answer["reason"])

    async def leave(self, code: int = 1000) -> None:
        await self.server.send_input({"type": "websocket.disconnect", "code": code})
        await self.server.wait(timeout=10)


class Socket(Wire):
    """A wire to a consumer under guard."""

    def __init__(self, token: str | None = None, **options: Any) -> None:
        self.heard: list[Any] = []
        self.ready = asyncio.Event()
        self.ready.set()
        super().__init__(guard(Consumer.as_asgi(heard=self.heard, busy=self.ready), **options), token)

    async def opened(self) -> str:
        assert await self.connect() is None
        greeting: str = await self.hear()
        return greeting


def _signed_in(account: Account) -> tuple[str, str]:
    begun = run(lambda auth: auth.start_session(account, origin=Origin(ip=None)))
    assert begun.credentials.access_token is not None
    return begun.credentials.access_token.text.reveal(), begun.session.id


async def somebody(*roles: str) -> tuple[Account, str, str]:
    """An account, an access token of a session that has just begun, and the session."""
    account = await sync_to_async(an_account)(*roles)
    return account, *await sync_to_async(_signed_in)(account)


def beside() -> Doorward:
    ((_, auth),) = guards._of_loops.values()
    return auth


async def end(session: str) -> None:
    """By a request that another thread answers."""
    await sync_to_async(run)(lambda auth: auth.end_session(session, account_id=None, actor=Actor()))
    await beside().read_changes()


async def test_the_consumer_is_told_that_the_client_has_gone_and_nobody_hears_it_any_more() -> None:
    account, token, session = await somebody("editor")
    socket = Socket(token, roles={"editor"})
    # Django's user is called by the id of the account.
    assert await socket.opened() == f"{account.id} {account.id}"
    await end(session)
    assert await socket.hear() == (SESSION_OVER, "session_ended")
    await socket.server.wait(timeout=10)
    assert socket.heard == [SESSION_OVER]
    assert await socket.server.receive_nothing()
    assert len(beside().guards) == 0


async def test_what_the_client_has_said_meanwhile_is_not_heard_either() -> None:
    _, token, session = await somebody()
    socket = Socket(token)
    await socket.opened()
    socket.ready.clear()
    await socket.say("while it stands")
    await socket.say("while the consumer was busy")
    await end(session)
    assert await socket.hear() == (SESSION_OVER, "session_ended")
    socket.ready.set()
    await socket.server.wait(timeout=10)
    assert socket.heard == ["while it stands", SESSION_OVER]
    assert await socket.server.receive_nothing()


async def test_a_client_that_leaves_leaves_nothing_behind() -> None:
    _, token, session = await somebody()
    socket = Socket(token)
    await socket.opened()
    await socket.leave(1001)
    assert socket.heard == [1001]
    assert len(beside().guards) == 0
    await end(session)


async def test_a_consumer_that_fails_leaves_nothing_behind() -> None:
    async def fails(scope: Any, receive: Any, send: Any) -> None:
        raise ZeroDivisionError

    _, token, _ = await somebody()
    with pytest.raises(ZeroDivisionError):
        await guard(fails)(Wire(fails, token).scope, None, None)
    assert len(beside().guards) == 0


@pytest.mark.parametrize("options", [{"roles": {"editor"}}, {"scopes": {"write"}}, {}])
async def test_one_that_may_not_be_open_never_reaches_the_consumer(options: dict[str, Any]) -> None:
    _, token, _ = await somebody()
    socket = Socket(token if options else None, **options)
    assert await socket.connect() == SESSION_OVER
    assert socket.heard == []


async def test_anonymous_visitors_are_let_in_where_they_are_wanted_and_are_nobody() -> None:
    account, token, session = await somebody()
    for nobody in (None, "x"):
        assert await Socket(nobody, anonymous=True).opened() == " None"
    socket = Socket(token, anonymous=True)
    assert await socket.opened() == f"{account.id} {account.id}"
    await end(session)
    assert await socket.hear() == (SESSION_OVER, "session_ended")
    assert await Socket(token, anonymous=True).opened() == " None"


@pytest.mark.parametrize(
    "wanted", [{"roles": {"editor"}}, {"scopes": {"write"}}, {"fresh": timedelta(minutes=5)}, {"token_first": True}]
)
async def test_nothing_can_be_wanted_of_anonymous_visitors(wanted: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="has not signed in"):
        guard(Consumer.as_asgi(), anonymous=True, **wanted)


async def test_an_unknown_demand_is_refused_where_the_route_is_declared() -> None:
    with pytest.raises(ValueError, match="revocation"):
        guard(Consumer.as_asgi(), revocation="imediate")  # type: ignore[arg-type]


Users: Any = get_user_model()._default_manager


async def deactivated(account: Account) -> None:
    """By a statement that sends no signal."""

    def deactivate() -> None:
        user_of_account(account)
        Users.filter(doorward_account__account=account.id).update(is_active=False)

    await sync_to_async(deactivate)()


async def test_an_inactive_user_opens_no_connection() -> None:
    account, token, _ = await somebody()
    await deactivated(account)
    assert await Socket(token, anonymous=True).opened() == " None"
    socket = Socket(token)
    assert await socket.connect() == SESSION_OVER
    assert socket.heard == []
    with pytest.raises(SessionEnded):
        await guarded_stream(
            AsyncRequestFactory().get("/events", headers={"authorization": f"Bearer {token}"}), _for_ever()
        )


async def test_connections_of_a_user_who_becomes_inactive_are_closed() -> None:
    account, token, _ = await somebody()
    socket = Socket(token)
    await socket.opened()
    await deactivated(account)
    await guards.look_at_users(beside())
    await beside().read_changes()
    assert await socket.hear() == (SESSION_OVER, "session_ended")


async def test_a_token_may_come_in_the_first_message() -> None:
    account, token, session = await somebody()
    socket = Socket(token_first=True)
    assert await socket.connect() is None
    await socket.say(token)
    assert await socket.hear() == f"{account.id} {account.id}"
    await socket.say("hello")
    assert await socket.hear() == "hello"
    await end(session)
    assert await socket.hear() == (SESSION_OVER, "session_ended")


async def test_whoever_says_nothing_or_something_else_first_is_told_so_and_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for said, code in (("x", "invalid_token"), (b"x", "not_authenticated")):
        socket = Socket(token_first=True)
        assert await socket.connect() is None
        await socket.say(said)
        assert await socket.hear() == (SESSION_OVER, code)
        assert socket.heard == []
    monkeypatch.setattr(guards, "SAYS_WHO_WITHIN", timedelta(0))
    silent = Socket(token_first=True)
    assert await silent.connect() is None
    assert await silent.hear() == (SESSION_OVER, "not_authenticated")


async def test_a_guard_lets_nothing_through_that_it_would_not_hold_for() -> None:
    with pytest.raises(ValueError, match="http"):
        await guard(Consumer.as_asgi())({"type": "http"}, None, None)


async def test_a_guard_stands_before_a_router_too_wherever_that_is() -> None:
    account, token, _ = await somebody()
    heard: list[Any] = []
    consumer = Consumer.as_asgi(heard=heard, busy=asyncio.Event())
    routed = URLRouter([path("live/", guard(URLRouter([path("<str:room>", consumer)])))])
    wire = Wire(routed, token, path="/live/den")
    assert await wire.connect() is None
    assert await wire.hear() == f"{account.id} {account.id}"
    await wire.leave()


async def test_other_settings_are_another_deployment() -> None:
    _, token, _ = await somebody()
    assert await Socket(token).connect() is None
    before = beside()
    with configured(STRATEGY="jwt", MAX_STALENESS=9):
        assert await Socket(token).connect() == SESSION_OVER
        assert beside().options.max_staleness == timedelta(seconds=9)
        assert beside().deployment.store is deployment()._store
        assert not before.is_open


async def test_what_a_rehearsal_keeps_is_kept_beside_it_too() -> None:
    with configured(STRATEGY="jwt"):
        before = deployment()
        for _ in range(2):
            with rehearsal(before):
                account, token, _ = await somebody()
                assert await Socket(token).opened() == f"{account.id} {account.id}"
                await beside().close()


async def test_a_loop_that_is_closed_is_forgotten() -> None:
    gone = asyncio.new_event_loop()
    guards._of_loops[gone] = deployment()._store, Doorward("memory:", secret="the secret of a deployment in tests")
    gone.close()
    await Socket().connect()
    assert list(guards._of_loops) == [asyncio.get_running_loop()]


async def _for_ever() -> AsyncIterator[str]:
    yield "one"
    await asyncio.Event().wait()


async def test_a_stream_ends_with_its_session() -> None:
    _, token, session = await somebody()
    request = AsyncRequestFactory().get("/events", headers={"authorization": f"Bearer {token}"})
    stream = await guarded_stream(request, _for_ever())
    assert await anext(stream) == "one"
    await end(session)
    assert [event async for event in stream] == []


async def test_a_stream_is_refused_before_its_answer_begins() -> None:
    with pytest.raises(NotAuthenticated):
        await guarded_stream(AsyncRequestFactory().get("/events"), _for_ever())


async def test_a_stream_under_wsgi_is_refused_with_what_to_do() -> None:
    request: Any = RequestFactory().get("/events")
    with pytest.raises(RuntimeError, match="ASGI"):
        await guarded_stream(request, _for_ever())
