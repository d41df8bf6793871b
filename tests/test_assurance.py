"""What a route demands, and whether a principal gives it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from doorward.assurance import Demands, decide_assurance
from doorward.errors import InsufficientAuthentication, NotPermitted
from doorward.principal import Principal

SIGNED_IN = datetime(2026, 1, 1, 12, tzinfo=UTC)
FIVE_MINUTES = timedelta(minutes=5)
ADA = Principal(
    subject="ada",
    session_id="ses_1",
    client_id="first-party",
    roles=frozenset({"editor"}),
    scopes=frozenset({"read"}),
    methods=("pwd",),
    authenticated_at=SIGNED_IN,
    expires_at=SIGNED_IN + timedelta(hours=1),
    carrier="token",
)


def decide(demands: Demands, *, after: timedelta = timedelta(0), **changes: Any) -> Any:
    return decide_assurance(replace(ADA, **changes), demands, now=SIGNED_IN + after)


def test_where_nothing_is_demanded_anybody_may() -> None:
    assert decide(Demands(), after=timedelta(days=30), roles=frozenset()) is None


def test_all_roles_are_needed() -> None:
    demands = Demands(roles={"editor", "admin"})
    refused = decide(demands)
    assert isinstance(refused, NotPermitted)
    assert not refused.scopes
    assert decide(demands, roles=frozenset({"editor", "admin", "more"})) is None


@pytest.mark.rfc("6750", "3.1")
def test_who_lacks_a_scope_is_told_which_are_needed() -> None:
    demands = Demands(roles={"editor"}, scopes=["read", "write"])
    refused = decide(demands)
    assert isinstance(refused, NotPermitted)
    assert refused.scopes == {"read", "write"}
    assert decide(demands, scopes=frozenset({"read", "write"})) is None


@pytest.mark.rfc("9470", "3")
@pytest.mark.parametrize(
    ("after", "refused"),
    [
        (timedelta(0), False),
        (FIVE_MINUTES - timedelta(microseconds=1), False),
        (FIVE_MINUTES, False),
        (FIVE_MINUTES + timedelta(microseconds=1), True),
        (timedelta(days=1), True),
        # The store's clock is a little ahead of ours: that is no reason to refuse.
        (-timedelta(seconds=1), False),
    ],
)
def test_who_has_proved_itself_too_long_ago_is_to_do_it_again(after: timedelta, *, refused: bool) -> None:
    decision = decide(Demands(fresh=FIVE_MINUTES), after=after)
    assert isinstance(decision, InsufficientAuthentication) is refused
    assert decision is None or decision.max_age == FIVE_MINUTES


def test_who_lacks_a_role_is_not_told_to_sign_in_again_for_nothing() -> None:
    demands = Demands(roles={"admin"}, fresh=FIVE_MINUTES)
    assert isinstance(decide(demands, after=timedelta(hours=1)), NotPermitted)


@pytest.mark.parametrize(
    "wrong",
    [
        {"roles": "admin"},
        {"scopes": "read write"},
        {"fresh": timedelta(0)},
        {"fresh": timedelta(milliseconds=999)},
        {"revocation": "imediate"},
    ],
)
def test_demands_that_cannot_be_meant_are_refused_where_they_are_declared(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Demands(**wrong)
