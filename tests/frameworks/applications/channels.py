"""The application on Django under ASGI, with Channels, for a server that imports ``app``; all is in one database."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

os.environ["APPLICATION_DATABASE"] = str(
    Path(os.environ["APPLICATION_CLOCK"]).with_name(f"{os.environ['APPLICATION_STRATEGY']}.db")
)

from tests.frameworks.applications import django as application  # noqa: I001 -- it configures Django

from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.core.management import call_command
from django.http import StreamingHttpResponse
from django.urls import path

from doorward.web.django.decorators import requires
from doorward.web.django.guards import guard, guarded_stream
from tests.frameworks.events import the_events


class Live(AsyncWebsocketConsumer):  # type: ignore[misc]  # has no types
    async def connect(self) -> None:
        await self.accept()
        await self.send(self.scope["doorward.principal"].subject)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data)


class LiveForEditors(WebsocketConsumer):  # type: ignore[misc]  # has no types
    def connect(self) -> None:
        self.accept()
        # Django's user is called by the id of the account.
        self.send(self.scope["user"].get_username())

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.send(text_data)


@requires()
async def events(request: Any) -> StreamingHttpResponse:
    return StreamingHttpResponse(await guarded_stream(request, the_events()), content_type="text/event-stream")


call_command("migrate", verbosity=0)
application.urlpatterns.append(path("events", events))
sockets = [
    path("live", guard(Live.as_asgi())),
    path("live/editors", guard(LiveForEditors.as_asgi(), roles={"editor"})),
]
app = ProtocolTypeRouter({"http": get_asgi_application(), "websocket": URLRouter(sockets)})
