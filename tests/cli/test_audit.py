from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from doorward.audit.model import Origin
from doorward.blocking import run_blocking
from doorward.errors import InvalidCredentials
from doorward.secret import Secret
from tests.cli.test_accounts import create

Command = Callable[..., Any]


def try_to_sign_in(application: Any, email: str) -> None:
    with application.open() as auth, pytest.raises(InvalidCredentials):
        run_blocking(auth.sign_in(email=email, password=Secret("wrong" * 4), origin=Origin(ip="192.0.2.7:4711")))


def actions(done: Any) -> list[str]:
    return [event["action"] for event in done.json["events"]]


def test_the_trail_is_read_the_newest_first(database: Command, application: Any) -> None:
    try_to_sign_in(application, "ada@example.com")
    done = database("audit")
    assert done.code == 0
    assert done.out.index("session.refused") < done.out.index("account.created")
    assert "192.0.2.7 " in done.out
    assert "wrong password" in done.out
    [event] = database("audit", "--limit", "1", "--json").json["events"]
    assert (event["action"], event["actor"]["ip"]) == ("session.refused", "192.0.2.7")


def test_it_is_narrowed_by_account_action_and_time(database: Command, application: Any) -> None:
    for email in ("ada@example.com", "nobody@example.com"):
        try_to_sign_in(application, email)
    assert create(database, "bob@example.com").code == 0
    assert actions(database("audit", "--account", "ada@example.com", "--json")) == [
        "session.refused",
        "account.created",
    ]
    account = database("accounts", "show", "bob@example.com", "--json").json["account"]["id"]
    assert actions(database("audit", "--account", account, "--json")) == ["account.created"]
    assert actions(database("audit", "--action", "session.refused", "--json")) == ["session.refused"] * 2
    for since, expected in (("1h", 2), ("2000-01-01", 2), ("2999-01-01T00:00:00Z", 0)):
        assert len(actions(database("audit", "--action", "session.refused", "--since", since, "--json"))) == expected


def test_it_goes_on_after_a_page(database: Command, application: Any) -> None:
    for _ in range(3):
        try_to_sign_in(application, "ada@example.com")
    seen: list[str] = []
    cursor: list[str] = []
    while True:
        page = database("audit", "--action", "session.refused", "--limit", "2", "--json", *cursor).json
        seen += [event["id"] for event in page["events"]]
        if page["next_cursor"] is None:
            break
        cursor = ["--cursor", page["next_cursor"]]
    assert len(set(seen)) == len(seen) == 3


def test_what_cannot_be_asked_for_is_said(database: Command) -> None:
    misspelt = database("audit", "--action", "session.refusd")
    assert (misspelt.code, "session.refused?" in misspelt.err) == (2, True)
    assert database("audit", "--since", "yesterday").code == 2
    assert database("audit", "--account", "nobody@example.com").code == 1


def test_an_account_is_shown_and_changed(database: Command) -> None:
    assert "ada@example.com" in database("accounts", "show", "ada@example.com").out
    changed = database(
        "accounts", "change", "ada@example.com", "--role", "admin", "--role", "auditor", "--name", "Ada", "--json"
    )
    account = changed.json["account"]
    assert (account["roles"], account["name"], account["disabled"]) == (["admin", "auditor"], "Ada", False)
    assert "roles: admin auditor" in database("accounts", "change", "ada@example.com", "--name", "Lovelace").out
    bare = database("accounts", "change", "ada@example.com", "--no-roles", "--json").json["account"]
    assert (bare["roles"], bare["name"]) == ([], "Lovelace")
    assert database("accounts", "change", "ada@example.com").code == 2
    assert database("accounts", "change", "ada@example.com", "--no-roles", "--role", "admin").code == 2
    assert database("accounts", "change", "nobody@example.com", "--no-roles").code == 1


@pytest.mark.parametrize("spelt", [["--config", "other.toml"], ["--config=other.toml"]])
def test_the_file_of_settings_may_be_named_before_the_command(
    command: Command, folder: Path, with_an_account: Path, spelt: list[str]
) -> None:
    (folder / "other.toml").write_text(f'database = "sqlite:///{with_an_account}/doorward.db"\n')
    for arguments in ([*spelt, "accounts", "list"], ["accounts", "list", *spelt]):
        assert "ada@example.com" in command(*arguments).out
    assert "sqlite:///" in command(*spelt, "config", "show").out
    assert command("--config").code == 2
