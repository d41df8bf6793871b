from __future__ import annotations

import pytest

from doorward.pages.devices import Device, read_device

CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0"


@pytest.mark.parametrize(
    ("agent", "browser", "system"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox", "Linux"),
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36", "Chrome", "Windows"),
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36 Edg/140.0", "Edge", "Windows"),
        (f"Mozilla/5.0 (X11; CrOS x86_64) {CHROME} Safari/537.36", "Chrome", "ChromeOS"),
        (f"Mozilla/5.0 (Linux; Android 15) {CHROME} Mobile Safari/537.36", "Chrome", "Android"),
        (f"Mozilla/5.0 (Linux; Android 15) SamsungBrowser/28.0 {CHROME} Safari/537.36", "Samsung Internet", "Android"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/18.0 Safari/605.1.15", "Safari", "macOS"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) CriOS/140.0 Safari/604.1", "Chrome", "iPhone"),
        ("Mozilla/5.0 (iPad; CPU OS 18_0 like Mac OS X) FxiOS/140.0 Safari/605.1.15", "Firefox", "iPad"),
        ("curl/8.5.0", "curl", None),
        ("something else", None, None),
        ("", None, None),
        (None, None, None),
    ],
)
def test_a_device_is_called_what_a_person_would_call_it(
    agent: str | None, browser: str | None, system: str | None
) -> None:
    assert read_device(agent) == Device(browser=browser, system=system)
