"""``doorward copy``: what it prints, and what it keeps to itself.  What it copies is tested with the stores."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]

ADDRESSES = ("--from", "sqlite:///doorward.db", "--to", "sqlite:///new.db")


@pytest.fixture
def new(database: Command) -> Command:
    """As ``database``, where there is an empty one beside it, called ``new.db``."""
    assert database("migrate", "--database", "sqlite:///new.db").code == 0
    return database


def test_counts_and_checksums_are_printed(new: Command) -> None:
    done = new("copy", *ADDRESSES, "--json").json
    accounts = next(table for table in done["tables"] if table["name"] == "doorward_account")
    assert (accounts["rows"], accounts["written"], accounts["removed"]) == (1, 1, 0)
    assert len(accounts["checksum"]) == 64
    assert done["from"].endswith("/doorward.db")
    assert 0 <= done["held_seconds"] <= done["seconds"]
    again = new("copy", *ADDRESSES)
    assert accounts["checksum"] in again.out
    assert "both have the same rows" in again.out
    assert again.err == ""


def test_where_somebody_watches_it_shows_how_far_it_is(new: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    shown = new("copy", *ADDRESSES, "--json")
    assert shown.json["tables"]
    for said in ("copying doorward_account", "settling doorward_audit_event"):
        assert said in shown.err


def test_users_are_found_in_the_copy_under_the_same_secret(new: Command, folder: Path) -> None:
    assert new("copy", *ADDRESSES).code == 0
    alone = new("accounts", "list", "--database", "sqlite:///new.db")
    assert (alone.code, "DOORWARD_SECRET" in alone.err) == (2, True)
    shutil.copy(folder / "doorward.secret", folder / "new.secret")
    assert "ada@example.com" in new("accounts", "list", "--database", "sqlite:///new.db").out


@pytest.mark.parametrize(
    ("addresses", "says"),
    [
        (("sqlite:///doorward.db", "sqlite:///missing.db"), "doorward migrate"),
        (("sqlite:///missing.db", "sqlite:///new.db"), "There is no database"),
        (("sqlite:///doorward.db", "sqlite:///doorward.db"), "the same database"),
        (("memory:", "sqlite:///new.db"), "Copy from and to"),
        (("sqlite:///doorward.db", "mysql://me:hunter2@127.0.0.1/x"), "postgresql://user:password@host"),
        (("sqlite:///doorward.db", "postgresql://me:hunter2@127.0.0.1:1/x"), "127.0.0.1:1"),
        (("postgresql://127.0.0.1:1/x?password=hunter2", "sqlite:///new.db"), "127.0.0.1:1"),
    ],
)
def test_what_cannot_be_done_is_told_with_the_remedy_and_without_passwords(
    new: Command, addresses: tuple[str, str], says: str
) -> None:
    done = new("copy", "--from", addresses[0], "--to", addresses[1])
    assert done.code == 2
    assert says in done.err
    assert "hunter2" not in done.out + done.err


def test_both_addresses_have_to_be_named(command: Command) -> None:
    for half in (ADDRESSES[:2], ADDRESSES[2:]):
        assert command("copy", *half).code == 2
