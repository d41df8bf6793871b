"""What signing in leaves behind, and what changes of an account do to its sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from doorward.accounts.model import AccountChange
from doorward.audit.model import Action
from doorward.doorward import Doorward
from doorward.errors import InvalidCredentials, InvalidToken, NotAuthenticated, SessionEnded, StoreUnavailable
from doorward.options import Strategy
from doorward.secret import Secret
from doorward.sessions.model import AccountMoved, EndReason
from doorward.sessions.signing_in import sign_in as sign_in_flow
from doorward.testing import FakeClock
from tests.sessions.deployments import (
    ACTOR,
    ELSEWHERE,
    EMAIL,
    HOME,
    OTHER_PASSWORD,
    PASSWORD,
    access_token,
    claims_of,
    meddled,
    opened,
    opened_with_ada,
    refresh_token,
    row_of,
    sign_in,
    told,
    whoever,
)

pytestmark = pytest.mark.anyio

every_strategy = pytest.mark.parametrize("strategy", ["session", "jwt", "hybrid"])


@pytest.fixture
async def auth(database: str, clock: FakeClock) -> AsyncIterator[Doorward]:
    async with opened_with_ada(database, clock, strategy="session") as auth:
        yield auth


@pytest.mark.parametrize(
    ("email", "password"),
    [
        (EMAIL, OTHER_PASSWORD),
        ("nobody@example.com", PASSWORD),
        ("no address", PASSWORD),
        ("disabled@example.com", PASSWORD),
        ("disabled@example.com", OTHER_PASSWORD),
    ],
)
async def test_an_unknown_e_mail_a_wrong_password_and_a_disabled_account_are_alike(
    auth: Doorward, email: str, password: Secret
) -> None:
    disabled = await auth.sign_up(email="disabled@example.com", password=PASSWORD, actor=ACTOR)
    await auth.change_account(disabled.id, AccountChange(disabled=True), actor=ACTOR)
    before = len(await told(auth))
    work: list[str] = []
    store, hashing = auth.deployment.store, auth.deployment.hashing

    async def verify(*args: Any, **named: Any) -> bool:
        work.append("hash")
        return await hashing.verify(*args, **named)

    async def account_by_email(*args: Any, **named: Any) -> Any:
        work.append("look")
        return await store.account_by_email(*args, **named)

    async def record(*args: Any, **named: Any) -> None:
        work.append("write")
        await store.record(*args, **named)

    deployment = replace(
        meddled(auth, account_by_email=account_by_email, record=record),
        hashing=_Hashing(hashing, verify),
    )
    with pytest.raises(InvalidCredentials) as refused:
        await sign_in_flow(deployment, email=email, password=password, origin=HOME)
    assert refused.value.public == InvalidCredentials.public
    # The same work, in the same order; an address that can be nobody's is not looked up.
    assert [each for each in work if each != "look"] == ["hash", "write"]
    assert work.count("look") == (0 if email == "no address" else 1)
    [event] = (await told(auth))[before:]
    assert event.action is Action.SESSION_REFUSED
    assert email not in str(event)


class _Hashing:
    """The hashing of a deployment, counted."""

    def __init__(self, hashing: Any, verify: Any) -> None:
        self._hashing = hashing
        self.verify = verify

    def __getattr__(self, name: str) -> Any:
        return getattr(self._hashing, name)


async def test_an_account_that_is_disabled_while_its_password_is_checked_starts_nothing(auth: Doorward) -> None:
    account_id = (await sign_in(auth)).account.id
    store = auth.deployment.store

    async def disabled_meanwhile(*args: Any, **named: Any) -> Any:
        await auth.change_account(account_id, AccountChange(disabled=True), actor=ACTOR)
        return await store.start_session(*args, **named)

    with pytest.raises(InvalidCredentials):
        await sign_in_flow(meddled(auth, start_session=disabled_meanwhile), email=EMAIL, password=PASSWORD, origin=HOME)
    assert await auth.sessions(account_id) == ()


async def test_an_account_that_changes_under_every_round_is_answered_with_later(auth: Doorward) -> None:
    async def moved(*args: Any, **named: Any) -> AccountMoved:
        return AccountMoved()

    with pytest.raises(StoreUnavailable):
        await sign_in_flow(meddled(auth, start_session=moved), email=EMAIL, password=PASSWORD, origin=HOME)


async def test_the_case_of_an_e_mail_does_not_matter(auth: Doorward) -> None:
    assert (await sign_in(auth, email="ADA@Example.COM")).account.email == EMAIL


# What was sent along


@every_strategy
async def test_each_sign_in_has_an_id_and_a_credential_of_its_own(
    database: str, clock: FakeClock, strategy: Strategy
) -> None:
    async with opened_with_ada(database, clock, strategy=strategy) as auth:
        one, other = await sign_in(auth), await sign_in(auth)
        assert one.session.id != other.session.id
        assert one.session.key != other.session.key
        assert one.session.secret_hash != other.session.secret_hash
        assert len(await auth.sessions(one.account.id)) == 2


@pytest.mark.parametrize("strategy", ["session", "hybrid"])
async def test_a_credential_sent_along_is_ended_and_not_carried_on(
    database: str, clock: FakeClock, strategy: Strategy
) -> None:
    # Session fixation: whoever planted it in this browser must not be signed in by it.
    async with opened_with_ada(database, clock, strategy=strategy) as auth:
        planted, bystander = await sign_in(auth, origin=ELSEWHERE), await sign_in(auth)
        text = planted.credentials.handle or refresh_token(planted)
        signed_in = await sign_in(auth, sent_along=[text, Secret("dws_nothing"), Secret("")])
        assert signed_in.session.id != planted.session.id
        with pytest.raises(SessionEnded) as over:
            await whoever(auth, planted)
        assert over.value.reason == EndReason.SIGNED_OUT
        assert await whoever(auth, signed_in)
        assert await whoever(auth, bystander)


async def test_a_handle_whose_secret_is_wrong_ends_nothing_when_it_is_sent_along(auth: Doorward) -> None:
    victim = await sign_in(auth)
    assert victim.credentials.handle is not None
    genuine = victim.credentials.handle.reveal()
    guessed = genuine[:-6] + ("AAAAAA" if not genuine.endswith("AAAAAA") else "BBBBBB")
    await sign_in(auth, sent_along=[Secret(guessed)])
    assert (await whoever(auth, victim)).session_id == victim.session.id


async def test_a_failed_sign_in_ends_nothing_that_was_sent_along(auth: Doorward) -> None:
    signed_in = await sign_in(auth)
    assert signed_in.credentials.handle is not None
    with pytest.raises(InvalidCredentials):
        await sign_in(auth, password=OTHER_PASSWORD, sent_along=[signed_in.credentials.handle])
    assert await whoever(auth, signed_in)


# How many


@every_strategy
@pytest.mark.parametrize("limit", [1, 3])
async def test_the_oldest_session_ends_where_there_would_be_too_many(
    database: str, clock: FakeClock, strategy: Strategy, limit: int
) -> None:
    async with opened_with_ada(database, clock, strategy=strategy, session_limit=limit) as auth:
        started = []
        for _ in range(limit + 2):
            started.append(await sign_in(auth))
            clock.move(timedelta(seconds=1))
        live = [session.id for session in await auth.sessions(started[0].account.id)]
        assert live == [each.session.id for each in reversed(started[2:])]
        for crowded_out in started[:2]:
            with pytest.raises(SessionEnded) as over:
                await whoever(auth, crowded_out)
            assert over.value.reason == EndReason.SESSION_LIMIT


# Changing the password and the roles


@every_strategy
async def test_changing_the_password_keeps_the_session_that_asks_and_ends_the_others(
    database: str, clock: FakeClock, strategy: Strategy
) -> None:
    async with opened_with_ada(database, clock, strategy=strategy) as auth:
        kept, other = await sign_in(auth), await sign_in(auth)
        handle = await auth.change_password(
            await whoever(auth, kept), current=PASSWORD, new=OTHER_PASSWORD, origin=HOME
        )
        with pytest.raises(SessionEnded) as over:
            await whoever(auth, other)
        assert over.value.reason == EndReason.PASSWORD_CHANGED
        if strategy == "session":
            # A credential from before does not outlive the change.
            assert handle is not None
            with pytest.raises(NotAuthenticated):
                await whoever(auth, kept)
            assert (await auth.authenticate(handle=handle)).session_id == kept.session.id
            assert [event.session for event in await told(auth, Action.SESSION_MOVED)] == [kept.session.id]
        else:
            assert handle is None
            assert (await whoever(auth, kept)).session_id == kept.session.id
        if strategy == "hybrid":
            assert (await auth.refresh(refresh_token(kept), origin=HOME)).session.id == kept.session.id
        with pytest.raises(InvalidCredentials):
            await sign_in(auth)
        assert await sign_in(auth, password=OTHER_PASSWORD)


async def test_a_wrong_current_password_changes_nothing_and_is_recorded(auth: Doorward) -> None:
    signed_in, other = await sign_in(auth), await sign_in(auth)
    with pytest.raises(InvalidCredentials):
        await auth.change_password(
            await whoever(auth, signed_in), current=OTHER_PASSWORD, new=OTHER_PASSWORD, origin=HOME
        )
    assert await whoever(auth, signed_in)
    assert await whoever(auth, other)
    assert [event.session for event in await told(auth, Action.PASSWORD_REFUSED)] == [signed_in.session.id]


async def test_a_change_of_roles_revokes_what_says_the_old_ones_at_once_and_a_refresh_says_the_new(
    database: str, clock: FakeClock
) -> None:
    async with opened_with_ada(database, clock) as auth:
        signed_in = await sign_in(auth)
        account_id = signed_in.account.id
        await auth.change_account(account_id, AccountChange(roles=("editor",)), actor=ACTOR)
        with pytest.raises(InvalidToken):
            await whoever(auth, signed_in)
        assert [session.id for session in await auth.sessions(account_id)] == [signed_in.session.id]
        assert await told(auth, Action.SESSION_ENDED) == []
        refreshed = await auth.refresh(refresh_token(signed_in), origin=HOME)
        assert refreshed.credentials.access_token is not None
        fresh = refreshed.credentials.access_token.text
        assert (await auth.authenticate(bearer=fresh)).roles == {"editor"}
        assert claims_of(fresh)["ver"] == claims_of(access_token(signed_in))["ver"] + 1


async def test_a_change_of_roles_ends_what_only_a_token_with_the_old_ones_carries_and_says_so(
    database: str, clock: FakeClock
) -> None:
    async with opened_with_ada(database, clock, strategy="jwt") as auth:
        signed_in = await sign_in(auth)
        await auth.change_account(signed_in.account.id, AccountChange(roles=("editor",)), actor=ACTOR)
        with pytest.raises(SessionEnded) as refused:
            await whoever(auth, signed_in)
        assert refused.value.reason is EndReason.ADMIN
        assert await auth.sessions(signed_in.account.id) == ()


async def test_a_cookie_session_has_its_new_roles_with_the_next_request(auth: Doorward) -> None:
    signed_in = await sign_in(auth)
    assert (await whoever(auth, signed_in)).roles == frozenset()
    await auth.change_account(signed_in.account.id, AccountChange(roles=("editor",)), actor=ACTOR)
    assert (await whoever(auth, signed_in)).roles == {"editor"}


@every_strategy
async def test_a_change_of_the_name_revokes_nothing(database: str, clock: FakeClock, strategy: Strategy) -> None:
    async with opened_with_ada(database, clock, strategy=strategy) as auth:
        signed_in = await sign_in(auth)
        await auth.change_account(signed_in.account.id, AccountChange(name="Ada", roles=()), actor=ACTOR)
        assert await whoever(auth, signed_in)


# Restarts, and other processes


@every_strategy
async def test_what_was_revoked_is_so_after_a_restart(sqlite: str, clock: FakeClock, strategy: Strategy) -> None:
    async with opened_with_ada(sqlite, clock, strategy=strategy) as auth:
        ended, stays = await sign_in(auth), await sign_in(auth)
        await auth.end_session(ended.session.id, account_id=None, actor=ACTOR)
    async with opened(sqlite, clock, seed=1, strategy=strategy) as auth:
        with pytest.raises(SessionEnded) as over:
            await whoever(auth, ended)
        assert over.value.reason == EndReason.SIGNED_OUT
        assert (await whoever(auth, stays)).session_id == stays.session.id


@every_strategy
@pytest.mark.parametrize("end", ["session", "sessions", "disabled"])
async def test_what_one_process_ends_another_refuses_once_it_has_read_the_changes(
    sqlite: str, clock: FakeClock, strategy: Strategy, end: str
) -> None:
    async with opened_with_ada(sqlite, clock, strategy=strategy) as here:
        signed_in = await sign_in(here)
        async with opened(sqlite, clock, seed=1, strategy=strategy) as there:
            assert await whoever(there, signed_in)
            match end:
                case "session":
                    await here.end_session(signed_in.session.id, account_id=None, actor=ACTOR)
                case "sessions":
                    await here.end_sessions(signed_in.account.id, actor=ACTOR)
                case _:
                    await here.change_account(signed_in.account.id, AccountChange(disabled=True), actor=ACTOR)
            await there.read_changes()
            with pytest.raises(SessionEnded):
                await whoever(there, signed_in)


async def test_a_revocation_is_forgotten_only_when_every_token_that_it_names_is_dead(
    database: str, clock: FakeClock
) -> None:
    async with opened_with_ada(database, clock, ticks=clock.ticks, strategy="hybrid") as auth:
        signed_in = await sign_in(auth)
        await auth.end_session(signed_in.session.id, account_id=None, actor=ACTOR)
        remembered = auth.options.revocations_live_for
        assert remembered >= auth.options.access_lifetime + 2 * auth.options.clock_skew
        clock.move(remembered - timedelta(microseconds=1))
        await auth.read_changes()
        assert signed_in.session.id in auth.deployment.live.sessions
        clock.move(timedelta(microseconds=1))
        await auth.read_changes()
        assert len(auth.deployment.live) == 0
        with pytest.raises(InvalidToken):
            await whoever(auth, signed_in)
        assert (await row_of(auth, signed_in)).ended_reason is EndReason.SIGNED_OUT
