"""The small commands, and how failures are told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from doorward.errors import NotFound, StoreUnavailable
from doorward.ports import Removed

Command = Callable[..., Any]


def test_the_openapi_document_is_printed_without_settings_or_database(command: Command, folder: Path) -> None:
    done = command("openapi")
    assert done.json["openapi"].startswith("3.1")
    assert "/v1/sessions" in done.json["paths"]
    assert list(folder.iterdir()) == []


def test_migrating_makes_the_database_and_says_what_it_did(command: Command, folder: Path) -> None:
    assert command("migrate").out.startswith("Migrated from nothing to revision ")
    assert (folder / "doorward.db").exists()
    assert command("migrate").out.startswith("Already at revision ")
    again = command("migrate", "--json").json
    assert again["before"] == again["after"]


def test_cleaning_up_counts_what_it_removed(database: Command, application: Any) -> None:
    application.sign_in()
    assert database("cleanup", "--json").json == {"sessions": 0, "revocations": 0, "audit_events": 0, "keys": 0}
    assert database("cleanup").out.startswith("Removed: 0 sessions")


def test_cleaning_up_shows_how_much_it_has_removed_where_somebody_watches(
    database: Command, application: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    application.sign_in()
    # A server has its turn in between.
    batches = iter(
        [Removed(sessions=500, more=True), Removed(elsewhere=True), Removed(sessions=1_200, audit_events=34)]
    )

    async def remove_expired(_: object) -> Removed:
        return next(batches)

    monkeypatch.setattr("doorward.doorward.Doorward.remove_expired", remove_expired)
    monkeypatch.setenv("FORCE_COLOR", "1")
    done = database("cleanup")
    assert done.out == "Removed: 1700 sessions, 0 revocations, 34 audit events, 0 keys.\n"
    assert "removed 1,734 rows" in done.err


def test_the_settings_of_a_file_hold_for_commands_too(database: Command, folder: Path) -> None:
    (folder / "a.toml").write_text('database = "sqlite:///doorward.db"\n')
    (folder / "b.toml").write_text('database = "sqlite:///other.db"\n')
    assert database("accounts", "list", "--config", "a.toml").code == 0
    assert database("accounts", "list", "--config", "b.toml").code == 2
    assert database("accounts", "list", "--config", "b.toml", "--database", "sqlite:///doorward.db").code == 0


@pytest.mark.parametrize("arguments", [["nothing"], ["accounts"], ["accounts", "list", "--limit", "0"], ["keys", "x"]])
def test_a_command_line_that_is_wrong_exits_with_2(command: Command, arguments: list[str]) -> None:
    done = command(*arguments)
    assert done.code == 2
    assert "Usage: doorward" in done.out + done.err


def test_a_traceback_is_shown_only_on_demand(database: Command) -> None:
    assert "Traceback" not in database("keys", "retire", "nothing").err
    with pytest.raises(NotFound):
        database("keys", "retire", "nothing", "--debug")


def test_a_store_that_does_not_answer_exits_with_2(database: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise StoreUnavailable(detail="the database is locked")

    monkeypatch.setattr("doorward.doorward.Doorward.stored_keys", fail)
    done = database("keys", "list")
    assert (done.code, done.err) == (2, "doorward: the database is locked\n")
