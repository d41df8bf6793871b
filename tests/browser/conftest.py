"""Debian's Chromium, a server with TLS before it, and pages that tell what went wrong in them."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser.sites import Elsewhere, Site, a_site, an_elsewhere, write_certificate

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Every name of the tests is this machine, and no other name is looked up at all.
    "--host-resolver-rules=MAP *.example.test 127.0.0.1, MAP *.evil.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
PATIENCE_MILLISECONDS = 60_000


# For a module and not for the session: while Playwright's synchronous side is up, an event loop of its counts as
# running in this thread, and no asynchronous test could run here.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is missing: apt-get install chromium")
    try:
        ctypes.CDLL("libatomic.so.1")
    except OSError:
        pytest.skip("libatomic1 is missing, which Playwright's own Node needs: apt-get install libatomic1")
    expect.set_options(timeout=PATIENCE_MILLISECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tls") / "site.pem"
    write_certificate(file)
    return file


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    """Settings of the module's server, without ``DOORWARD_``: a module that wants others has its own fixture."""
    return {}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, certificate: Path, settings: dict[str, str]) -> Iterator[Site]:
    """``doorward serve`` at ``https://auth.example.test``, the same for all tests of a module."""
    with a_site(tmp_path_factory.mktemp("site"), certificate, settings=settings) as running:
        yield running


@pytest.fixture(scope="module")
def evil(certificate: Path) -> Iterator[Elsewhere]:
    """An attacker's pages, on another site."""
    with an_elsewhere(certificate, host="www.evil.test") as running:
        yield running


class Complaints:
    """What a browser complained about: console errors, uncaught exceptions, violations of the policy.

    Args:
        found: what it was.
        requests: the address of every request.
    """

    # A page that is answered with 422 is no mistake of the page.
    _EXPECTED = re.compile(r"Failed to load resource: the server responded with a status of 4\d\d")

    def __init__(self) -> None:
        self.found: list[str] = []
        self.requests: list[str] = []

    def watch(self, context: BrowserContext) -> None:
        context.on("console", lambda message: self._hear(message.type, message.text))
        context.on("weberror", lambda error: self.found.append(str(error.error)))
        context.on("request", lambda request: self.requests.append(request.url))

    def _hear(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"} and not self._EXPECTED.match(text):
            self.found.append(text)


NewContext = Callable[..., BrowserContext]


@pytest.fixture
def complaints() -> Iterator[Complaints]:
    """Collects from every context that ``new_context`` makes; a test in which there was a complaint has failed.

    One that provokes them says so by emptying ``complaints.found``.
    """
    collected = Complaints()
    yield collected
    assert collected.found == []


@pytest.fixture
def new_context(chromium: Browser, site: Site, complaints: Complaints) -> Iterator[NewContext]:
    """Makes browsers that share nothing; the options are those of Playwright's ``new_context``."""
    with ExitStack() as open_contexts:

        def make(**options: Any) -> BrowserContext:
            options.setdefault("base_url", site.origin)
            options.setdefault("locale", "en-GB")
            context = open_contexts.enter_context(chromium.new_context(ignore_https_errors=True, **options))
            context.set_default_timeout(PATIENCE_MILLISECONDS)
            complaints.watch(context)
            return context

        yield make


@pytest.fixture
def page(new_context: NewContext) -> Page:
    return new_context().new_page()
