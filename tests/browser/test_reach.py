from __future__ import annotations

import pytest
from playwright.sync_api import Page

pytestmark = pytest.mark.xdist_group("browser")


def test_a_browser_reaches_the_server_by_its_name_over_tls(page: Page) -> None:
    answer = page.goto("/healthz")
    assert answer is not None
    assert answer.status == 200
    assert page.evaluate("isSecureContext")
