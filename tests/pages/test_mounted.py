"""Mounted in an application the pages are below its prefix, whatever that is: every address of theirs is relative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette

from doorward.audit.model import Actor
from doorward.doorward import Doorward
from doorward.pages import Pages
from doorward.secret import Secret
from doorward.testing import CookieClient
from doorward.web.fastapi import Doorward as FastApiDoorward
from doorward.web.starlette import Doorward as StarletteDoorward
from tests.http.world import PASSWORD
from tests.pages.visitor import EMAIL, read_page

pytestmark = pytest.mark.anyio


def on_starlette(auth: Any) -> Any:
    return Starlette(routes=[auth.mount("/deep/auth", pages=Pages())])


def on_fastapi(auth: Any) -> Any:
    app = FastAPI()
    auth.mount(app, "/deep/auth", pages=Pages())
    return app


@pytest.mark.parametrize(("kind", "build"), [(StarletteDoorward, on_starlette), (FastApiDoorward, on_fastapi)])
async def test_signing_in_stays_below_the_prefix(kind: type[Doorward], build: Callable[[Any], Any]) -> None:
    async with kind(
        "memory:", strategy="session", insecure_fast_hashing=True, secret="the secret of a deployment in tests"
    ) as auth:
        await auth.sign_up(email=EMAIL, password=Secret(PASSWORD), actor=Actor())
        client = CookieClient(build(auth))
        answer = await client.get("/deep/auth/sessions")
        address = urljoin("/deep/auth/sessions", answer.header("location") or "")
        assert address == "/deep/auth/sign-in?return_to=sessions"
        page = read_page(await client.get(address), address)
        for _, said in page.tags:
            for place in (said.get("href"), said.get("src")):
                if place:
                    assert (await client.get(urljoin(address, place))).status in {200, 303}
        form = page.form("sign-in")
        fields = form.fields | {"email": EMAIL, "password": PASSWORD}
        answer = await client.post(urljoin(address, form.action), form=fields)
        address = urljoin(address, answer.header("location") or "")
        assert address == "/deep/auth/sessions"
        assert EMAIL in read_page(await client.get(address), address).text


async def test_without_pages_a_mount_has_none() -> None:
    async with StarletteDoorward("memory:", insecure_fast_hashing=True) as auth:
        client = CookieClient(Starlette(routes=[auth.mount("/auth")]))
        assert (await client.get("/auth/sign-in")).status == 404
