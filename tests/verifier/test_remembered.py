"""The memory of verified tokens: bounded, and emptied for good when the keys change."""

from __future__ import annotations

from datetime import UTC, datetime

from doorward.principal import Principal
from doorward.verifier.remembered import Remembered, RememberedTokens

PRINCIPAL = Principal(
    subject="acc_1",
    session_id="ses_1",
    client_id="first-party",
    roles=frozenset(),
    scopes=frozenset(),
    methods=(),
    authenticated_at=datetime(2026, 1, 1, tzinfo=UTC),
    expires_at=datetime(2026, 1, 1, tzinfo=UTC),
    carrier="token",
)
FOUND = Remembered(
    since=0, until=900, session="ses_1", account="acc_1", version=1, token="tok_1", key="k", principal=PRINCIPAL
)


def test_it_never_holds_more_than_its_limit() -> None:
    memory = RememberedTokens(10)
    for number in range(1000):
        memory.keep(f"t{number}", FOUND, among=memory.young)
        assert len(memory) <= 10


def test_what_was_kept_last_is_found() -> None:
    memory = RememberedTokens(10)
    for number in range(1000):
        memory.keep(f"t{number}", FOUND, among=memory.young)
        assert {**memory.old, **memory.young}[f"t{number}"] is FOUND


def test_what_was_verified_by_keys_that_have_changed_meanwhile_is_not_remembered() -> None:
    memory = RememberedTokens(10)
    before = memory.young
    memory.forget_all()
    for number in range(100):
        memory.keep(f"t{number}", FOUND, among=before)
    assert len(memory) == 0
