from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from werkzeug.security import generate_password_hash

from doorward.errors import InvalidCredentials

PASSWORD = "a password from elsewhere"
MADE = generate_password_hash(PASSWORD, "pbkdf2:sha256:1000")
Command = Callable[..., Any]


def written(path: Path, *lines: object) -> str:
    file = path / "accounts.jsonl"
    file.write_text("".join(each if isinstance(each, str) else json.dumps(each) + "\n" for each in lines))
    return str(file)


def test_accounts_are_imported_line_by_line_and_what_is_wrong_is_told_without_the_hash(
    database: Command, tmp_path: Path
) -> None:
    file = written(
        tmp_path,
        {"email": "bob@example.com", "password_hash": MADE, "name": "Bob", "roles": ["editor"], "id": 7},
        "\n",
        {"email": "ada@example.com", "password_hash": MADE},
        {"email": "eve@example.com", "password_hash": "md5$x$" + "f" * 32},
        {"email": "eve@example.com", "pasword_hash": MADE},
        "no JSON\n",
        {"email": "dan@example.com", "password_hash": None, "email_verified": True},
    )
    done = database("accounts", "import", file)
    assert done.code == 1
    assert done.out.startswith("Imported 2 accounts; 1 addresses had one already; 3 lines were refused.")
    assert [line.partition(":")[0] for line in done.err.splitlines()] == ["line 4", "line 5", "line 6"]
    assert MADE not in done.err
    assert "f" * 32 not in done.err
    again = database("accounts", "import", written(tmp_path, {"email": "bob@example.com"}), "--json")
    assert (again.code, again.json["outcome"]) == (0, "present")
    assert "Bob" in database("accounts", "list", "bob@example.com").out


def test_a_space_around_an_imported_address_is_no_part_of_it(database: Command, tmp_path: Path) -> None:
    done = database("accounts", "import", written(tmp_path, {"email": " ada@example.com "}), "--json")
    assert (done.code, done.json["outcome"]) == (0, "present")


def test_programs_are_told_which_account_was_which(database: Command, tmp_path: Path) -> None:
    done = database("accounts", "import", written(tmp_path, {"email": "bob@example.com", "id": "old-7"}), "--json")
    assert (done.json["line"], done.json["id"], done.json["outcome"]) == (1, "old-7", "imported")
    assert done.json["account"] in database("accounts", "list").out


@pytest.mark.parametrize(
    "stored", ["$2b$12$" + "!" * 53, "$argon2id$v=19$m=8,t=1000000,p=1$c2FsdHNhbHQ$" + "A" * 43, "argon2$argon2id$"]
)
def test_a_hash_that_a_copied_database_brings_along_and_that_cannot_be_used_is_a_wrong_password(
    database: Command, application: Any, stored: str
) -> None:
    with closing(sqlite3.connect("doorward.db")) as made, made:
        made.execute("UPDATE doorward_account SET password_hash = ?", [stored])
    assert database("migrate", "--database", "sqlite:///copy.db").code == 0
    assert database("copy", "--from", "sqlite:///doorward.db", "--to", "sqlite:///copy.db").code == 0
    Path("copy.db").replace("doorward.db")
    with pytest.raises(InvalidCredentials):
        application.sign_in()


def test_a_file_that_cannot_be_read_is_a_mistake_on_the_command_line(database: Command, tmp_path: Path) -> None:
    missing = database("accounts", "import", str(tmp_path / "nowhere"))
    assert (missing.code, "cannot be read" in missing.err) == (2, True)
    long = database("accounts", "import", written(tmp_path, "x" * 20_000))
    assert (long.code, "longer than 16 KiB" in long.err) == (2, True)
