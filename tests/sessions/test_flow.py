"""Signing in, being recognised and signing out, under every strategy, over memory and over SQLite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from doorward.accounts.model import AccountChange
from doorward.audit.model import Action
from doorward.doorward import Doorward
from doorward.errors import (
    InvalidToken,
    NotAuthenticated,
    NotFound,
    SessionEnded,
    StoreUnavailable,
    ValidationFailed,
)
from doorward.options import Strategy
from doorward.ports import Store
from doorward.secret import Secret
from doorward.sessions.flow import authenticate_token
from doorward.sessions.model import EndReason
from doorward.sessions.signing_in import CARRIERS
from doorward.testing import FakeClock
from tests.sessions.deployments import (
    ACTOR,
    HOME,
    OTHER_PASSWORD,
    access_token,
    meddled,
    opened,
    opened_with_ada,
    refresh_token,
    row_of,
    sign_in,
    tampered,
    told,
    whoever,
)

pytestmark = pytest.mark.anyio

STRATEGIES: tuple[Strategy, ...] = ("session", "jwt", "hybrid")
SECOND = timedelta(seconds=1)
every_strategy = pytest.mark.parametrize("strategy", STRATEGIES)


@pytest.fixture
async def auth(database: str, clock: FakeClock) -> AsyncIterator[Doorward]:
    async with opened_with_ada(database, clock, strategy="session") as auth:
        yield auth


# Every strategy


@every_strategy
async def test_whoever_signs_in_is_recognised_until_signing_out(
    database: str, clock: FakeClock, strategy: Strategy
) -> None:
    async with opened_with_ada(database, clock, strategy=strategy, role_scopes={"*": ("notes:read",)}) as auth:
        signed_in = await sign_in(auth, label="kitchen tablet")
        principal = await whoever(auth, signed_in)
        assert (principal.subject, principal.session_id) == (signed_in.account.id, signed_in.session.id)
        assert (principal.methods, principal.scopes) == (("pwd",), frozenset({"notes:read"}))
        assert principal.authenticated_at == clock()
        assert principal.carrier == ("cookie" if strategy == "session" else "token")
        account, session = await auth.current(principal)
        assert (account, session.id) == (signed_in.account, signed_in.session.id)
        assert [each.label for each in await auth.sessions(account.id)] == ["kitchen tablet"]

        await auth.end_session(session.id, account_id=account.id, actor=ACTOR)
        with pytest.raises(SessionEnded) as over:
            await whoever(auth, signed_in)
        assert over.value.reason == EndReason.SIGNED_OUT
        assert await auth.sessions(account.id) == ()
        started, ended = await told(auth, session=session.id)
        assert (started.action, ended.action) == (Action.SESSION_STARTED, Action.SESSION_ENDED)
        assert started.detail["strategy"] == strategy
        assert ended.detail == {"reason": "signed_out"}


@every_strategy
async def test_each_strategy_hands_out_what_it_is_carried_by(
    database: str, clock: FakeClock, strategy: Strategy
) -> None:
    async with opened_with_ada(database, clock, strategy=strategy) as auth:
        for carrier in (None, *CARRIERS[strategy]):
            signed_in = await sign_in(auth, carrier=carrier)
            handed = signed_in.credentials
            assert signed_in.session.carrier == (carrier or CARRIERS[strategy][0])
            assert (handed.handle is not None) is (strategy == "session")
            assert (handed.access_token is not None) is (strategy != "session")
            assert (handed.refresh_token is not None) is (strategy == "hybrid")
            assert (handed.csrf_token is not None) is (signed_in.session.carrier == "cookie")
            assert handed.csrf_token is None or auth.is_csrf_token(signed_in.session.id, handed.csrf_token)


@every_strategy
async def test_a_carrier_that_the_strategy_has_not_is_refused(
    database: str, clock: FakeClock, strategy: Strategy
) -> None:
    async with opened_with_ada(database, clock, strategy=strategy) as auth:
        for carrier in {"cookie", "token"} - set(CARRIERS[strategy]):
            with pytest.raises(ValidationFailed):
                await sign_in(auth, carrier=carrier)
        assert await told(auth, Action.SESSION_STARTED) == []


@every_strategy
@pytest.mark.parametrize("later", STRATEGIES)
async def test_changing_the_strategy_of_a_running_deployment_signs_nobody_out(
    sqlite: str, clock: FakeClock, strategy: Strategy, later: Strategy
) -> None:
    async with opened_with_ada(sqlite, clock, strategy=strategy) as auth:
        signed_in = await sign_in(auth)
    async with opened(sqlite, clock, seed=1, strategy=later) as auth:
        clock.move(timedelta(minutes=5))
        assert (await whoever(auth, signed_in)).session_id == signed_in.session.id
        newcomer = await sign_in(auth)
        assert newcomer.session.strategy == later
        assert len(await auth.sessions(signed_in.account.id)) == 2
        if strategy == "hybrid":
            refreshed = await auth.refresh(refresh_token(signed_in), origin=HOME)
            assert (refreshed.session.id, refreshed.session.generation) == (signed_in.session.id, 1)
            assert refreshed.credentials.handle is None
        await auth.end_session(signed_in.session.id, account_id=None, actor=ACTOR)
        with pytest.raises(SessionEnded):
            await whoever(auth, signed_in)
        assert (await whoever(auth, newcomer)).session_id == newcomer.session.id


@every_strategy
@pytest.mark.parametrize("end", ["one", "all", "disabled", "limit"])
async def test_a_session_that_was_ended_says_why(database: str, clock: FakeClock, strategy: Strategy, end: str) -> None:
    limit = 1 if end == "limit" else None
    async with opened_with_ada(database, clock, strategy=strategy, session_limit=limit) as auth:
        signed_in = await sign_in(auth)
        account_id = signed_in.account.id
        match end:
            case "one":
                await auth.end_session(signed_in.session.id, account_id=None, reason=EndReason.ADMIN, actor=ACTOR)
            case "all":
                assert await auth.end_sessions(account_id, reason=EndReason.ADMIN, actor=ACTOR) == 1
            case "disabled":
                await auth.change_account(account_id, AccountChange(disabled=True), actor=ACTOR)
            case _:
                await sign_in(auth)
        expected = {"disabled": EndReason.ACCOUNT_DISABLED, "limit": EndReason.SESSION_LIMIT}.get(end, EndReason.ADMIN)
        with pytest.raises(SessionEnded) as over:
            await whoever(auth, signed_in)
        assert over.value.reason == expected
        assert (await row_of(auth, signed_in)).ended_reason is expected


@every_strategy
async def test_an_access_token_of_the_time_before_all_were_ended_is_dead_and_one_after_is_not(
    database: str, clock: FakeClock, strategy: Strategy
) -> None:
    async with opened_with_ada(database, clock, strategy=strategy) as auth:
        before = [await sign_in(auth), await sign_in(auth)]
        assert await auth.end_sessions(before[0].account.id, reason=EndReason.ADMIN, actor=ACTOR) == 2
        # In the same second: no cut-off by time could tell them apart.
        after = await sign_in(auth)
        for signed_in in before:
            with pytest.raises(SessionEnded):
                await whoever(auth, signed_in)
        assert (await whoever(auth, after)).session_id == after.session.id


@every_strategy
async def test_ending_the_others_keeps_the_one_that_asks(database: str, clock: FakeClock, strategy: Strategy) -> None:
    async with opened_with_ada(database, clock, strategy=strategy) as auth:
        kept, other = await sign_in(auth), await sign_in(auth)
        assert await auth.end_sessions(kept.account.id, keep=kept.session.id, actor=ACTOR) == 1
        assert (await whoever(auth, kept)).session_id == kept.session.id
        with pytest.raises(SessionEnded):
            await whoever(auth, other)


async def test_a_session_of_another_account_is_not_found(auth: Doorward) -> None:
    signed_in = await sign_in(auth)
    other = await auth.sign_up(email="grace@example.com", password=OTHER_PASSWORD, actor=ACTOR)
    for session_id in (signed_in.session.id, "nosuchsession234"):
        with pytest.raises(NotFound):
            await auth.end_session(session_id, account_id=other.id, actor=ACTOR)
    assert (await whoever(auth, signed_in)).session_id == signed_in.session.id


# Time


@pytest.mark.parametrize(
    ("passed", "reason"), [("session_idle", EndReason.IDLE), ("session_absolute", EndReason.EXPIRED)]
)
async def test_a_session_ends_at_its_time_out_and_says_which(
    auth: Doorward, clock: FakeClock, passed: str, reason: EndReason
) -> None:
    signed_in = await sign_in(auth)
    clock.move(getattr(auth.options, passed) - SECOND)
    if reason is EndReason.IDLE:
        assert await whoever(auth, signed_in)
        clock.move(getattr(auth.options, passed) - SECOND)
    clock.move(SECOND)
    with pytest.raises(SessionEnded) as over:
        await whoever(auth, signed_in)
    assert over.value.reason == reason


async def test_a_session_that_is_used_lives_to_its_absolute_end(auth: Doorward, clock: FakeClock) -> None:
    signed_in = await sign_in(auth)
    while clock() + auth.options.session_idle / 2 < signed_in.session.expires_at:
        clock.move(auth.options.session_idle / 2)
        assert (await whoever(auth, signed_in)).expires_at <= signed_in.session.expires_at
    clock.move(signed_in.session.expires_at - clock())
    with pytest.raises(SessionEnded) as over:
        await whoever(auth, signed_in)
    assert over.value.reason == EndReason.EXPIRED


async def test_a_use_is_written_once_a_minute(auth: Doorward, clock: FakeClock) -> None:
    signed_in = await sign_in(auth)
    seen_at = set()
    for _ in range(150):
        await whoever(auth, signed_in)
        row = await row_of(auth, signed_in)
        seen_at.add(row.last_seen_at)
        assert row.idle_expires_at == row.last_seen_at + auth.options.session_idle
        clock.move(SECOND)
    assert [at - signed_in.session.created_at for at in sorted(seen_at)] == [
        timedelta(seconds=each) for each in (0, 60, 120)
    ]


@pytest.mark.parametrize("over", ["ended", "expired"])
async def test_a_late_use_never_brings_a_session_back(auth: Doorward, clock: FakeClock, over: str) -> None:
    signed_in = await sign_in(auth)
    if over == "ended":
        await auth.end_session(signed_in.session.id, account_id=None, actor=ACTOR)
        clock.move(timedelta(minutes=2))
    else:
        clock.move(auth.options.session_idle)
    row = await row_of(auth, signed_in)
    await auth.deployment.store.touch(row.key, idle=auth.options.session_idle)
    assert await row_of(auth, signed_in) == row
    with pytest.raises(SessionEnded):
        await whoever(auth, signed_in)


# Credentials that are none


async def test_a_request_without_a_credential_is_nobodys(auth: Doorward) -> None:
    with pytest.raises(NotAuthenticated):
        await auth.authenticate()


async def test_a_forged_handle_is_nobodys_and_ends_nothing(auth: Doorward) -> None:
    signed_in = await sign_in(auth)
    assert signed_in.credentials.handle is not None
    genuine = signed_in.credentials.handle.reveal()
    row, trail = await row_of(auth, signed_in), await told(auth)
    for forged in ("", "dws_", genuine[:-1], genuine + "A", *tampered(genuine)):
        with pytest.raises(NotAuthenticated):
            await auth.authenticate(handle=Secret(forged))
    assert await row_of(auth, signed_in) == row
    assert await told(auth) == trail


@pytest.mark.parametrize("place", ["handle", "bearer"])
async def test_a_refresh_token_authenticates_no_request(database: str, clock: FakeClock, place: str) -> None:
    async with opened_with_ada(database, clock) as auth:
        text = refresh_token(await sign_in(auth))
        sent: dict[str, Secret] = {place: text}
        with pytest.raises((NotAuthenticated, InvalidToken)):
            await auth.authenticate(**sent)
        if place == "handle":
            # Nor does what is in it, spelt like a handle.
            with pytest.raises(NotAuthenticated):
                await auth.authenticate(handle=Secret("dws_" + text.reveal()[4:36]))


async def test_why_a_token_was_revoked_need_not_be_known_to_refuse_it(database: str, clock: FakeClock) -> None:
    async with opened_with_ada(database, clock, strategy="jwt") as auth:
        signed_in = await sign_in(auth)
        await auth.end_session(signed_in.session.id, account_id=None, actor=ACTOR)

        async def down(*args: Any, **named: Any) -> Any:
            raise StoreUnavailable(detail="down")

        with pytest.raises(InvalidToken):
            await authenticate_token(meddled(auth, session_by_id=down), access_token(signed_in))


async def test_a_token_is_recognised_without_the_store(database: str, clock: FakeClock) -> None:
    async with opened_with_ada(database, clock, strategy="jwt") as auth:
        signed_in = await sign_in(auth)
        alone = replace(auth.deployment, store=cast("Store", object()))
        assert (await authenticate_token(alone, access_token(signed_in))).session_id == signed_in.session.id
