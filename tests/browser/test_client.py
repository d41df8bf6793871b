"""The browser client in a real browser: tabs, reloads, lost answers, and where no credential is ever found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from doorward.audit.model import Action
from tests.browser.clocked import Clocked, a_clocked_site
from tests.browser.conftest import PATIENCE_MILLISECONDS, Complaints
from tests.browser.sites import Site
from tests.browser.tabs import (
    WATCH_STORAGE,
    App,
    all_ask,
    ask,
    bundle,
    bundle_in_react,
    changes_of,
    session_of,
    sign_in,
    sign_up,
    skip_time,
)

AN_HOUR = timedelta(hours=1)
TABS = 10
LOST = "Failed to load resource: net::ERR_"


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    return {"REFRESH_GRACE": "0"}


@pytest.fixture(scope="module")
def client_bundle() -> str:
    return bundle()


@pytest.fixture
def context(chromium: Browser, client_bundle: str, complaints: Complaints) -> Iterator[BrowserContext]:
    with chromium.new_context(ignore_https_errors=True) as made:
        made.set_default_timeout(PATIENCE_MILLISECONDS)
        complaints.watch(made)
        yield made


@pytest.fixture(scope="module")
def server(certificate: Path) -> Iterator[Clocked]:
    # Without a grace every renewal rotates: what the server would forgive does not hide what the client does.
    with a_clocked_site(certificate, refresh_grace=timedelta(0)) as running:
        yield running


@pytest.fixture
def app(context: BrowserContext, server: Clocked) -> App:
    return App(context, server.origin)


@pytest.fixture
def page(app: App) -> Page:
    page = app.open()
    sign_up(page)
    return page


@dataclass(frozen=True)
class TenTabs:
    """Ten tabs of one browser in which somebody is signed in."""

    app: App
    tabs: list[Page]
    server: Clocked
    complaints: Complaints

    def let_an_hour_pass(self, *, unnoticed: bool = False) -> None:
        self.server.clock.move(AN_HOUR)
        if not unnoticed:
            skip_time(self.tabs, 3600)

    @property
    def rotations(self) -> int:
        return self.server.count(Action.REFRESH_ROTATED)


@pytest.fixture(scope="module")
def opened(chromium: Browser, client_bundle: str, server: Clocked) -> Iterator[TenTabs]:
    complaints = Complaints()
    with chromium.new_context(ignore_https_errors=True) as context:
        context.set_default_timeout(PATIENCE_MILLISECONDS)
        complaints.watch(context)
        app = App(context, server.origin)
        first = app.open()
        sign_up(first)
        yield TenTabs(app, [first, *app.open_all(TABS - 1)], server, complaints)


@pytest.fixture
def ten(opened: TenTabs) -> Iterator[TenTabs]:
    opened.app.renewals.clear()
    opened.app.refused.clear()
    yield opened
    assert [changes_of(tab) for tab in opened.tabs] == [["signed in"]] * TABS
    assert opened.server.count(Action.REFRESH_REUSED) == 0
    assert opened.complaints.found == []


def test_ten_tabs_whose_access_token_runs_out_at_once_renew_once(ten: TenTabs) -> None:
    rotations = ten.rotations
    ten.let_an_hour_pass()
    assert all_ask(ten.tabs) == [200] * TABS
    assert ten.app.renewals == [200]
    assert ten.rotations == rotations + 1
    assert ten.app.refused == []


def test_ten_tabs_that_slept_without_noticing_renew_once_and_the_application_sees_no_401(ten: TenTabs) -> None:
    rotations = ten.rotations
    ten.let_an_hour_pass(unnoticed=True)
    assert all_ask(ten.tabs) == [200] * TABS
    assert ten.app.refused != []
    assert ten.app.renewals == [200]
    assert ten.rotations == rotations + 1


def test_nobody_is_signed_out_where_every_third_answer_is_lost(ten: TenTabs) -> None:
    way = ten.server.way
    way.lossy = True
    for _ in range(3):
        ten.let_an_hour_pass()
        # A request of the application's own whose answer is lost is its own to repeat.
        assert set(all_ask(ten.tabs)) <= {200, "TypeError: Failed to fetch"}
    way.lossy = False
    assert "/v1/token" in way.lost
    assert ten.app.refused == []
    assert all_ask(ten.tabs) == [200] * TABS
    assert all(each.startswith(LOST) for each in ten.complaints.found)
    ten.complaints.found.clear()


def test_signing_out_in_one_tab_empties_the_others(app: App, page: Page) -> None:
    other, third = app.open_all(2)
    other.evaluate("client.signOut()")
    for tab in (page, third):
        tab.wait_for_function("changes.at(-1) === 'signed_out'")
        assert session_of(tab) is None
    assert app.context.cookies() == []
    assert session_of(app.open()) is None


def test_signing_in_in_one_tab_is_known_in_the_others(app: App, page: Page) -> None:
    other = app.open()
    page.evaluate("client.signOut()")
    other.wait_for_function("changes.at(-1) === 'signed_out'")
    sign_in(page, as_in=page)
    other.wait_for_function("changes.at(-1) === 'signed in'")
    assert ask(other) == 200


def test_a_session_that_is_ended_elsewhere_shows_on_the_next_request(app: App, page: Page, chromium: Browser) -> None:
    with chromium.new_context(ignore_https_errors=True) as elsewhere:
        phone = App(elsewhere, app.origin).open()
        sign_in(phone, as_in=page)
        ended = phone.evaluate(
            "client.fetch('/v1/sessions?keep=current', {method: 'DELETE'}).then(response => response.json())"
        )
        assert ended == {"revoked": 1}
        assert ask(page) == 401
        assert changes_of(page)[-1] == "signed_out"
        assert session_of(page) is None
        assert ask(phone) == 200


def test_a_reload_keeps_the_session(page: Page) -> None:
    before = session_of(page)
    page.reload()
    assert session_of(page)["session"]["id"] == before["session"]["id"]
    assert ask(page) == 200


def test_no_credential_is_ever_where_a_script_can_find_it(context: BrowserContext, server: Clocked) -> None:
    context.add_init_script(WATCH_STORAGE)
    app = App(context, server.origin)
    secrets: set[str] = set()

    def learn(answer: Any) -> None:
        if answer.url.endswith(("/v1/token", "/v1/sessions")) and answer.ok:
            body = answer.json()
            secrets.update(body[name] for name in ("access_token", "csrf_token") if name in body)

    context.on("response", learn)
    page = app.open()
    written: list[list[str]] = []

    def look() -> None:
        secrets.update(cookie["value"] for cookie in context.cookies())
        written.extend(page.evaluate("written.splice(0)"))
        assert page.evaluate("document.cookie") == ""
        assert page.evaluate("[sessionStorage.length, window.name, history.state]") == [0, "", None]
        assert page.evaluate("indexedDB.databases()") == []
        assert page.evaluate("caches.keys()") == []
        # Between attempts there is nothing; within one, its key.
        assert page.evaluate("Object.values(localStorage)") == []

    look()
    sign_up(page)
    look()
    for _ in range(2):
        server.clock.move(AN_HOUR)
        skip_time([page], 3600)
        assert ask(page) == 200
        look()
    page.reload()
    assert session_of(page) is not None
    look()
    page.evaluate("client.signOut()")
    look()
    assert len(secrets) >= 8
    assert {kind for kind, _ in written} == {"localStorage"}
    assert all(re.fullmatch("[0-9a-f]{32}", value) for _, value in written)
    assert not [value for _, value in written if value in secrets]


def test_an_injected_script_cannot_read_the_refresh_token(app: App, page: Page) -> None:
    script = """async () => {
      const found = [document.cookie, JSON.stringify(await cookieStore.getAll()), JSON.stringify(Object.keys(client))];
      new BroadcastChannel("doorward " + location.origin).onmessage = (event) => found.push(JSON.stringify(event.data));
      const form = new URLSearchParams({grant_type: "refresh_token"});
      for (const credentials of ["include", "omit"]) {
        const answer = await fetch("/v1/token", {method: "POST", body: form, credentials});
        found.push(await answer.text(), JSON.stringify([...answer.headers]), String(answer.headers.getSetCookie()));
      }
      const old = new XMLHttpRequest();
      old.open("POST", "/v1/token", false);
      old.send(form);
      found.push(old.responseText, old.getAllResponseHeaders());
      return found;
    }"""
    tokens = {cookie["value"] for cookie in app.context.cookies()}
    seen = "\n".join(page.evaluate(script))
    tokens |= {cookie["value"] for cookie in app.context.cookies()}
    assert "access_token" in seen
    assert len(tokens) == 2
    assert not [token for token in tokens if token in seen or token[-40:] in seen]


def test_the_strategy_session_works_with_the_same_client(context: BrowserContext, certificate: Path) -> None:
    with a_clocked_site(certificate, strategy="session") as server:
        app = App(context, server.origin)
        page = app.open()
        sign_up(page)
        other = app.open()
        assert [ask(page), ask(other)] == [200, 200]
        assert page.evaluate("client.fetch('/v1/sessions?keep=current', {method: 'DELETE'}).then(r => r.status)") == 200
        other.evaluate("client.signOut()")
        page.wait_for_function("changes.at(-1) === 'signed_out'")
        assert ask(page) == 401


def test_ten_tabs_outlive_a_server_that_is_killed_and_started_again_and_renew_once(
    context: BrowserContext, site: Site, complaints: Complaints
) -> None:
    app = App(context, site.origin)
    page = app.open()
    sign_up(page)
    tabs = [page, *app.open_all(TABS - 1)]
    app.refused.clear()
    app.renewals.clear()
    site.kill()
    skip_time(tabs, 3600)
    with context.expect_event("requestfailed"):
        page.evaluate("new BroadcastChannel('go').postMessage('go')")
    site.start()
    for tab in tabs:
        tab.wait_for_function("answers.length === 1")
        assert tab.evaluate("answers[0]") == 200
    assert app.renewals == [200]
    assert app.refused == []
    assert [changes_of(tab) for tab in tabs] == [["signed in"]] * TABS
    assert all(each.startswith(LOST) for each in complaints.found)
    complaints.found.clear()


def test_whoever_signed_in_at_the_hosted_pages_is_signed_in_here_and_the_other_way_round(
    context: BrowserContext, site: Site
) -> None:
    hosted = context.new_page()
    hosted.goto(f"{site.origin}/sign-up")
    hosted.locator("#email").fill("grace@example.com")
    hosted.locator("#password").fill("a walrus in seven teapots")
    hosted.locator("#password").press("Enter")
    hosted.wait_for_url("**/sessions")
    page = App(context, site.origin).open()
    assert session_of(page)["account"]["email"] == "grace@example.com"
    assert ask(page) == 200
    page.evaluate("client.signOut()")
    hosted.reload()
    hosted.wait_for_url("**/sign-in**")


def test_signing_out_at_the_hosted_pages_is_known_in_an_open_tab_without_a_request_of_its_own(
    context: BrowserContext, site: Site
) -> None:
    page = App(context, site.origin).open()
    sign_up(page)
    hosted = context.new_page()
    hosted.goto(f"{site.origin}/sign-out")
    hosted.locator("main button").click()
    page.wait_for_function("changes.at(-1) === 'signed_out'")
    hosted.goto(f"{site.origin}/sign-in")
    ada = page.evaluate("window.ada")
    hosted.locator("#email").fill(ada["email"])
    hosted.locator("#password").fill(ada["password"])
    hosted.locator("#password").press("Enter")
    page.wait_for_function("changes.at(-1) === 'signed in'")


def test_an_anonymous_visitor_finds_no_error_in_the_console(context: BrowserContext, server: Clocked) -> None:
    logged: list[str] = []
    context.on("console", lambda message: logged.append(message.text))
    page = App(context, server.origin).open()
    assert session_of(page) is None
    assert logged == []


def test_a_react_component_shows_who_is_signed_in_and_renders_when_that_changes(
    context: BrowserContext, server: Clocked
) -> None:
    page = App(context, server.origin, script=bundle_in_react()).open()
    who = page.locator("#who")
    expect(who).to_have_text("nobody")
    sign_up(page)
    expect(who).to_have_text(page.evaluate("window.ada.email"))
    renders = page.evaluate("renders")
    assert ask(page) == 200
    other = App(context, server.origin).open()
    other.evaluate("client.signOut()")
    expect(who).to_have_text("nobody")
    assert page.evaluate("renders") == renders + 1


def test_a_password_changed_by_the_client_ends_the_other_sessions_and_keeps_this_one(
    app: App, page: Page, chromium: Browser
) -> None:
    with chromium.new_context(ignore_https_errors=True) as elsewhere:
        phone = App(elsewhere, app.origin).open()
        sign_in(phone, as_in=page)
        assert [each["current"] for each in page.evaluate("client.sessions()")].count(True) == 1
        page.evaluate("client.changePassword({current: ada.password, next: 'eight copper pans ring at dusk'})")
        app.refused.clear()
        assert ask(page) == 200
        assert app.refused == []
        assert ask(phone) == 401
        assert changes_of(phone)[-1] == "password_changed"
