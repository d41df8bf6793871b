"""Every adapter hands over the client's address, and what proxies write around it is removed in one place."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from doorward.audit.model import UNKNOWN_NETWORK, Actor, Origin
from doorward.blocking import run_blocking
from doorward.http import proxies
from doorward.http.message import Request
from doorward.ports import Page
from doorward.web import asgi, wsgi
from doorward.web.flask import Doorward, doorward_of
from tests.web.test_flask import in_memory


def by_asgi(address: str | None) -> Request:
    client = (address, 0) if address is not None else None
    return asgi.request_of({"type": "http", "method": "GET", "path": "/", "headers": [], "client": client})


def by_wsgi(address: str | None) -> Request:
    return wsgi.request_of({"REQUEST_METHOD": "GET", **({} if address is None else {"REMOTE_ADDR": address})})


def by_django(address: str | None) -> Request:
    from django.conf import settings
    from django.test import RequestFactory

    from doorward.web.django.messages import request_of

    if not settings.configured:
        settings.configure()
    return request_of(RequestFactory().get("/", REMOTE_ADDR=address or ""))


@pytest.mark.parametrize("adapter", [by_asgi, by_wsgi, by_django])
def test_every_adapter_reads_an_address_alike(adapter: Callable[[str | None], Request]) -> None:
    assert adapter("203.0.113.9:4711").origin == Origin(ip="203.0.113.9")
    assert adapter("[::ffff:203.0.113.9]:80").origin == Origin(ip="203.0.113.9")
    for nowhere in (None, "", "unix:", "unknown"):
        origin = adapter(nowhere).origin
        assert (origin.ip, origin.network) == (None, UNKNOWN_NETWORK)


def an_app(*, fix_first: bool) -> Flask:
    app = in_memory(Flask(__name__), DOORWARD_RATE_LIMITS=True)
    if fix_first:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1)  # type: ignore[method-assign]
    Doorward(strategy="session").init_app(app)
    if not fix_first:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1)  # type: ignore[method-assign]
    return app


def sign_in(browser: Any, forwarded: str, email: str = "ada@example.com") -> int:
    typed = {"email": email, "password": "a walrus in seven teapots"}
    answer = browser.post("/auth/v1/sessions", json=typed, headers={"x-forwarded-for": forwarded})
    return int(answer.status_code)


def test_another_port_for_each_connection_is_no_way_around_the_limit() -> None:
    app = an_app(fix_first=False)
    with closing(Closing(app)):
        browser = app.test_client()
        statuses = [sign_in(browser, f"203.0.113.9:{4000 + n}", f"{n}@example.com") for n in range(130)]
    assert statuses.count(429) > 0


@pytest.mark.parametrize("fix_first", [True, False])
def test_proxy_fix_finds_the_client_whether_it_comes_before_or_after(*, fix_first: bool) -> None:
    app = an_app(fix_first=fix_first)
    with closing(Closing(app)):
        browser = app.test_client()
        assert sign_in(browser, "198.51.100.7:4711") == 401
        [event] = run_blocking(doorward_of(app).trail(Page(limit=1)))
    assert event.actor == Actor(origin=Origin(ip="198.51.100.7", user_agent=event.actor.origin.user_agent))


def test_a_forgotten_proxy_fix_is_warned_of(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    watch = proxies.ProxyWatch()
    for module in ("doorward.http.api", "doorward.http.server_rendered"):
        monkeypatch.setattr(f"{module}.watch", watch)
    caplog.set_level(logging.WARNING, "doorward.http.proxies")
    app = in_memory(Flask(__name__))
    Doorward(strategy="session").init_app(app)
    with closing(Closing(app)):
        for n in range(3 * proxies.ENOUGH):
            app.test_client().get("/auth/healthz", headers={"x-forwarded-for": f"8.8.8.{n}"})
    [record] = caplog.records
    assert "ProxyFix" in record.getMessage()


class Closing:
    def __init__(self, app: Flask) -> None:
        self._app = app

    def close(self) -> None:
        run_blocking(doorward_of(self._app).close())
