"""The lab in a browser: its main path, under its policy, in both themes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import PATIENCE_MILLISECONDS, Complaints
from tests.browser.sites import Site

AXE = Path(__file__).parents[1] / "oracles" / "node_modules" / "axe-core" / "axe.min.js"
STRATEGIES = ("session", "jwt", "hybrid")


expect.set_options(timeout=PATIENCE_MILLISECONDS)


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    return {"LAB": "on"}


@pytest.fixture
def lab(chromium: Browser, site: Site, complaints: Complaints) -> Iterator[Page]:
    # Not by the front's name: the lab answers to this machine's own.
    with chromium.new_context(base_url=site.address, color_scheme="dark") as context:
        context.set_default_timeout(PATIENCE_MILLISECONDS)
        complaints.watch(context)
        page = context.new_page()
        page.goto("/lab")
        yield page


def press(page: Page, strategy: str, name: str) -> None:
    page.locator(f"#column-{strategy}").get_by_role("button", name=name).click()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_session_is_watched_from_signing_in_to_its_end(lab: Page, strategy: str) -> None:
    column = lab.locator(f"#column-{strategy}")
    press(lab, strategy, "Sign in")
    expect(column).to_contain_text("cookie" if strategy == "session" else "access token")
    expect(lab.locator("#received mark").first).to_be_visible()
    press(lab, strategy, "Send a request")
    expect(column).to_contain_text("200, let in")
    expect(column).to_contain_text("of the store")
    expect(lab.locator("#sent mark").first).to_be_visible()
    press(lab, strategy, "End it elsewhere")
    expect(column).to_contain_text("refused after")
    plain = "without asking" if strategy == "session" else re.compile(r"lets it in for another 1[45] min")
    expect(column).to_contain_text(plain)
    expect(column.get_by_role("button", name="Send a request")).to_be_disabled()


def test_the_comparison_is_measured(lab: Page) -> None:
    lab.get_by_role("button", name="Measure").click()
    table = lab.locator("#table")
    expect(table).to_be_visible()
    rows: list[Any] = table.locator("tbody tr").evaluate_all("rows => rows.map(row => row.innerText.split('\\t'))")
    found = {name: cells for name, *cells in rows}
    assert found["The next 40 ask"] == ["nothing: answered from memory"] * 3
    sizes = [int(cell.split()[0]) for cell in found["A request carries"]]
    assert sizes[0] < 100 < sizes[1]
    assert all(cell.endswith(" ms") for cell in found["Ended elsewhere, refused after"])


def test_the_thief_of_a_refresh_token_is_found_out(lab: Page) -> None:
    lab.get_by_role("button", name="Copy the refresh token").click()
    story = lab.locator("#theft")
    expect(story).to_contain_text("refresh.reused")
    expect(story).to_contain_text("The thief presents the copy: refused: reuse")


def test_the_thief_of_a_cookie_is_let_in_until_the_session_ends(lab: Page) -> None:
    lab.get_by_role("button", name="Copy the cookie").click()
    expect(lab.locator("#theft li.bad, #theft .bad")).to_have_count(2)
    expect(lab.locator("#theft")).to_contain_text("session.ended")


def test_two_tabs_that_renew_at_once_both_go_on(lab: Page) -> None:
    lab.get_by_role("button", name="Race").click()
    expect(lab.locator("#races")).to_contain_text("let in and let in")
    expect(lab.locator("#races .bad")).to_have_count(0)
    expect(lab.locator("#races")).to_contain_text("to the byte: one chain")


def test_a_token_is_read(lab: Page) -> None:
    press(lab, "jwt", "Sign in")
    lab.locator("#column-jwt").get_by_role("button", name="read").click()
    expect(lab.locator("#claims")).to_contain_text("at+jwt")
    lab.get_by_label("Access token").fill("no token")
    expect(lab.locator("#claims")).to_be_hidden()
    expect(lab.locator("#unreadable")).to_contain_text("no token in three parts")


def test_the_questions_end_in_settings_to_copy(lab: Page) -> None:
    lab.get_by_label("A single-page application").check()
    lab.get_by_label("Another origin of its site").check()
    expect(lab.locator("#advice h3")).to_have_text("hybrid, carried by a cookie")
    expect(lab.locator("#advice pre")).to_contain_text('cors_origins = ["https://app.example.com"]')


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(lab: Page, theme: Any) -> None:
    if not AXE.exists():
        pytest.skip("tests/oracles/node_modules is missing: python3 dev.py setup --all")
    lab.emulate_media(color_scheme=theme)
    press(lab, "hybrid", "Sign in")
    expect(lab.locator("#column-hybrid")).to_contain_text("refresh token")
    lab.evaluate(AXE.read_text())
    violations = lab.evaluate(
        "axe.run().then(found => found.violations.map(each => [each.id, each.nodes.map(n => n.html)]))"
    )
    assert violations == []
