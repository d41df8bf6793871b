"""What is noted by the way (a use, an acknowledgement, newer parameters of a hash) keeps nobody out; what is
committed is known in this process although whoever asked for it has gone.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from doorward.audit.model import Action
from doorward.doorward import Doorward
from doorward.errors import Busy, InvalidGrant, SessionEnded, StoreUnavailable
from doorward.rotation.flow import refresh
from doorward.secret import Secret
from doorward.sessions.flow import authenticate, authenticate_token
from doorward.sessions.model import EndReason
from doorward.sessions.signing_in import sign_in
from doorward.testing import FakeClock
from tests.sessions import deployments
from tests.sessions.deployments import (
    ACTOR,
    ELSEWHERE,
    EMAIL,
    HOME,
    PASSWORD,
    access_token,
    meddled,
    next_access,
    next_token,
    opened_with_ada,
    refresh_token,
    row_of,
)

pytestmark = pytest.mark.anyio


async def unavailable(*_args: Any, **_named: Any) -> Any:
    raise StoreUnavailable(detail="the disk is full")


async def test_a_use_that_cannot_be_noted_signs_nobody_out(database: str, clock: FakeClock) -> None:
    async with opened_with_ada(database, clock, strategy="session") as auth:
        signed_in = await deployments.sign_in(auth)
        clock.move(timedelta(minutes=2))
        cut_off = meddled(auth, touch=unavailable)
        principal = await authenticate(cut_off, handle=signed_in.credentials.handle, bearer=None)
        assert principal.session_id == signed_in.session.id


async def test_an_acknowledgement_that_cannot_be_noted_keeps_nobody_out_and_is_made_up_for(
    database: str, clock: FakeClock
) -> None:
    async with opened_with_ada(database, clock) as auth:
        signed_in = await deployments.sign_in(auth)
        refreshed = await auth.refresh(refresh_token(signed_in), origin=HOME)
        token = next_access(refreshed)
        cut_off = meddled(auth, acknowledge=unavailable)
        assert (await authenticate_token(cut_off, token)).session_id == signed_in.session.id
        assert not (await row_of(auth, signed_in)).acknowledged
        clock.move(timedelta(seconds=10))
        assert await auth.authenticate(bearer=token)
        assert (await row_of(auth, signed_in)).acknowledged


@pytest.mark.parametrize("asked", ["access token", "refresh token"])
async def test_who_introspects_a_token_has_seen_it(database: str, clock: FakeClock, asked: str) -> None:
    async with opened_with_ada(database, clock, refresh_grace=timedelta(0)) as auth:
        signed_in = await deployments.sign_in(auth)
        refreshed = await auth.refresh(refresh_token(signed_in), origin=HOME)
        token = next_access(refreshed) if asked == "access token" else next_token(refreshed)
        assert (await auth.introspect(token))["active"] is True
        assert await auth.authenticate(bearer=next_access(refreshed))
        clock.move(timedelta(seconds=1))
        with pytest.raises(InvalidGrant) as refused:
            await auth.refresh(refresh_token(signed_in), origin=ELSEWHERE)
        assert refused.value.reason is EndReason.REUSE


async def test_what_has_expired_or_whose_session_is_over_is_not_active(database: str, clock: FakeClock) -> None:
    idle = timedelta(seconds=60)
    async with opened_with_ada(
        database, clock, session_idle=idle, session_idle_remembered=idle, lost_reply_window=idle
    ) as auth:
        token = access_token(await deployments.sign_in(auth))
        assert (await auth.introspect(token))["active"] is True
        clock.move(idle)
        assert await auth.introspect(token) == {"active": False}


async def test_a_hash_that_cannot_be_renewed_now_refuses_no_right_password(database: str, clock: FakeClock) -> None:
    async with opened_with_ada(database, clock) as auth:

        class Full:
            async def hash(self, _password: Secret) -> Secret:
                raise Busy

            def is_outdated(self, _password_hash: Secret) -> bool:
                return True

            def __getattr__(self, name: str) -> Any:
                return getattr(auth.deployment.hashing, name)

        full = replace(auth.deployment, hashing=Full())
        assert await sign_in(full, email=EMAIL, password=PASSWORD, origin=HOME)


async def test_no_number_of_retries_pushes_the_thief_out_of_the_record(database: str, clock: FakeClock) -> None:
    async with opened_with_ada(database, clock) as auth:
        signed_in = await deployments.sign_in(auth)
        token = refresh_token(signed_in)
        stolen = await auth.refresh(token, origin=ELSEWHERE)
        assert await auth.authenticate(bearer=next_access(stolen))
        for _ in range(12):
            await auth.refresh(token, origin=HOME)
        clock.move(timedelta(minutes=1))
        with pytest.raises(InvalidGrant):
            await refresh(auth.deployment, token, origin=HOME)
        (reused,) = await deployments.told(auth, Action.REFRESH_REUSED)
        assert (reused.detail["other_ip"], reused.actor.origin) == (ELSEWHERE.ip, HOME)


async def test_an_end_is_known_at_once_although_whoever_asked_for_it_has_gone(sqlite: str) -> None:
    async with Doorward(sqlite, insecure_fast_hashing=True, rate_limits=False) as auth:
        await auth.sign_up(email=EMAIL, password=PASSWORD, actor=ACTOR)
        signed_in = await deployments.sign_in(auth)
        ending = asyncio.create_task(
            auth.end_session(signed_in.session.id, account_id=signed_in.account.id, actor=ACTOR)
        )
        await asyncio.sleep(0)
        ending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ending
        while (await row_of(auth, signed_in)).ended_at is None:  # noqa: ASYNC110 -- the commit is another thread's
            await asyncio.sleep(0)
        for _ in range(2000):  # turns of the loop: the commit's own way back, long before the watch's second is over
            await asyncio.sleep(0)
        with pytest.raises(SessionEnded):
            await auth.authenticate(bearer=access_token(signed_in))
