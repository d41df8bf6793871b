from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]
SECRET = "the-secret-of-a-deployment-in-tests"


def shown(done: Any) -> dict[str, tuple[Any, str]]:
    return {each["name"]: (each["value"], each["from"]) for each in done.json["settings"]}


def test_each_setting_is_shown_with_where_it_comes_from(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "doorward.toml").write_text("port = 9000\nsession_limit = 1\n")
    monkeypatch.setenv("DOORWARD_RATE_LIMITS", "off")
    found = shown(command("config", "show", "--json"))
    assert found["port"] == (9000, "port in doorward.toml")
    assert found["session_limit"] == (1, "session_limit in doorward.toml")
    assert found["rate_limits"] == (False, "DOORWARD_RATE_LIMITS")
    assert found["access_lifetime"] == (900, "default")
    assert found["issuer"] == ("http://127.0.0.1:9000", "default")


def test_secrets_are_masked_wherever_they_come_from(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "key").write_text(SECRET)
    monkeypatch.setenv("DOORWARD_SECRET", f"{SECRET},{SECRET}2")
    monkeypatch.setenv("DOORWARD_ADMIN_KEY_FILE", "key")
    monkeypatch.setenv("DOORWARD_DATABASE", "postgresql://doorward:hunter2@db/doorward")
    monkeypatch.setenv("DOORWARD_REDIS_URL", "redis+sentinel://:hunter2@db/one?sentinel_password=hunter2")
    for flags in ([], ["--json"]):
        done = command("config", "show", *flags)
        assert done.code == 0
        assert SECRET not in done.out
        assert "hunter2" not in done.out
        assert "***" in done.out
        assert "DOORWARD_ADMIN_KEY_FILE" in done.out


def test_what_contradicts_itself_is_shown_and_told(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOORWARD_ACCESS_LIFETIME", "59")
    done = command("config", "show")
    assert done.code == 2
    assert "access_lifetime" in done.out
    assert "DW010" in done.err
