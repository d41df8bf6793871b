"""Presenting refresh tokens to a deployment, over memory and over SQLite."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from doorward.audit.model import Action, Origin
from doorward.deployment import Incident
from doorward.doorward import Doorward
from doorward.errors import InvalidGrant, SessionEnded, TooEarly, Unavailable
from doorward.pulse import Pulse
from doorward.rotation.flow import is_elsewhere, refresh
from doorward.secret import Secret
from doorward.sessions.model import EndReason
from doorward.testing import FakeClock
from doorward.wire.refresh_token import RefreshToken, write_refresh_token
from tests.sessions.deployments import (
    ELSEWHERE,
    HOME,
    access_token,
    claims_of,
    next_access,
    next_token,
    opened,
    opened_with_ada,
    present,
    refresh_token,
    row_of,
    sign_in,
    tampered,
    token_of,
    told,
    whoever,
)

pytestmark = pytest.mark.anyio

GRACE, REST, WINDOW = (timedelta(seconds=seconds) for seconds in (10, 30, 300))
SECOND = timedelta(seconds=1)


@pytest.fixture
async def auth(database: str, clock: FakeClock) -> AsyncIterator[Doorward]:
    async with opened_with_ada(database, clock) as auth:
        yield auth


# Rotating


@pytest.mark.rfc("9700", "4.14.2")
async def test_each_presentation_of_a_rested_token_makes_the_next(auth: Doorward, clock: FakeClock) -> None:
    text = refresh_token(await sign_in(auth))
    for generation in range(1, 6):
        refreshed = await present(auth, text)
        assert not next_token(refreshed).matches(text)
        assert not refreshed.unchanged
        assert (refreshed.session.generation, claims_of(next_access(refreshed))["gen"]) == (generation, generation)
        assert (await auth.authenticate(bearer=next_access(refreshed))).session_id == refreshed.session.id
        text = next_token(refreshed)
        clock.move(REST)
    assert len(await told(auth, Action.REFRESH_ROTATED)) == 5


async def test_a_token_that_has_not_rested_is_answered_unchanged_with_a_fresh_access_token(
    auth: Doorward, clock: FakeClock
) -> None:
    first = await present(auth, refresh_token(await sign_in(auth)))
    clock.move(REST - SECOND)
    again = await present(auth, next_token(first))
    assert again.unchanged
    assert next_token(again).matches(next_token(first))
    assert not next_access(again).matches(next_access(first))
    clock.move(SECOND)
    assert not (await present(auth, next_token(first))).unchanged


async def test_the_predecessor_within_the_grace_is_answered_with_the_same_successor(
    auth: Doorward, clock: FakeClock
) -> None:
    text = refresh_token(await sign_in(auth))
    first = await present(auth, text)
    clock.move(GRACE)
    second = await present(auth, text)
    assert next_token(second).matches(next_token(first))
    assert not second.unchanged


async def test_a_lost_reply_is_made_good_once_it_cannot_be_late_any_more(auth: Doorward, clock: FakeClock) -> None:
    signed_in = await sign_in(auth)
    text = refresh_token(signed_in)
    lost = await present(auth, text)
    clock.move(GRACE + SECOND)
    before = await row_of(auth, signed_in)
    with pytest.raises(TooEarly) as early:
        await present(auth, text)
    assert early.value.retry_after == REST - GRACE - SECOND
    assert await row_of(auth, signed_in) == before
    clock.move(early.value.retry_after)
    made_good = await present(auth, text)
    assert made_good.session.generation == 2
    assert not next_token(made_good).matches(next_token(lost))
    clock.move(REST)
    assert (await present(auth, next_token(made_good))).session.generation == 3
    assert [event.action for event in (await told(auth))[-4:]] == [
        Action.REFRESH_ROTATED,
        Action.REFRESH_WAITED,
        Action.REFRESH_RECOVERED,
        Action.REFRESH_ROTATED,
    ]


async def test_with_its_key_an_attempt_is_repeated_at_any_time(auth: Doorward, clock: FakeClock) -> None:
    text = refresh_token(await sign_in(auth))
    lost = await present(auth, text, key="attempt 1")
    for _ in range(3):
        clock.move(timedelta(hours=3))
        again = await present(auth, text, key="attempt 1")
        assert next_token(again).matches(next_token(lost))
    clock.move(timedelta(hours=3))
    with pytest.raises(InvalidGrant):
        await present(auth, text, key="attempt 2")


async def test_a_hundred_presentations_at_once_make_one_successor_and_sign_nobody_out(auth: Doorward) -> None:
    signed_in = await sign_in(auth)
    text = refresh_token(signed_in)
    keys = [None, "attempt 1", "attempt 2"]
    answers = await asyncio.gather(*(present(auth, text, key=keys[number % 3]) for number in range(100)))
    assert {next_token(answer).reveal() for answer in answers} == {next_token(answers[0]).reveal()}
    assert (await row_of(auth, signed_in)).generation == 1
    for answer in answers[:3]:
        assert await auth.authenticate(bearer=next_access(answer))
    assert len(await told(auth, Action.REFRESH_ROTATED)) == 1
    assert len(await told(auth, Action.REFRESH_RETRIED)) == 99


async def test_a_lost_reply_is_made_good_once_however_many_ask_at_once(auth: Doorward, clock: FakeClock) -> None:
    signed_in = await sign_in(auth)
    text = refresh_token(signed_in)
    await present(auth, text)
    clock.move(REST)
    answers = await asyncio.gather(*(present(auth, text) for _ in range(50)))
    assert {answer.session.generation for answer in answers} == {2}
    assert (await row_of(auth, signed_in)).generation == 2
    assert len(await told(auth, Action.REFRESH_RECOVERED)) == 1


async def test_of_many_reuses_at_once_each_is_refused_and_one_is_recorded(auth: Doorward, clock: FakeClock) -> None:
    text = refresh_token(await sign_in(auth))
    await present(auth, text)
    clock.move(WINDOW + SECOND)
    answers = await asyncio.gather(*(present(auth, text) for _ in range(20)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {InvalidGrant}
    assert {getattr(answer, "reason", None) for answer in answers} == {EndReason.REUSE}
    assert len(await told(auth, Action.REFRESH_REUSED)) == 1
    assert len(await told(auth, Action.SESSION_ENDED)) == 1


# Forged


async def test_a_forged_token_signs_nobody_out(auth: Doorward, clock: FakeClock) -> None:
    signed_in = await sign_in(auth)
    text = refresh_token(signed_in)
    current = next_token(await present(auth, text))
    clock.move(WINDOW + SECOND)
    row, trail = await row_of(auth, signed_in), await told(auth)
    guessed = token_of(auth, signed_in, 1, secret=b"sixteen guesses!")
    others = token_of(auth, signed_in, 1, secret=b"sixteen guesses!", client="another")
    for forged in [
        *tampered(current.reveal()),
        *tampered(text.reveal()),
        others.reveal(),
        guessed.reveal(),
        "",
        "dwr_",
    ]:
        with pytest.raises(InvalidGrant) as refused:
            await present(auth, Secret(forged))
        assert refused.value.reason is None
    with pytest.raises(InvalidGrant):
        await auth.refresh(current, client="another", origin=HOME)
    assert await row_of(auth, signed_in) == row
    assert await told(auth) == trail
    assert (await present(auth, current)).session.generation == 2


async def test_a_token_of_a_session_that_is_gone_is_refused_without_a_reason(auth: Doorward) -> None:
    token = RefreshToken(key=12_345, generation=0, secret=bytes(16))
    text = write_refresh_token(token, client="first-party", keyring=auth.deployment.keyring)
    with pytest.raises(InvalidGrant) as refused:
        await present(auth, text)
    assert refused.value.reason is None
    assert await auth.session_of_refresh_token(text) is None


async def test_whose_session_a_token_is_of_can_be_told_from_any_generation(auth: Doorward, clock: FakeClock) -> None:
    signed_in = await sign_in(auth)
    text = refresh_token(signed_in)
    newer = next_token(await present(auth, text))
    assert await auth.session_of_refresh_token(text) == signed_in.session.id
    assert await auth.session_of_refresh_token(newer) == signed_in.session.id
    assert await auth.session_of_refresh_token(token_of(auth, signed_in, 0, secret=bytes(16))) is None
    assert await auth.session_of_refresh_token(Secret("dwr_")) is None


# Reused


async def reuse(auth: Doorward, clock: FakeClock, text: Secret, *, origin: Origin = ELSEWHERE) -> None:
    clock.move(WINDOW + SECOND)
    with pytest.raises(InvalidGrant) as refused:
        await present(auth, text, origin=origin)
    assert refused.value.reason == EndReason.REUSE


@pytest.mark.rfc("9700", "4.14.2")
async def test_reuse_ends_this_session_alone_and_its_access_tokens_at_once(auth: Doorward, clock: FakeClock) -> None:
    phone, laptop = await sign_in(auth), await sign_in(auth)
    refreshed = await present(auth, refresh_token(phone))
    await reuse(auth, clock, refresh_token(phone))
    for bearer in (access_token(phone), next_access(refreshed)):
        with pytest.raises(SessionEnded) as over:
            await auth.authenticate(bearer=bearer)
        assert over.value.reason == EndReason.REUSE
    assert (await whoever(auth, laptop)).session_id == laptop.session.id
    assert (await present(auth, refresh_token(laptop))).session.generation == 1
    assert [session.id for session in await auth.sessions(phone.account.id)] == [laptop.session.id]


async def test_the_owner_is_told_why_after_a_reuse(auth: Doorward, clock: FakeClock) -> None:
    signed_in = await sign_in(auth)
    current = next_token(await present(auth, refresh_token(signed_in)))
    await reuse(auth, clock, refresh_token(signed_in))
    with pytest.raises(InvalidGrant) as refused:
        await present(auth, current)
    assert refused.value.reason == EndReason.REUSE
    row = await row_of(auth, signed_in)
    assert (row.ended_reason, row.generation) == (EndReason.REUSE, 1)


async def test_a_reuse_is_recorded_with_the_address_and_agent_of_both(auth: Doorward, clock: FakeClock) -> None:
    signed_in = await sign_in(auth)
    await present(auth, refresh_token(signed_in), origin=HOME)
    await reuse(auth, clock, refresh_token(signed_in), origin=ELSEWHERE)
    [event] = await told(auth, Action.REFRESH_REUSED)
    assert event.actor.origin == ELSEWHERE
    assert (event.account, event.session) == (signed_in.account.id, signed_in.session.id)
    assert event.detail == {
        "presented": 0,
        "current": 1,
        "other_ip": HOME.ip,
        "other_user_agent": HOME.user_agent,
        "elsewhere": True,
    }
    [ended] = await told(auth, Action.SESSION_ENDED)
    assert ended.detail == {"reason": "reuse"}
    assert ended.at == event.at == clock()


async def test_the_end_by_reuse_outlives_the_refusal_and_a_restart(sqlite: str, clock: FakeClock) -> None:
    async with opened_with_ada(sqlite, clock) as auth:
        signed_in = await sign_in(auth)
        refreshed = await present(auth, refresh_token(signed_in))
        clock.move(GRACE)
        assert await auth.authenticate(bearer=next_access(refreshed))
        clock.move(SECOND)
        with pytest.raises(InvalidGrant):
            await present(auth, refresh_token(signed_in))
    async with opened(sqlite, clock, seed=1) as auth:
        with pytest.raises(SessionEnded) as over:
            await auth.authenticate(bearer=next_access(refreshed))
        assert over.value.reason == EndReason.REUSE
        with pytest.raises(InvalidGrant):
            await present(auth, next_token(refreshed))


async def test_once_a_new_access_token_was_used_the_old_refresh_token_is_theft_after_the_grace(
    auth: Doorward, clock: FakeClock
) -> None:
    signed_in = await sign_in(auth)
    refreshed = await present(auth, refresh_token(signed_in))
    await auth.authenticate(bearer=access_token(signed_in))
    assert not (await row_of(auth, signed_in)).acknowledged
    await auth.authenticate(bearer=next_access(refreshed))
    assert (await row_of(auth, signed_in)).acknowledged
    clock.move(GRACE + SECOND)
    with pytest.raises(InvalidGrant) as refused:
        await present(auth, refresh_token(signed_in))
    assert refused.value.reason == EndReason.REUSE


async def test_a_retry_from_elsewhere_is_answered_and_marked(auth: Doorward) -> None:
    signed_in = await sign_in(auth)
    await present(auth, refresh_token(signed_in), origin=HOME)
    await present(auth, refresh_token(signed_in), origin=HOME)
    await present(auth, refresh_token(signed_in), origin=ELSEWHERE)
    assert [event.detail["elsewhere"] for event in await told(auth, Action.REFRESH_RETRIED)] == [False, True]


@pytest.mark.parametrize(
    ("there", "elsewhere"),
    [
        (HOME, False),
        (Origin(ip="192.0.2.200", user_agent="Browser/1.0"), False),
        (Origin(ip="192.0.3.1", user_agent="Browser/1.0"), True),
        (Origin(ip="192.0.2.1", user_agent="Browser/2.0"), True),
        (Origin(ip="192.0.2.1", user_agent=None), True),
        (Origin(ip=None, user_agent="Browser/1.0"), True),
        (Origin(ip="2001:db8::1", user_agent="Browser/1.0"), True),
        (Origin(ip="unix", user_agent="Browser/1.0"), True),
    ],
)
def test_elsewhere_is_another_network_or_another_agent(*, there: Origin, elsewhere: bool) -> None:
    assert is_elsewhere(HOME, there) is is_elsewhere(there, HOME) is elsewhere


def test_a_network_of_ipv6_is_its_first_48_bits() -> None:
    here = Origin(ip="2001:db8:1:1::1")
    assert not is_elsewhere(here, Origin(ip="2001:db8:1:2::2"))
    assert is_elsewhere(here, Origin(ip="2001:db8:2:1::1"))


# A process that stood still


async def test_a_process_that_stood_still_neither_ends_nor_recovers_a_session(database: str, clock: FakeClock) -> None:
    async with opened_with_ada(database, clock, blocking=True) as auth:
        ticks = FakeClock()
        pulse = Pulse(ticks.ticks)
        pulse.start()
        late = replace(auth.deployment, pulse=pulse)
        signed_in = await sign_in(auth)
        text = refresh_token(signed_in)
        await present(auth, text)
        clock.move(REST)
        ticks.move(GRACE)
        for _ in range(2):
            # First it looks like a lost reply, and once the new token has been seen, like reuse.
            before = await row_of(auth, signed_in)
            with pytest.raises(Unavailable) as answered:
                await refresh(late, text, origin=HOME)
            assert answered.value.retry_after > timedelta(0)
            assert await row_of(auth, signed_in) == before
            await auth.deployment.store.acknowledge(signed_in.session.id, 1)
        assert [(event.action, event.detail["why"]) for event in (await told(auth))[-2:]] == [
            (Action.REFRESH_WAITED, "late"),
            (Action.REFRESH_WAITED, "late"),
        ]
        for _ in range(20):
            ticks.move(SECOND)
            pulse.beat()
        with pytest.raises(InvalidGrant):
            await refresh(late, text, origin=HOME)
        ended = await row_of(auth, signed_in)
        assert ended.ended_reason is EndReason.REUSE
        counted = {kind for kind, count in auth.deployment.incidents.items() if count}
        assert counted == {Incident.REFRESH_LATE, Incident.REFRESH_REUSED}
