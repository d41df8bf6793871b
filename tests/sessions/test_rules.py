"""Whether a session stands, until when, and how often its use is written."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.principal import Carrier
from doorward.sessions.model import EndReason, NewSession, Session
from doorward.sessions.rules import (
    decide_idle_expiry,
    decide_idle_limit,
    decide_remembered,
    decide_standing,
    is_sighting_due,
)
from doorward.testing import a_session, an_account

TICK = timedelta(microseconds=1)
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
IDLE = timedelta(hours=12)
ACCOUNT = an_account(version=2, disabled_at=None)


def a_row(**changes: Any) -> Session:
    row = replace(
        a_session(),
        account=ACCOUNT.id,
        account_version=2,
        created_at=NOW,
        last_seen_at=NOW,
        idle_expires_at=NOW + IDLE,
        expires_at=NOW + timedelta(days=30),
        ended_at=None,
        ended_reason=None,
    )
    return replace(row, **changes)


@pytest.mark.parametrize(
    ("carrier", "asked", "remembered"),
    [("cookie", False, False), ("cookie", True, True), ("token", False, True), ("token", True, True)],
)
def test_a_session_is_remembered_where_that_was_asked_for_or_a_client_keeps_tokens(
    carrier: Carrier, *, asked: bool, remembered: bool
) -> None:
    assert decide_remembered(carrier, asked=asked) is remembered
    row = a_row(carrier=carrier, remembered=asked)
    weeks = timedelta(days=14)
    assert decide_idle_limit(row, idle=IDLE, idle_remembered=weeks) == (weeks if remembered else IDLE)


def test_a_session_within_its_limits_stands() -> None:
    assert decide_standing(a_row(), ACCOUNT, now=NOW) is None


@pytest.mark.parametrize("reason", list(EndReason))
def test_an_ended_session_is_over_for_the_reason_that_it_was_ended_for(reason: EndReason) -> None:
    row = a_row(ended_at=NOW, ended_reason=reason, idle_expires_at=NOW, expires_at=NOW, account_version=1)
    assert decide_standing(row, replace(ACCOUNT, disabled_at=NOW), now=NOW) is reason


def test_an_end_without_a_reason_counts_as_signed_out() -> None:
    assert decide_standing(a_row(ended_at=NOW), ACCOUNT, now=NOW) is EndReason.SIGNED_OUT


def test_an_end_holds_even_before_its_instant() -> None:
    # The clock was set back: what has ended does not come back for that.
    row = a_row(ended_at=NOW, ended_reason=EndReason.ADMIN)
    assert decide_standing(row, ACCOUNT, now=NOW - timedelta(days=1)) is EndReason.ADMIN


@pytest.mark.parametrize(("limit", "reason"), [("idle_expires_at", EndReason.IDLE), ("expires_at", EndReason.EXPIRED)])
def test_a_limit_ends_a_session_at_its_instant(limit: str, reason: EndReason) -> None:
    row = a_row(**{limit: NOW})
    assert decide_standing(row, ACCOUNT, now=NOW - TICK) is None
    assert decide_standing(row, ACCOUNT, now=NOW) is reason
    assert decide_standing(row, ACCOUNT, now=NOW + TICK) is reason


def test_a_session_that_is_past_both_limits_says_the_absolute_one() -> None:
    assert decide_standing(a_row(idle_expires_at=NOW, expires_at=NOW), ACCOUNT, now=NOW) is EndReason.EXPIRED


def test_a_disabled_account_is_the_reason_before_any_limit() -> None:
    row = a_row(idle_expires_at=NOW, expires_at=NOW, account_version=1)
    assert decide_standing(row, replace(ACCOUNT, disabled_at=NOW), now=NOW) is EndReason.ACCOUNT_DISABLED


@pytest.mark.parametrize("version", [0, 1, 3])
def test_a_session_under_another_version_of_its_account_is_over(version: int) -> None:
    assert decide_standing(a_row(account_version=version), ACCOUNT, now=NOW) is EndReason.ADMIN


# Use


def test_a_use_moves_the_idle_limit_and_not_the_absolute_one() -> None:
    row = a_row(expires_at=NOW + IDLE + timedelta(hours=2))
    assert decide_idle_expiry(row, now=NOW + timedelta(hours=1), idle=IDLE) == NOW + IDLE + timedelta(hours=1)
    assert decide_idle_expiry(row, now=NOW + timedelta(hours=2), idle=IDLE) == row.expires_at
    assert decide_idle_expiry(row, now=NOW + timedelta(hours=3), idle=IDLE) == row.expires_at


durations = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=400))


@given(until=durations, absolute=durations, passed=st.timedeltas(timedelta(-30), timedelta(400)), idle=durations)
def test_a_use_never_shortens_the_idle_limit_nor_passes_the_absolute_one(
    until: timedelta, absolute: timedelta, passed: timedelta, idle: timedelta
) -> None:
    row = a_row(idle_expires_at=NOW + min(until, absolute), expires_at=NOW + absolute)
    moved = decide_idle_expiry(row, now=NOW + passed, idle=idle)
    assert row.idle_expires_at <= moved <= row.expires_at
    assert moved == row.expires_at or moved >= NOW + passed + idle


@pytest.mark.parametrize(
    ("idle", "every"),
    [
        (timedelta(hours=12), timedelta(minutes=1)),
        (timedelta(minutes=4), timedelta(minutes=1)),
        (timedelta(minutes=2), timedelta(seconds=30)),
        (timedelta(seconds=60), timedelta(seconds=15)),
    ],
)
def test_a_use_is_written_once_a_minute_and_oftener_where_the_idle_limit_is_short(
    idle: timedelta, every: timedelta
) -> None:
    assert not is_sighting_due(a_row(), now=NOW + every - TICK, idle=idle)
    assert is_sighting_due(a_row(), now=NOW + every, idle=idle)


def test_a_clock_that_was_set_back_writes_no_use() -> None:
    assert not is_sighting_due(a_row(), now=NOW - timedelta(days=1), idle=IDLE)


# Beginning


def test_a_session_begins_with_both_limits_and_the_first_token() -> None:
    fields = {name: getattr(a_session(), name) for name in NewSession.__slots__ if hasattr(a_session(), name)}
    begun = NewSession(**fields, idle=timedelta(hours=2), absolute=timedelta(hours=1)).begun(at=NOW)
    assert begun.idle_expires_at == begun.expires_at == begun.leaves_at == NOW + timedelta(hours=1)
    assert begun.made_at == begun.authenticated_at == begun.created_at == begun.last_seen_at == NOW
    assert (begun.generation, begun.predecessor, begun.first_at, begun.acknowledged) == (0, None, None, False)
    assert (begun.ended_at, begun.ended_reason) == (None, None)
