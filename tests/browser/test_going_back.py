"""Going back after signing out, in a browser that keeps whole pages in memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import CHROMIUM, FLAGS, PATIENCE_MILLISECONDS
from tests.browser.sites import Site

pytestmark = pytest.mark.xdist_group("browser")

PASSWORD = "a walrus in seven teapots"


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    return {"STRATEGY": "session"}


@pytest.fixture(scope="module")
def with_memory(chromium: Browser) -> Iterator[Browser]:
    """Chromium as people have it: Playwright switches the back-forward cache off."""
    browser = chromium.browser_type.launch(
        executable_path=CHROMIUM, args=FLAGS, ignore_default_args=["--disable-back-forward-cache"]
    )
    yield browser
    browser.close()


def signed_up(browser: Browser, site: Site, email: str, *, scripts: bool) -> tuple[BrowserContext, Page]:
    context = browser.new_context(
        ignore_https_errors=True, base_url=site.origin, locale="en-GB", java_script_enabled=scripts
    )
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    page = context.new_page()
    page.goto("/sign-up")
    page.locator("#email").fill(email)
    page.locator("#password").fill(PASSWORD)
    page.locator("#password").press("Enter")
    page.wait_for_url("**/sessions")
    return context, page


def sign_out(page: Page) -> None:
    page.get_by_role("link", name="Sign out").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("status")).to_have_text("You are signed out.")


@pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_going_back_shows_nothing_of_whoever_has_signed_out(with_memory: Browser, site: Site, *, scripts: bool) -> None:
    email = f"ada.{scripts}@example.com".lower()
    context, page = signed_up(with_memory, site, email, scripts=scripts)
    with context:
        sign_out(page)
        # Past the question whether to sign out, to the list of sessions.
        for _ in range(2):
            page.go_back(wait_until="commit")
            expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
            expect(page.get_by_text(email)).to_have_count(0)


def test_a_page_from_memory_is_hidden_until_it_is_known_who_is_signed_in(with_memory: Browser, site: Site) -> None:
    context, page = signed_up(with_memory, site, "grace@example.com", scripts=True)
    with context:
        # What can be seen at the moment of coming back is noted before the page asks the server.
        page.evaluate(
            """addEventListener("pageshow", (event) => sessionStorage.setItem(
                "seen", `${event.persisted} ${document.body.checkVisibility()}`), { capture: true })"""
        )
        page.get_by_role("link", name="Change your password").click()
        page.wait_for_url("**/change-password")
        page.go_back()
        # Still signed in: the page is shown as it is now.
        expect(page.get_by_role("heading", name="Your sessions")).to_be_visible()
        assert page.evaluate("sessionStorage.getItem('seen')") == "true false"
