from __future__ import annotations

from collections.abc import Callable
from typing import Any

Command = Callable[..., Any]
ONE_SITE = ("doctor", "--app", "https://app.example.com", "--api", "https://api.example.com")


def test_the_doctor_says_what_works_and_prints_the_settings(command: Command) -> None:
    done = command(*ONE_SITE)
    assert done.code == 0
    assert "two origins of one site (example.com)" in done.out
    first = done.out.split("\n\n")[1]
    assert "Chrome, Edge, Firefox, Safari, the one to choose" in first
    assert "DOORWARD_CORS_ORIGINS=https://app.example.com" in first
    assert 'createClient({ base: "https://api.example.com" })' in first


def test_what_works_nowhere_comes_without_settings_to_copy(command: Command) -> None:
    done = command("doctor", "--app", "https://app.example.com", "--api", "https://example.org")
    last = done.out.split("\n\n")[-1]
    assert "works in no browser" in last
    assert "DOORWARD_" not in last


def test_the_doctor_tells_programs_the_same(command: Command) -> None:
    found = command(*ONE_SITE, "--json").json
    assert found["relation"] == "same_site"
    assert found["ways"][0]["name"] == "cookie"
    assert found["ways"][0]["works_in"] == ["chromium", "firefox", "safari"]


def test_what_is_no_origin_is_told(command: Command) -> None:
    done = command("doctor", "--app", "app.example.com", "--api", "https://example.org")
    assert (done.code, done.err.startswith("doorward: DW075: --app is no origin.")) == (2, True)
