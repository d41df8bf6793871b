from __future__ import annotations

from collections.abc import Callable
from typing import Any

from doorward.wire.verifier_credential import parse_verifier_credential

Command = Callable[..., Any]


def names(database: Command) -> list[str]:
    return [each["name"] for each in database("verifiers", "list", "--json").json["verifiers"]]


def test_adding_prints_the_credential_and_nothing_else(database: Command) -> None:
    done = database("verifiers", "add", "payments")
    assert done.code == 0
    assert parse_verifier_credential(done.out.strip()) is not None
    as_json = database("verifiers", "add", "orders", "--json").json
    assert set(as_json) == {"name", "credential"}
    assert names(database) == ["orders", "payments"]


def test_a_list_shows_no_credential(database: Command) -> None:
    credential = database("verifiers", "add", "payments").out.strip()
    for flags in ((), ("--json",)):
        listed = database("verifiers", "list", *flags).out
        assert "payments" in listed
        assert credential not in listed
        assert credential[12:] not in listed


def test_a_name_that_is_taken_exits_with_1(database: Command) -> None:
    database("verifiers", "add", "payments")
    refused = database("verifiers", "add", "payments")
    assert refused.code == 1
    assert "there is a verifier called payments" in refused.err


def test_a_revoked_verifier_is_gone_and_one_that_there_is_not_exits_with_1(database: Command) -> None:
    database("verifiers", "add", "payments")
    assert database("verifiers", "revoke", "payments").code == 0
    assert names(database) == []
    refused = database("verifiers", "revoke", "payments")
    assert refused.code == 1
    assert "payments" in refused.err
