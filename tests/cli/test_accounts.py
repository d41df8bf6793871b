from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from doorward.audit.model import Origin
from doorward.cli.output import plain
from doorward.errors import InvalidCredentials

PASSWORD = "a-long-walk-by-the-sea"
Command = Callable[..., Any]


def create(command: Command, email: str, *flags: str) -> Any:
    return command("accounts", "create", email, "--password-stdin", *flags, stdin=f"{PASSWORD}\n")


def test_an_account_that_is_created_can_sign_in(database: Command, application: Any) -> None:
    assert application.sign_in().account.email == "ada@example.com"
    assert database("accounts", "list").out.count("ada@example.com") == 1


def test_roles_and_name_are_given_at_creation(database: Command) -> None:
    done = create(database, "root@example.com", "--role", "admin", "--role", "auditor", "--name", "Root", "--json")
    account = done.json["account"]
    assert (account["roles"], account["name"], account["disabled"]) == (["admin", "auditor"], "Root", False)


def test_a_space_around_the_address_is_no_part_of_it(database: Command) -> None:
    assert create(database, " bob@example.com ", "--json").json["account"]["email"] == "bob@example.com"
    assert "bob@example.com" in database("accounts", "list", " bob@example.com ").out
    assert database("sessions", "list", "--account", " bob@example.com ").code == 0


def test_a_password_is_never_an_argument_and_never_shown(database: Command) -> None:
    assert "--password " not in database("accounts", "create", "--help").out
    done = database("accounts", "create", "eve@example.com")
    assert done.code == 2
    assert "--password-stdin" in done.err
    assert PASSWORD not in str(create(database, "eve@example.com"))


def test_a_refusal_exits_with_1_and_says_why(database: Command) -> None:
    taken = create(database, "ADA@example.com")
    assert taken.code == 1
    assert "exists" in taken.err
    weak = database("accounts", "create", "eve@example.com", "--password-stdin", stdin="password\n")
    assert weak.code == 1
    assert "guessed too easily" in weak.err
    assert create(database, "no address").code == 1


def test_listing_goes_page_by_page(database: Command) -> None:
    for name in ("bob", "eve"):
        assert create(database, f"{name}@example.com").code == 0
    emails: list[str] = []
    cursor: list[str] = []
    while True:
        page = database("accounts", "list", "--json", "--limit", "2", *cursor).json
        emails += [each["email"] for each in page["accounts"]]
        if page["next_cursor"] is None:
            break
        cursor = ["--cursor", page["next_cursor"]]
    assert sorted(emails) == ["ada@example.com", "bob@example.com", "eve@example.com"]
    assert [each["email"] for each in database("accounts", "list", "BOB", "--json").json["accounts"]] == [
        "bob@example.com"
    ]


def test_a_cursor_of_nobody_is_refused(database: Command) -> None:
    assert database("accounts", "list", "--cursor", "x").code == 1


def test_a_disabled_account_is_out_at_once_and_can_be_enabled_again(database: Command, application: Any) -> None:
    application.sign_in()
    done = database("accounts", "disable", "Ada@Example.com", "--json")
    account = done.json["account"]
    assert account["disabled"] is True
    assert database("sessions", "list", "--account", account["id"], "--json").json == {"sessions": []}
    with pytest.raises(InvalidCredentials):
        application.sign_in()
    assert "enabled" in database("accounts", "enable", account["id"]).out
    application.sign_in()


def test_an_account_that_there_is_not_exits_with_1(database: Command) -> None:
    for named in ("nobody@example.com", "nobody"):
        done = database("accounts", "disable", named)
        assert done.code == 1
        assert done.err.startswith("doorward: ")


def test_names_of_strangers_do_not_steer_the_terminal(database: Command, application: Any) -> None:
    assert plain("a\x1b[2Jb\r\n\u202ec") == "a\\x1b[2Jb\\x0d\\x0a\\x202ec"
    application.sign_in(origin=Origin(ip="192.0.2.7", user_agent="evil\x1b[31m[bold]"))
    listed = database("sessions", "list", "--account", "ada@example.com").out
    assert "\x1b" not in listed
    assert "[bold]" in listed


def test_a_database_that_is_missing_is_not_made_by_looking(command: Command, folder: Any) -> None:
    done = command("accounts", "list")
    assert done.code == 2
    assert "doorward migrate" in done.err
    assert list(folder.iterdir()) == []


def test_memory_cannot_be_reached_from_here(command: Command) -> None:
    done = command("accounts", "list", "--database", "memory:")
    assert done.code == 2
    assert "DW070" in done.err
