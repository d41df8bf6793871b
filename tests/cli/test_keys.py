from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

Command = Callable[..., Any]


def states(done: Any) -> dict[str, str]:
    return {key["kid"]: key["state"] for key in done.json["keys"]}


def test_one_key_signs_and_one_waits(database: Command) -> None:
    assert sorted(states(database("keys", "list", "--json")).values()) == ["active", "pending"]


def test_no_private_part_is_shown(database: Command) -> None:
    assert set(database("keys", "list", "--json").json["keys"][0]) == {
        "kid", "algorithm", "state", "created_at", "activates_at", "retiring_at", "retired_at",
    }  # fmt: skip


def test_a_rotation_lets_the_waiting_key_sign_and_refuses_no_token(database: Command, application: Any) -> None:
    before = states(database("keys", "list", "--json"))
    token = application.access_token()
    after = states(database("keys", "rotate", "--json"))
    pending = next(kid for kid, state in before.items() if state == "pending")
    active = next(kid for kid, state in before.items() if state == "active")
    assert (after[pending], after[active]) == ("active", "retiring")
    assert database("token", "inspect", stdin=token).out.startswith("VERIFIED")


def test_a_rotation_is_over_once_the_other_key_signs(database: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doorward.keys.rules.KNOWN_AFTER", timedelta(milliseconds=300))
    for _ in range(2):
        before = states(database("keys", "list", "--json"))
        after = states(database("keys", "rotate", "--json"))
        pending = next(kid for kid, state in before.items() if state == "pending")
        assert after[pending] == "active"


def test_a_key_that_signs_is_not_retired_and_one_that_signed_is(database: Command, application: Any) -> None:
    active = next(kid for kid, state in states(database("keys", "list", "--json")).items() if state == "active")
    token = application.access_token()
    refused = database("keys", "retire", active)
    assert refused.code == 1
    assert "rotate first" in refused.err
    database("keys", "rotate")
    assert states(database("keys", "retire", active, "--json"))[active] == "retired"
    assert database("token", "inspect", stdin=token).code == 1


def test_a_key_that_there_is_not_exits_with_1(database: Command) -> None:
    assert database("keys", "retire", "nothing").code == 1


def test_a_revoked_key_verifies_nothing_and_another_signs_at_once(database: Command, application: Any) -> None:
    token = application.access_token()
    before = states(database("keys", "list", "--json"))
    active = next(kid for kid, state in before.items() if state == "active")
    waiting = next(kid for kid, state in before.items() if state == "pending")
    done = database("keys", "revoke", active, "--json")
    assert (done.code, done.json["sessions_ended"]) == (0, 0)
    after = states(done)
    assert (after[active], after[waiting], sorted(after.values())) == (
        "retired", "active", ["active", "pending", "retired"],
    )  # fmt: skip
    assert database("token", "inspect", stdin=token).code == 1
    assert database("token", "inspect", stdin=application.access_token()).code == 0


def test_revoking_says_what_was_done(database: Command, monkeypatch: Any) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    [kid, _] = states(database("keys", "list", "--json"))
    done = database("keys", "revoke", kid)
    assert done.out.startswith(f"Revoked: {kid}. Sessions that ended with it: 0.")
    assert database("keys", "revoke", "nothing").code == 1
