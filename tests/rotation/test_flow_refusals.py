"""When presenting a refresh token is not granted, not known, or overtaken; over memory and over SQLite."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable
from datetime import timedelta
from typing import Any

import pytest

from doorward.accounts.model import AccountChange
from doorward.audit.model import Action
from doorward.doorward import Doorward
from doorward.errors import InvalidGrant, RateLimited, SessionEnded, StoreUnavailable, TooEarly
from doorward.rotation.flow import refresh
from doorward.sessions.model import EndReason, Refreshed
from doorward.testing import FakeClock
from tests.sessions.deployments import (
    ACTOR,
    HOME,
    OTHER_PASSWORD,
    PASSWORD,
    access_token,
    claims_of,
    meddled,
    newer_token,
    next_access,
    next_token,
    opened_with_ada,
    present,
    refresh_token,
    row_of,
    sign_in,
    told,
    whoever,
)

pytestmark = pytest.mark.anyio

GRACE, REST = timedelta(seconds=10), timedelta(seconds=30)


@pytest.fixture
async def auth(database: str, clock: FakeClock) -> AsyncIterator[Doorward]:
    async with opened_with_ada(database, clock) as auth:
        yield auth


# Over


@pytest.mark.parametrize(
    "reason",
    [
        EndReason.SIGNED_OUT,
        EndReason.ADMIN,
        EndReason.PASSWORD_CHANGED,
        EndReason.ACCOUNT_DISABLED,
        EndReason.IDLE,
        EndReason.EXPIRED,
    ],
)
async def test_the_refusal_says_why_the_session_is_over(auth: Doorward, clock: FakeClock, reason: EndReason) -> None:
    signed_in, other = await sign_in(auth), await sign_in(auth)
    account_id = signed_in.account.id
    text = refresh_token(signed_in)
    match reason:
        case EndReason.SIGNED_OUT:
            await auth.end_session(signed_in.session.id, account_id=account_id, actor=ACTOR)
        case EndReason.ADMIN:
            await auth.end_sessions(account_id, reason=reason, actor=ACTOR)
        case EndReason.PASSWORD_CHANGED:
            await auth.change_password(await whoever(auth, other), current=PASSWORD, new=OTHER_PASSWORD, origin=HOME)
        case EndReason.ACCOUNT_DISABLED:
            await auth.change_account(account_id, AccountChange(disabled=True), actor=ACTOR)
        case EndReason.IDLE:
            clock.move(auth.options.session_idle_remembered)
        case _:
            while clock() + auth.options.session_idle_remembered / 2 < signed_in.session.expires_at:
                clock.move(auth.options.session_idle_remembered / 2)
                text = next_token(await present(auth, text))
            clock.move(auth.options.session_idle_remembered / 2)
    row = await row_of(auth, signed_in)
    with pytest.raises(InvalidGrant) as refused:
        await present(auth, text)
    assert refused.value.reason == reason
    assert await row_of(auth, signed_in) == row
    assert (await told(auth))[-1].detail["cause"] == reason.value


async def test_an_account_that_is_enabled_again_does_not_bring_its_sessions_back(auth: Doorward) -> None:
    signed_in = await sign_in(auth)
    await auth.change_account(signed_in.account.id, AccountChange(disabled=True), actor=ACTOR)
    await auth.change_account(signed_in.account.id, AccountChange(disabled=False), actor=ACTOR)
    with pytest.raises(InvalidGrant) as refused:
        await present(auth, refresh_token(signed_in))
    assert refused.value.reason == EndReason.ACCOUNT_DISABLED
    with pytest.raises(SessionEnded):
        await whoever(auth, signed_in)


async def test_an_end_between_the_look_and_the_write_is_not_overtaken(auth: Doorward, clock: FakeClock) -> None:
    signed_in = await sign_in(auth)
    await present(auth, refresh_token(signed_in))
    clock.move(REST)

    async def ended_meanwhile(*args: Any, **named: Any) -> Any:
        await auth.end_session(signed_in.session.id, account_id=None, actor=ACTOR)
        return await auth.deployment.store.replace_session(*args, **named)

    with pytest.raises(InvalidGrant) as refused:
        await refresh(meddled(auth, replace_session=ended_meanwhile), refresh_token(signed_in), origin=HOME)
    assert refused.value.reason == EndReason.SIGNED_OUT
    assert (await row_of(auth, signed_in)).generation == 1


async def test_a_refresh_that_an_end_overtakes_while_it_is_answered_issues_nothing_that_is_honoured(
    auth: Doorward,
) -> None:
    signed_in = await sign_in(auth)
    for _ in range(2):
        # The second leaves the mark of a retry; from the third on nothing is written that could be compared.
        await present(auth, refresh_token(signed_in))

    async def ended_meanwhile(*args: Any, **named: Any) -> Any:
        await auth.end_session(signed_in.session.id, account_id=None, actor=ACTOR)
        return await auth.deployment.store.record(*args, **named)

    late = await refresh(meddled(auth, record=ended_meanwhile), refresh_token(signed_in), origin=HOME)
    with pytest.raises(SessionEnded):
        await auth.authenticate(bearer=next_access(late))
    with pytest.raises(InvalidGrant):
        await present(auth, next_token(late))


async def test_the_mark_of_a_retry_is_not_lost_to_what_was_judged_before_it(auth: Doorward) -> None:
    # Without it the other tab's request, on its way still, would be taken for theft (docs/decisions/0007).
    signed_in = await sign_in(auth)
    current = next_token(await present(auth, refresh_token(signed_in)))

    async def retried_meanwhile(*args: Any, **named: Any) -> Any:
        await present(auth, refresh_token(signed_in))
        return await auth.deployment.store.replace_session(*args, **named)

    await refresh(meddled(auth, replace_session=retried_meanwhile), current, origin=HOME)
    row = await row_of(auth, signed_in)
    assert (row.acknowledged, row.retried) == (True, True)


async def test_a_retry_that_was_judged_within_the_grace_is_not_answered_after_it(
    auth: Doorward, clock: FakeClock
) -> None:
    signed_in = await sign_in(auth)
    await present(auth, refresh_token(signed_in))
    clock.move(GRACE)

    async def slow(*args: Any, **named: Any) -> Any:
        clock.move(timedelta(microseconds=1))
        return await auth.deployment.store.replace_session(*args, **named)

    with pytest.raises(TooEarly):
        await refresh(meddled(auth, replace_session=slow), refresh_token(signed_in), origin=HOME)
    assert not (await row_of(auth, signed_in)).retried


# Leases


async def test_no_access_token_outlives_its_session(database: str, clock: FakeClock) -> None:
    ten_minutes = timedelta(minutes=10)
    async with opened_with_ada(
        database,
        clock,
        session_idle=ten_minutes,
        session_idle_remembered=ten_minutes,
        session_absolute=ten_minutes,
        lost_reply_window=ten_minutes,
    ) as auth:
        signed_in = await sign_in(auth)
        ends = int(signed_in.session.expires_at.timestamp())
        assert claims_of(access_token(signed_in))["exp"] == ends
        text = refresh_token(signed_in)
        for _ in range(9):
            clock.move(timedelta(minutes=1))
            refreshed = await present(auth, text)
            text = next_token(refreshed)
            assert claims_of(next_access(refreshed))["exp"] == ends
            assert refreshed.credentials.access_token is not None
            assert refreshed.credentials.access_token.expires_in == signed_in.session.expires_at - clock()
            assert refreshed.credentials.refresh_expires_in == signed_in.session.expires_at - clock()


async def test_a_lease_counts_from_before_the_statement_that_it_rests_on(auth: Doorward, clock: FakeClock) -> None:
    signed_in, asked_at = await sign_in(auth), clock()

    async def slow(*args: Any, **named: Any) -> Any:
        taken = await auth.deployment.store.rotate(*args, **named)
        clock.move(timedelta(seconds=8))
        return taken

    claims = claims_of(next_access(await refresh(meddled(auth, rotate=slow), refresh_token(signed_in), origin=HOME)))
    assert claims["iat"] == int(asked_at.timestamp())
    assert claims["exp"] == claims["iat"] + 900


# Not knowing


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_commit_of_unknown_outcome_is_no_theft_and_can_be_repeated(auth: Doorward, when: str) -> None:
    signed_in = await sign_in(auth)

    async def dying(*args: Any, **named: Any) -> Any:
        if when == "after":
            await auth.deployment.store.rotate(*args, **named)
        raise StoreUnavailable(detail="the connection was lost")

    with pytest.raises(StoreUnavailable):
        await refresh(meddled(auth, rotate=dying), refresh_token(signed_in), origin=HOME)
    assert (await row_of(auth, signed_in)).generation == (1 if when == "after" else 0)
    assert (await present(auth, refresh_token(signed_in))).session.generation == 1


async def test_a_row_that_moves_under_every_round_is_answered_with_later(auth: Doorward, clock: FakeClock) -> None:
    signed_in = await sign_in(auth)
    await present(auth, refresh_token(signed_in))
    clock.move(REST)

    async def moved(*args: Any, **named: Any) -> bool:
        return False

    row = await row_of(auth, signed_in)
    with pytest.raises(StoreUnavailable):
        await refresh(meddled(auth, replace_session=moved), refresh_token(signed_in), origin=HOME)
    assert await row_of(auth, signed_in) == row


async def test_too_many_presentations_end_nothing(database: str, clock: FakeClock) -> None:
    async with opened_with_ada(database, clock, ticks=clock.ticks, rate_limits=True) as auth:
        signed_in, other = await sign_in(auth), await sign_in(auth)
        answers = [await answered(present(auth, refresh_token(signed_in))) for _ in range(300)]
        limited = next(answer for answer in answers if isinstance(answer, RateLimited))
        assert {type(answer) for answer in answers} == {Refreshed, RateLimited}
        assert (await present(auth, refresh_token(other))).session.generation == 1
        clock.move(limited.retry_after)
        assert (await present(auth, refresh_token(signed_in))).session.generation == 1


async def answered(presented: Awaitable[Refreshed]) -> Refreshed | RateLimited:
    try:
        return await presented
    except RateLimited as limited:
        return limited


# Lost writes


async def test_a_token_newer_than_the_store_ends_nothing_and_raises_an_alarm(
    auth: Doorward, caplog: pytest.LogCaptureFixture
) -> None:
    signed_in = await sign_in(auth)
    newer = newer_token(auth, signed_in)
    row = await row_of(auth, signed_in)
    with caplog.at_level(logging.ERROR), pytest.raises(InvalidGrant) as refused:
        await present(auth, newer)
    assert refused.value.reason is None
    assert "lost writes" in caplog.text
    assert newer.reveal() not in caplog.text
    assert await row_of(auth, signed_in) == row
    assert (await told(auth))[-1].action is Action.REFRESH_AHEAD
    assert (await whoever(auth, signed_in)).session_id == signed_in.session.id


async def test_with_healing_on_a_newer_token_moves_the_row_once(database: str, clock: FakeClock) -> None:
    async with opened_with_ada(database, clock, heal_lost_writes=True) as auth:
        signed_in = await sign_in(auth)
        healed = await present(auth, newer_token(auth, signed_in))
        assert healed.session.generation == 5
        assert (await row_of(auth, signed_in)).healed_in == auth.deployment.store.identity
        clock.move(REST)
        assert (await present(auth, next_token(healed))).session.generation == 6
        with pytest.raises(InvalidGrant):
            await present(auth, newer_token(auth, signed_in, generation=9))
        assert [event.action for event in (await told(auth))[-3:]] == [
            Action.REFRESH_HEALED,
            Action.REFRESH_ROTATED,
            Action.REFRESH_AHEAD,
        ]


async def test_nothing_is_healed_that_a_live_revocation_names(database: str, clock: FakeClock) -> None:
    async with opened_with_ada(database, clock, heal_lost_writes=True) as auth:
        signed_in, other = await sign_in(auth), await sign_in(auth)
        ending = auth.deployment.ending(EndReason.SIGNED_OUT, ACTOR)
        ended = await auth.deployment.store.end_session(other.session.id, ending)
        assert ended is not None
        # The store has forgotten the end of this session; this process has not.
        auth.deployment.live.merge(
            type(entry)(kind=entry.kind, id=signed_in.session.id, dies_at=entry.dies_at) for entry in ended.revocations
        )
        with pytest.raises(InvalidGrant):
            await present(auth, newer_token(auth, signed_in))
        assert (await row_of(auth, signed_in)).generation == 0
