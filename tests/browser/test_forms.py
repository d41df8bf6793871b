"""What the pages' script makes of a form: mistakes before it is sent, and a sign that its answer takes a while."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect

pytestmark = pytest.mark.xdist_group("browser")

PASSWORD = "a walrus in seven teapots"


@pytest.fixture
def held(page: Page) -> Iterator[list[Route]]:
    """Forms that were sent and are not answered."""
    found: list[Route] = []

    def hold(route: Route) -> None:
        if route.request.method == "POST":
            found.append(route)
        else:
            route.continue_()

    page.route("**/sign-in", hold)
    yield found
    page.unroute_all(behavior="ignoreErrors")


# In one script of the page: while a form is on its way, Playwright waits for the answer before it does anything else.
_SENT_AND_STOPPED = """(stop) => new Promise((resolve) => {
  const form = document.forms[0], button = form.querySelector("button.main"), seen = [];
  new MutationObserver((_, observer) => {
    seen.push([form.ariaBusy, button.textContent]);
    if (form.ariaBusy) {
      stop === "Escape" ? dispatchEvent(new KeyboardEvent("keydown", { key: stop })) : globalThis.stop();
    } else {
      observer.disconnect();
      globalThis.stop();
      resolve(seen);
    }
  }).observe(form, { attributeFilter: ["aria-busy"] });
  button.click();
  button.click();
})"""


@pytest.mark.parametrize("stop", ["Escape", "the browser's button"])
def test_a_form_that_is_on_its_way_shows_it_and_can_be_sent_again_once_it_is_stopped(
    page: Page, held: list[Route], stop: str
) -> None:
    page.goto("/sign-in")
    page.locator("#email").fill("ada@example.com")
    page.locator("#password").fill(PASSWORD)
    for sent in (1, 2):
        seen = page.evaluate(_SENT_AND_STOPPED, stop)
        assert seen == [["true", "One moment"], [None, "Sign in"]]
        # The second click of each time has sent nothing.
        assert len(held) == sent
    expect(page.locator("#password")).to_have_value(PASSWORD)


def test_what_is_missing_is_said_all_at_once_and_keeps_the_password(page: Page, held: list[Route]) -> None:
    page.goto("/sign-up")
    page.locator("#password").fill(PASSWORD)
    page.get_by_role("button", name="Create an account").click()
    email, password = page.locator("#email"), page.locator("#password")
    expect(email).to_be_focused()
    expect(email).to_have_accessible_description("Enter your e-mail address.")
    expect(password).to_have_value(PASSWORD)
    email.fill("ada")
    password.fill("")
    password.press("Enter")
    expect(email).to_have_accessible_description("This is not an e-mail address.")
    expect(password).to_have_accessible_description(
        "Three or four uncommon words are good, and so is what a password manager makes. Enter a password."
    )
    expect(page.locator("[aria-invalid]")).to_have_count(2)
    assert held == []
    email.fill("ada.forms@example.com")
    password.fill(PASSWORD)
    password.press("Enter")
    page.wait_for_url("**/sessions")
