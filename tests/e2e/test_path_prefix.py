"""The guide's nginx before applications that are below a prefix (docs/guides/behind-a-proxy.md)."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from doorward.pages import Pages
from doorward.web.fastapi import Doorward
from tests.docs.blocks import block
from tests.e2e.servers import ADA, free_port
from tests.nginx import missing, nginx_with

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))

ON_A_PAGE = {"sec-fetch-site": "same-origin"}


@contextmanager
def served(issuer: str, *, prefix: str, **options: Any) -> Iterator[str]:
    """An application on uvicorn; gives host and port."""
    auth = Doorward("memory:", issuer=issuer, strategy="session", insecure_fast_hashing=True, rate_limits=False)
    app = FastAPI()
    auth.mount(app, prefix, pages=Pages())
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", **options))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def test_behind_nginx_a_prefix_may_be_removed_or_left() -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with ExitStack() as stack:
        removed = stack.enter_context(served(f"{address}/api/auth", prefix="/auth", root_path="/api"))
        left = stack.enter_context(served(f"{address}/shop/auth", prefix="/shop/auth"))
        text = block("behind-a-proxy.md", "nginx.conf", language="nginx").replace("127.0.0.1:8080", f"127.0.0.1:{port}")
        text = text.replace("127.0.0.1:9000", removed).replace("127.0.0.1:8000", left)
        stack.enter_context(nginx_with(text, port))
        for prefix in ("/api/auth", "/shop/auth"):
            with httpx.Client(base_url=address, headers=ON_A_PAGE) as browser:
                signs_up_and_in(browser, prefix)
        with httpx.Client(base_url=address) as client:
            # RFC 8414 section 3.1: the well-known part comes before the issuer's path.
            found = client.get("/.well-known/oauth-authorization-server/api/auth").json()
            assert found["issuer"] == f"{address}/api/auth"


def signs_up_and_in(browser: httpx.Client, prefix: str) -> None:
    assert browser.post(f"{prefix}/v1/accounts", json=ADA).status_code == 201
    answer = browser.post(f"{prefix}/v1/sessions", json=ADA)
    assert (answer.status_code, "; Path=/;" in answer.headers["set-cookie"]) == (201, True)
    # httpx sends no Secure cookie over plain HTTP, browsers do on loopback.
    cookie = {"cookie": answer.headers["set-cookie"].partition(";")[0]}
    page = browser.get(f"{prefix}/sign-in", headers=cookie, follow_redirects=True)
    assert page.status_code == 200
    assert page.url.path.startswith(prefix)
    metadata = browser.get(f"{prefix}/.well-known/openid-configuration").json()
    assert browser.get(metadata["jwks_uri"]).status_code == 200
    assert browser.get(f"{prefix}/v1/sessions/current", headers=cookie).status_code == 200
