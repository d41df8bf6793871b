"""A page on another origin than Doorward, as ``doorward doctor`` says: what works in Chromium, and what does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Error

from tests.browser.clocked import Clocked, a_clocked_site
from tests.browser.conftest import PATIENCE_MILLISECONDS, Complaints
from tests.browser.sites import Elsewhere, an_elsewhere
from tests.browser.tabs import App, all_ask, ask, session_of, sign_up, skip_time


@dataclass(frozen=True)
class Origins:
    """Doorward, and the pages that want to use it.

    Args:
        api: Doorward.
        same: a page of the same site.
        other: a page of another site, no attacker here: the names of the tests are few.
    """

    api: Clocked
    same: Elsewhere
    other: Elsewhere


@pytest.fixture(scope="module")
def origins(certificate: Path) -> Iterator[Origins]:
    # Real servers: Chromium lets no page that came from nowhere speak to this machine.
    with (
        an_elsewhere(certificate, host="app.example.test") as same,
        an_elsewhere(certificate, host="app.evil.test") as other,
        a_clocked_site(
            certificate,
            host="api.example.test",
            cors_origins=(same.origin, other.origin),
            refresh_grace=timedelta(0),
        ) as api,
    ):
        yield Origins(api, same, other)


@pytest.fixture
def context(chromium: Browser, complaints: Complaints) -> Iterator[BrowserContext]:
    with chromium.new_context(ignore_https_errors=True) as made:
        made.set_default_timeout(PATIENCE_MILLISECONDS)
        complaints.watch(made)
        yield made


def app_at(context: BrowserContext, page: Elsewhere, api: Clocked, more: str = "") -> App:
    options = f'{{base: "{api.origin}", {more}}}'
    return App(context, page.origin, base=api.origin, options=options, pages=page.pages)


def test_on_the_same_site_the_cookie_works_with_tabs_reloads_and_signing_out(
    context: BrowserContext, origins: Origins
) -> None:
    app = app_at(context, origins.same, origins.api)
    page = app.open()
    sign_up(page)
    tabs = [page, *app.open_all(2)]
    app.refused.clear()
    app.renewals.clear()
    origins.api.clock.move(timedelta(hours=1))
    skip_time(tabs, 3600)
    assert all_ask(tabs) == [200] * 3
    assert app.renewals == [200]
    page.reload()
    assert session_of(page) is not None
    tabs[1].evaluate("client.signOut()")
    page.wait_for_function("changes.at(-1) === 'signed_out'")
    assert context.cookies() == []


def test_on_another_site_the_cookie_is_not_kept_and_signing_in_says_so(
    context: BrowserContext, origins: Origins
) -> None:
    page = app_at(context, origins.other, origins.api).open()
    with pytest.raises(Error, match="doorward doctor"):
        sign_up(page)
    assert session_of(page) is None
    assert context.cookies() == []


def test_on_another_site_tokens_in_memory_work_until_a_reload(context: BrowserContext, origins: Origins) -> None:
    app = app_at(context, origins.other, origins.api, 'carrier: "token"')
    page = app.open()
    sign_up(page)
    for _ in range(2):
        origins.api.clock.move(timedelta(hours=1))
        skip_time([page], 3600)
        assert ask(page) == 200
    assert app.renewals == [200, 200]
    assert context.cookies() == []
    page.reload()
    assert session_of(page) is None


def test_a_page_that_is_not_listed_learns_nothing(
    context: BrowserContext, origins: Origins, evil: Elsewhere, complaints: Complaints
) -> None:
    app = app_at(context, evil, origins.api, "patience: 0")
    with pytest.raises(Error, match="Doorward did not answer"):
        app.open()
    assert any("has been blocked by CORS policy" in each for each in complaints.found)
    complaints.found.clear()
