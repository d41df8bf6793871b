"""The table of docs/concepts/rotation.md, row by row, each at its edges."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

from doorward.accounts.model import Account
from doorward.rotation.model import (
    Ahead,
    Decision,
    Healed,
    Late,
    Presentation,
    Recovered,
    RefreshPolicy,
    Refused,
    Retried,
    Reused,
    Revived,
    Rotated,
    Wait,
)
from doorward.rotation.rules import decide_refresh, next_generation
from doorward.sessions.model import EndReason, Session
from doorward.testing import a_session, an_account

TICK = timedelta(microseconds=1)
STARTED = datetime(2026, 1, 1, 12, tzinfo=UTC)
MADE = STARTED + timedelta(hours=1)
GRACE, REST, WINDOW, IDLE = (timedelta(seconds=seconds) for seconds in (10, 30, 300, 43_200))
POLICY = RefreshPolicy(grace=GRACE, rest=REST, window=WINDOW, idle=IDLE, idle_remembered=IDLE)
HEALING = replace(POLICY, heal_lost_writes=True)
WITHOUT_GRACE = replace(POLICY, grace=timedelta(0), rest=timedelta(0))
SECRET_HASH = sha256(b"s" * 16).digest()
OWN_ATTEMPT, OTHER_ATTEMPT = sha256(b"own attempt").digest(), sha256(b"other attempt").digest()
ACCOUNT = an_account(version=3, disabled_at=None)
N = 7
"""The current generation of the row below; its predecessor made it."""


def a_row(**changes: Any) -> Session:
    """A session that has rotated, its newest token not yet seen."""
    row = replace(
        a_session(),
        account=ACCOUNT.id,
        account_version=3,
        strategy="hybrid",
        secret_hash=SECRET_HASH,
        generation=N,
        made_at=MADE,
        predecessor=N - 1,
        first_at=MADE,
        attempt=None,
        displaced=None,
        acknowledged=False,
        retried=False,
        healed_in=None,
        authenticated_at=STARTED,
        created_at=STARTED,
        last_seen_at=MADE,
        idle_expires_at=MADE + IDLE,
        expires_at=STARTED + timedelta(days=30),
        ended_at=None,
        ended_reason=None,
    )
    return replace(row, **changes)


def judge(
    row: Session | None,
    generation: int,
    *,
    after: timedelta = timedelta(0),
    attempt: bytes | None = None,
    policy: RefreshPolicy = POLICY,
    account: Account | None = ACCOUNT,
    secret_hash: bytes = SECRET_HASH,
    revoked: bool = False,
    delayed: timedelta = timedelta(0),
) -> Decision:
    """What is decided so long after the current generation was made."""
    presented = Presentation(key=1, generation=generation, secret_hash=secret_hash, attempt=attempt)
    return decide_refresh(
        row,
        account,
        presented,
        now=MADE + after,
        policy=policy,
        store_identity="this store",
        revoked=revoked,
        delayed=delayed,
    )


# Gone, ended, expired, account disabled or changed


def test_a_session_that_is_gone_is_refused_without_a_reason() -> None:
    assert judge(None, N) == Refused(reason=None)
    assert judge(a_row(), N, account=None) == Refused(reason=None)


@pytest.mark.parametrize("generation", [0, N - 2, N - 1, N, N + 1])
def test_another_secret_is_refused_without_a_reason_whatever_its_generation(generation: int) -> None:
    # The row is of another session under the same key: its state is nobody's business, nor does it end.
    over = a_row(ended_at=MADE, ended_reason=EndReason.ADMIN)
    other = sha256(b"other").digest()
    assert judge(a_row(), generation, secret_hash=other) == Refused(reason=None)
    assert judge(over, generation, secret_hash=other) == Refused(reason=None)
    assert judge(a_row(), generation, secret_hash=SECRET_HASH[:-1]) == Refused(reason=None)


@pytest.mark.parametrize("reason", list(EndReason))
@pytest.mark.parametrize("generation", [N - 2, N - 1, N, N + 1])
def test_an_ended_session_says_why_whatever_is_presented(reason: EndReason, generation: int) -> None:
    assert judge(a_row(ended_at=MADE, ended_reason=reason), generation, after=REST) == Refused(reason=reason)


@pytest.mark.parametrize("generation", [N - 2, N - 1, N, N + 1])
@pytest.mark.parametrize(
    ("account", "reason"),
    [
        (replace(ACCOUNT, disabled_at=MADE), EndReason.ACCOUNT_DISABLED),
        (replace(ACCOUNT, version=4), EndReason.ADMIN),
        (replace(ACCOUNT, version=2), EndReason.ADMIN),
    ],
)
def test_a_disabled_or_changed_account_is_refused_and_nothing_ends(
    account: Account, reason: EndReason, generation: int
) -> None:
    assert judge(a_row(), generation, after=REST, account=account, policy=HEALING) == Refused(reason=reason)


@pytest.mark.parametrize("generation", [N - 2, N - 1, N, N + 1])
@pytest.mark.parametrize(("limit", "reason"), [("idle_expires_at", EndReason.IDLE), ("expires_at", EndReason.EXPIRED)])
def test_a_time_out_refuses_from_its_instant_on(limit: str, reason: EndReason, generation: int) -> None:
    row = a_row(**{limit: MADE + REST})
    assert not isinstance(judge(row, generation, after=REST - TICK), Refused)
    assert judge(row, generation, after=REST) == Refused(reason=reason)
    assert judge(row, generation, after=REST + TICK) == Refused(reason=reason)


# g = n


@pytest.mark.parametrize("after", [timedelta(0), GRACE, REST - TICK])
def test_the_current_token_that_has_not_rested_is_answered_again_and_notes_that_it_was_seen(after: timedelta) -> None:
    row = a_row()
    assert judge(row, N, after=after) == Retried(to=replace(row, acknowledged=True), why="young")


def test_the_current_token_that_has_been_seen_before_writes_nothing_while_it_rests() -> None:
    assert judge(a_row(acknowledged=True), N, after=REST - TICK) == Retried(to=None, why="young")


@pytest.mark.rfc("9700", "4.14.2")
@pytest.mark.parametrize("after", [REST, REST + TICK, timedelta(hours=3)])
def test_the_current_token_that_has_rested_rotates(after: timedelta) -> None:
    row = a_row(displaced=N - 3, acknowledged=True, retried=True, attempt=OTHER_ATTEMPT, healed_in="elsewhere")
    now = MADE + after
    assert judge(row, N, after=after, attempt=OWN_ATTEMPT) == Rotated(
        to=replace(
            row,
            generation=N + 1,
            made_at=now,
            predecessor=N,
            first_at=now,
            attempt=OWN_ATTEMPT,
            displaced=None,
            acknowledged=False,
            retried=False,
            last_seen_at=now,
            idle_expires_at=now + IDLE,
        )
    )


def test_the_first_token_rotates_without_a_rest() -> None:
    row = a_row(generation=0, predecessor=None, first_at=None)
    assert isinstance(judge(row, 0), Rotated)
    assert isinstance(judge(row, 0, after=TICK), Rotated)


def test_without_a_grace_there_is_no_rest() -> None:
    assert isinstance(judge(a_row(), N, policy=WITHOUT_GRACE), Rotated)


def test_a_clock_that_was_set_back_rotates_nothing_and_ends_nothing() -> None:
    back = timedelta(days=-1)
    assert judge(a_row(), N, after=back) == Retried(to=a_row(acknowledged=True), why="young")
    assert judge(a_row(), N - 1, after=back) == Retried(to=a_row(retried=True), why="grace", until=MADE + GRACE)


# g = predecessor


@pytest.mark.parametrize("after", [timedelta(0), GRACE - TICK, GRACE])
@pytest.mark.parametrize("acknowledged", [False, True])
@pytest.mark.parametrize("attempt", [None, OWN_ATTEMPT, OTHER_ATTEMPT], ids=["no key", "own key", "other key"])
def test_the_predecessor_within_the_grace_is_answered_and_leaves_a_mark_once(
    *, after: timedelta, acknowledged: bool, attempt: bytes | None
) -> None:
    row = a_row(acknowledged=acknowledged, attempt=OWN_ATTEMPT)
    marked, until = replace(row, retried=True), MADE + GRACE
    assert judge(row, N - 1, after=after, attempt=attempt) == Retried(to=marked, why="grace", until=until)
    assert judge(marked, N - 1, after=after, attempt=attempt) == Retried(to=None, why="grace", until=until)


@pytest.mark.parametrize("after", [GRACE + TICK, REST, WINDOW + TICK, timedelta(hours=11)])
@pytest.mark.parametrize("acknowledged", [False, True])
def test_the_predecessor_with_its_attempts_key_is_answered_at_any_time_and_the_grace_starts_anew(
    *, after: timedelta, acknowledged: bool
) -> None:
    row = a_row(acknowledged=acknowledged, attempt=OWN_ATTEMPT)
    decision = judge(row, N - 1, after=after, attempt=OWN_ATTEMPT)
    now = MADE + after
    to = replace(row, made_at=now, retried=False, last_seen_at=now, idle_expires_at=now + IDLE)
    # Generation, predecessor and the start of the window stay.
    assert decision == Retried(to=to, why="attempt")


@pytest.mark.parametrize("recorded", [None, OTHER_ATTEMPT], ids=["no key", "other key"])
@pytest.mark.parametrize("presented", [None, OWN_ATTEMPT], ids=["no key", "own key"])
def test_no_key_and_another_key_are_not_the_attempts_own(recorded: bytes | None, presented: bytes | None) -> None:
    decision = judge(a_row(acknowledged=True, attempt=recorded), N - 1, after=GRACE + TICK, attempt=presented)
    assert decision == Reused()


@pytest.mark.parametrize(("after", "left"), [(GRACE + TICK, REST - GRACE - TICK), (REST - TICK, TICK)])
def test_between_grace_and_rest_a_lost_reply_cannot_be_told_from_a_late_one(after: timedelta, left: timedelta) -> None:
    assert judge(a_row(), N - 1, after=after) == Wait(retry_after=left)


@pytest.mark.parametrize("row", [a_row(acknowledged=True, retried=True), a_row(first_at=MADE - WINDOW, retried=True)])
def test_between_grace_and_rest_an_answer_of_the_grace_may_be_on_its_way_though_the_successor_was_seen(
    row: Session,
) -> None:
    assert judge(row, N - 1, after=GRACE + TICK) == Wait(retry_after=REST - GRACE - TICK)
    assert judge(row, N - 1, after=REST - TICK) == Wait(retry_after=TICK)
    assert judge(row, N - 1, after=REST) == Reused()
    assert judge(replace(row, retried=False), N - 1, after=GRACE + TICK) == Reused()


@pytest.mark.parametrize("after", [REST, REST + TICK, WINDOW - TICK, WINDOW])
@pytest.mark.parametrize("attempt", [None, OTHER_ATTEMPT], ids=["no key", "other key"])
def test_a_lost_reply_is_made_good_by_a_new_generation(after: timedelta, attempt: bytes | None) -> None:
    row = a_row(attempt=OWN_ATTEMPT)
    now = MADE + after
    assert judge(row, N - 1, after=after, attempt=attempt) == Recovered(
        to=replace(
            row,
            generation=N + 1,
            displaced=N,
            made_at=now,
            attempt=attempt,
            retried=False,
            last_seen_at=now,
            idle_expires_at=now + IDLE,
        )
    )


def test_the_window_counts_from_the_first_rotation_and_no_recovery_prolongs_it() -> None:
    first_at = MADE - WINDOW
    assert isinstance(judge(a_row(first_at=first_at + REST), N - 1, after=REST), Recovered)
    assert judge(a_row(first_at=first_at + REST - TICK), N - 1, after=REST) == Reused()


@pytest.mark.rfc("9700", "4.14.2")
def test_after_the_window_the_predecessor_is_a_reuse() -> None:
    assert judge(a_row(), N - 1, after=WINDOW + TICK) == Reused()


@pytest.mark.rfc("9700", "4.14.2")
@pytest.mark.parametrize("after", [GRACE + TICK, REST - TICK, REST, WINDOW])
def test_once_the_successor_was_seen_its_predecessor_is_a_reuse_right_after_the_grace(after: timedelta) -> None:
    assert judge(a_row(acknowledged=True), N - 1, after=after) == Reused()


def test_without_a_grace_a_lost_reply_is_made_good_without_a_wait() -> None:
    assert judge(a_row(), N - 1, policy=WITHOUT_GRACE) == Retried(to=a_row(retried=True), why="grace", until=MADE)
    assert isinstance(judge(a_row(), N - 1, after=TICK, policy=WITHOUT_GRACE), Recovered)
    assert judge(a_row(acknowledged=True), N - 1, after=TICK, policy=WITHOUT_GRACE) == Reused()


# g = displaced


def a_recovered_row(**changes: Any) -> Session:
    """N - 1 was taken for lost and put aside; N - 2 is what both came from."""
    return a_row(**{"predecessor": N - 2, "displaced": N - 1, "first_at": MADE - REST, **changes})


@pytest.mark.parametrize("after", [timedelta(0), GRACE - TICK, GRACE])
@pytest.mark.parametrize("acknowledged", [False, True])
def test_the_displaced_generation_within_the_grace_is_answered_and_nothing_is_written(
    *, after: timedelta, acknowledged: bool
) -> None:
    row = a_recovered_row(acknowledged=acknowledged)
    assert judge(row, N - 1, after=after) == Retried(to=None, why="displaced")


def test_the_displaced_generation_after_the_grace_is_a_reuse_whatever_its_key() -> None:
    assert judge(a_recovered_row(), N - 1, after=GRACE + TICK) == Reused()
    row = a_recovered_row(attempt=OWN_ATTEMPT)
    assert judge(row, N - 1, after=GRACE + TICK, attempt=OWN_ATTEMPT) == Reused()


def test_a_second_recovery_displaces_the_first() -> None:
    decision = judge(a_recovered_row(), N - 2, after=REST)
    assert isinstance(decision, Recovered)
    assert (decision.to.generation, decision.to.displaced, decision.to.predecessor) == (N + 1, N, N - 2)
    assert decision.to.first_at == MADE - REST
    assert judge(replace(decision.to, made_at=MADE), N - 1) == Reused()


# g > n


@pytest.mark.parametrize("generation", [N + 1, N + 2, 2**32 - 2])
@pytest.mark.parametrize(
    "row", [a_row(), a_row(acknowledged=True), a_row(generation=0, predecessor=None, first_at=None)]
)
def test_a_newer_token_than_the_store_knows_ends_nothing(generation: int, row: Session) -> None:
    assert judge(row, generation, after=timedelta(hours=1)) == Ahead()


def test_with_healing_on_the_row_moves_past_the_newer_token() -> None:
    now = MADE + TICK
    row = a_row(acknowledged=True, displaced=N - 3)
    assert judge(row, N + 5, after=TICK, attempt=OWN_ATTEMPT, policy=HEALING) == Healed(
        to=replace(
            row,
            generation=N + 6,
            made_at=now,
            predecessor=N + 5,
            first_at=now,
            attempt=OWN_ATTEMPT,
            displaced=None,
            acknowledged=False,
            retried=False,
            healed_in="this store",
            last_seen_at=now,
            idle_expires_at=now + IDLE,
        )
    )


def test_a_session_is_healed_once_in_a_store() -> None:
    assert judge(a_row(healed_in="this store"), N + 1, policy=HEALING) == Ahead()
    assert isinstance(judge(a_row(healed_in="the store before"), N + 1, policy=HEALING), Healed)


@pytest.mark.parametrize("generation", [N - 2, N - 1, N, N + 1])
@pytest.mark.parametrize("after", [timedelta(0), GRACE, REST, WINDOW])
def test_nothing_is_issued_for_what_a_live_revocation_names(generation: int, after: timedelta) -> None:
    # The lost writes were its end.
    for policy in (POLICY, HEALING):
        assert judge(a_row(), generation, after=after, policy=policy, revoked=True) == Revived()


def test_what_has_ended_by_its_row_says_why_whatever_else_names_it() -> None:
    row = a_row(ended_at=MADE, ended_reason=EndReason.SIGNED_OUT)
    assert judge(row, N, revoked=True) == Refused(reason=EndReason.SIGNED_OUT)


# Anything else


@pytest.mark.rfc("9700", "4.14.2")
@pytest.mark.parametrize("generation", [0, N - 3, N - 2])
@pytest.mark.parametrize("after", [timedelta(0), GRACE, REST, WINDOW])
@pytest.mark.parametrize("attempt", [None, OWN_ATTEMPT], ids=["no key", "own key"])
def test_an_older_generation_is_a_reuse_at_any_time(generation: int, after: timedelta, attempt: bytes | None) -> None:
    assert judge(a_row(attempt=OWN_ATTEMPT), generation, after=after, attempt=attempt) == Reused()


# What follows from being used


def test_a_use_never_shortens_a_session_and_never_passes_its_absolute_end() -> None:
    presented = Presentation(key=1, generation=N, secret_hash=SECRET_HASH)
    row = a_row(expires_at=MADE + timedelta(hours=2))
    used = next_generation(row, presented, now=MADE, policy=POLICY)
    assert used.idle_expires_at == used.expires_at == MADE + timedelta(hours=2)

    set_back = next_generation(a_row(), presented, now=MADE - timedelta(hours=1), policy=POLICY)
    assert set_back.idle_expires_at == MADE + IDLE
    assert set_back.last_seen_at == MADE


# A server that was not on time itself


@pytest.mark.parametrize(
    ("delayed", "policy", "late"),
    [
        (timedelta(0), POLICY, False),
        (GRACE / 2, POLICY, False),
        (GRACE / 2 + TICK, POLICY, True),
        (timedelta(hours=1), POLICY, True),
        (timedelta(seconds=1), WITHOUT_GRACE, False),
        (timedelta(seconds=1) + TICK, WITHOUT_GRACE, True),
        (timedelta(seconds=30), replace(POLICY, grace=timedelta(seconds=60), rest=timedelta(seconds=180)), False),
    ],
)
@pytest.mark.parametrize("generation", [0, N - 2, N - 1])
def test_a_server_that_was_late_by_half_the_grace_takes_nothing_for_reuse(
    generation: int,
    delayed: timedelta,
    policy: RefreshPolicy,
    late: bool,  # noqa: FBT001 -- a column of the table
) -> None:
    decision = judge(a_row(acknowledged=True), generation, after=WINDOW + TICK, policy=policy, delayed=delayed)
    assert decision == (Late(delayed=delayed) if late else Reused())


def test_a_server_that_was_late_takes_no_reply_for_lost_which_may_have_arrived_since() -> None:
    assert isinstance(judge(a_row(), N - 1, after=REST, delayed=GRACE / 2), Recovered)
    assert judge(a_row(), N - 1, after=REST, delayed=GRACE / 2 + TICK) == Late(delayed=GRACE / 2 + TICK)


@pytest.mark.parametrize(
    ("generation", "after"), [(N, timedelta(0)), (N, REST), (N - 1, timedelta(0)), (N - 1, REST - TICK), (N + 1, REST)]
)
def test_a_server_that_was_late_decides_all_else_as_ever(generation: int, after: timedelta) -> None:
    late = judge(a_row(), generation, after=after, delayed=timedelta(hours=1))
    assert late == judge(a_row(), generation, after=after)
    assert judge(None, generation, delayed=timedelta(hours=1)) == Refused(reason=None)
