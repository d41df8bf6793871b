"""Pages of an attacker's, on another site and on a sibling host, try whatever a page can do; no state changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Complaints, NewContext
from tests.browser.sites import Elsewhere, Site, an_elsewhere
from tests.browser.test_pages import PASSWORD, sign_in, sign_up

VICTIM, ATTACKER = "victim@example.com", "eve@example.com"
FORMS = {
    "/end-other-sessions": {},
    "/end-session": {"session": ""},
    "/sign-out": {},
    "/change-password": {"current_password": PASSWORD, "new_password": "known to the attacker alone"},
    "/sign-in": {"email": ATTACKER, "password": PASSWORD},
    "/sign-up": {"email": "mallory@example.com", "password": PASSWORD},
}
FETCHES = """async ([origin, paths]) => {
    const seen = new Set();
    const ways = [
        { method: "GET", mode: "cors", credentials: "include" },
        { method: "POST", mode: "cors", credentials: "include", body: new URLSearchParams({ session: "x" }) },
        { method: "POST", mode: "no-cors", credentials: "include", body: new URLSearchParams({ session: "x" }) },
        { method: "POST", mode: "cors", credentials: "omit", body: new URLSearchParams({ session: "x" }) },
    ];
    await Promise.all(paths.flatMap((path) => ways.map(async (way) => {
        try {
            const answer = await fetch(origin + path, way);
            seen.add(`${answer.type} ${answer.status} ${await answer.text()}`);
        } catch { seen.add("refused"); }
    })));
    return [...seen];
}"""


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    # The cookie of this strategy is the one that goes along with links.
    return {"STRATEGY": "session"}


@pytest.fixture(scope="module")
def sibling(certificate: Path) -> Iterator[Elsewhere]:
    """A host of the same site: all our cookies go along with its requests."""
    with an_elsewhere(certificate, host="blog.example.test") as running:
        yield running


def test_no_state_changes(
    new_context: NewContext, site: Site, evil: Elsewhere, sibling: Elsewhere, complaints: Complaints
) -> None:
    victim = new_context().new_page()
    sign_up(victim, VICTIM)
    # A second device, which the attacker would like the victim to be rid of.
    phone = new_context(java_script_enabled=False).new_page()
    sign_in(phone, VICTIM)
    sign_up(new_context().new_page(), ATTACKER)
    before = what_is_known(victim)
    assert len(before) == 2
    FORMS["/end-session"]["session"] = before[1]
    page = victim.context.new_page()
    for attacker in (evil, sibling):
        post_forms(page, site, attacker, cookies_go_along=attacker is sibling)
        fetch(page, site, attacker)
        frame(page, site, attacker)
        assert what_is_known(victim) == before
    follow_links_and_load_images(page, site, evil)
    assert what_is_known(victim) == before
    phone.goto("/sessions")
    expect(phone.get_by_text(f"Signed in as {VICTIM}")).to_be_visible()
    # Nobody has been signed up, and nobody's password has been changed.
    phone.context.clear_cookies()
    sign_in(phone, "mallory@example.com")
    expect(phone.get_by_role("alert")).to_be_visible()
    sign_in(phone, VICTIM)
    expect(phone.get_by_text(f"Signed in as {VICTIM}")).to_be_visible()
    complaints.found.clear()


def post_forms(page: Page, site: Site, attacker: Elsewhere, *, cookies_go_along: bool) -> None:
    for path, fields in FORMS.items():
        inputs = "".join(f'<input name="{name}" value="{value}">' for name, value in fields.items())
        attacker.pages["/form"] = (
            f'<form method="post" action="{site.origin}{path}">{inputs}<button>Win</button></form>'
        )
        page.goto(f"{attacker.origin}/form")
        page.get_by_role("button").click()
        page.wait_for_url(f"{site.origin}/**")
        if cookies_go_along or path in {"/sign-in", "/sign-up"}:
            expect(page.get_by_role("alert")).to_contain_text("Nothing was done")


def fetch(page: Page, site: Site, attacker: Elsewhere) -> None:
    attacker.pages["/fetch"] = "<h1>fetch</h1>"
    page.goto(f"{attacker.origin}/fetch")
    # Nothing of an answer can be read.
    assert set(page.evaluate(FETCHES, [site.origin, [*FORMS, "/sessions"]])) <= {"refused", "opaque 0 "}


def follow_links_and_load_images(page: Page, site: Site, attacker: Elsewhere) -> None:
    attacker.pages["/images"] = "".join(f'<img src="{site.origin}{path}">' for path in FORMS)
    page.goto(f"{attacker.origin}/images")
    attacker.pages["/links"] = "".join(f'<a href="{site.origin}{path}">{path}</a>' for path in FORMS)
    for path in ("/sign-out", "/end-session", "/end-other-sessions"):
        page.goto(f"{attacker.origin}/links")
        page.get_by_role("link", name=path, exact=True).click()
        page.wait_for_url(f"{site.origin}/**")


def frame(page: Page, site: Site, attacker: Elsewhere) -> None:
    attacker.pages["/frame"] = f'<iframe src="{site.origin}/sessions"></iframe>'
    page.goto(f"{attacker.origin}/frame")
    assert VICTIM not in page.frames[1].content()


def what_is_known(page: Page) -> list[str]:
    """The ids of the sessions that stand, the victim's own first."""
    page.goto("/sessions")
    expect(page.get_by_text(f"Signed in as {VICTIM}")).to_be_visible()
    return [str(each.get_attribute("value")) for each in page.locator("input[name=session]").all()]
