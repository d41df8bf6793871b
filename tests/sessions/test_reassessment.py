"""Judging a request once more: what a route demands, and what only the store knows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from doorward.accounts.model import AccountChange
from doorward.assurance import Demands
from doorward.doorward import Doorward
from doorward.errors import InsufficientAuthentication, NotPermitted, SessionEnded, StoreUnavailable
from doorward.options import Strategy
from doorward.principal import Principal
from doorward.sessions.model import EndReason
from doorward.sessions.reassessment import assure, look_again
from doorward.testing import FakeClock
from tests.sessions.deployments import ACTOR, meddled, opened_with_ada, sign_in, whoever

pytestmark = pytest.mark.anyio

IMMEDIATE = Demands(revocation="immediate")
STRATEGIES: list[Strategy] = ["session", "jwt", "hybrid"]


class Ticks:
    """The clock that staleness is measured by."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture(params=STRATEGIES)
async def auth(request: pytest.FixtureRequest, clock: FakeClock, ticks: Ticks) -> AsyncIterator[Doorward]:
    async with opened_with_ada(
        "memory:", clock, strategy=request.param, ticks=ticks, role_scopes={"editor": ("write",)}
    ) as auth:
        assert auth._watching is not None
        auth._watching.cancel()  # a server that is cut off from what others do
        yield auth


async def ended_elsewhere(auth: Doorward, principal: Principal) -> None:
    """Another process has ended the session, and this one has not heard of it."""
    ending = auth.deployment.ending(EndReason.SIGNED_OUT, ACTOR)
    assert await auth.deployment.store.end_session(principal.session_id, ending) is not None


def unreachable(*_: Any, **__: Any) -> Any:
    raise StoreUnavailable


async def test_stale_knowledge_is_enough_where_nothing_more_is_demanded(auth: Doorward, ticks: Ticks) -> None:
    principal = await whoever(auth, await sign_in(auth))
    await ended_elsewhere(auth, principal)
    ticks.now += 60
    assert await auth.assure(principal, Demands()) == principal


async def test_where_it_is_demanded_the_store_is_asked_before_stale_knowledge_is_acted_on(
    auth: Doorward, ticks: Ticks
) -> None:
    principal = await whoever(auth, await sign_in(auth))
    await ended_elsewhere(auth, principal)
    # One tick before: what is known is as recent as was promised.
    ticks.now += auth.options.max_staleness.total_seconds()
    assert await auth.assure(principal, IMMEDIATE) == principal
    ticks.now += 0.001
    with pytest.raises(SessionEnded) as refused:
        await auth.assure(principal, IMMEDIATE)
    assert refused.value.reason == EndReason.SIGNED_OUT


async def test_a_store_that_does_not_answer_lets_nobody_through_where_that_is_demanded(
    auth: Doorward, ticks: Ticks
) -> None:
    principal = await whoever(auth, await sign_in(auth))
    away = meddled(auth, session_by_id=unreachable)
    assert await assure(away, principal, IMMEDIATE) == principal
    ticks.now += 60
    with pytest.raises(StoreUnavailable):
        await assure(away, principal, IMMEDIATE)


async def test_the_store_says_what_the_account_is_now(auth: Doorward, ticks: Ticks) -> None:
    principal = await whoever(auth, await sign_in(auth))
    account = principal.subject
    demands = Demands(roles={"editor"}, scopes={"write"}, revocation="immediate")
    with pytest.raises(NotPermitted):
        await auth.assure(principal, demands)
    await auth.change_account(account, AccountChange(roles=("editor",)), actor=ACTOR)
    ticks.now += 60
    if auth.options.strategy == "jwt":
        # Its one token says the old roles for good, so it is over.
        with pytest.raises(SessionEnded):
            await auth.assure(principal, demands)
        return
    raised = await auth.assure(principal, demands)
    assert raised.roles == frozenset({"editor"})
    assert raised.scopes == frozenset({"write"})
    await auth.change_account(account, AccountChange(roles=()), actor=ACTOR)
    with pytest.raises(NotPermitted):
        await auth.assure(raised, demands)


async def test_a_session_that_ended_since_its_credential_was_checked_is_over(auth: Doorward) -> None:
    principal = await whoever(auth, await sign_in(auth))
    await auth.end_session(principal.session_id, account_id=principal.subject, actor=ACTOR)
    assert auth.deployment.is_fresh
    with pytest.raises(SessionEnded):
        await auth.assure(principal, IMMEDIATE)


async def test_a_host_without_a_watch_always_asks(clock: FakeClock) -> None:
    """Nobody tells a synchronous host what others do between two requests."""
    async with opened_with_ada("memory:", clock, strategy="jwt", blocking=True) as auth:
        principal = await whoever(auth, await sign_in(auth))
        assert await auth.assure(principal, IMMEDIATE) == principal
        await ended_elsewhere(auth, principal)
        with pytest.raises(SessionEnded):
            await auth.assure(principal, IMMEDIATE)


async def test_signing_in_again_makes_it_fresh(auth: Doorward, clock: FakeClock) -> None:
    demands = Demands(fresh=timedelta(minutes=5))
    principal = await whoever(auth, await sign_in(auth))
    clock.move(timedelta(minutes=5, seconds=1))
    with pytest.raises(InsufficientAuthentication):
        await auth.assure(principal, demands)
    again = await whoever(auth, await sign_in(auth))
    assert await auth.assure(again, demands) == again


async def test_a_session_that_a_backup_has_brought_back_is_ended_again(auth: Doorward) -> None:
    principal = await whoever(auth, await sign_in(auth))
    store, deployment = auth.deployment.store, auth.deployment
    revived = await store.session_by_id(principal.session_id)
    await ended_elsewhere(auth, principal)
    asked = 0

    async def as_before(session_id: str) -> Any:
        nonlocal asked
        asked += 1
        return revived if asked == 1 else await store.session_by_id(session_id)

    await auth.read_changes()
    assert principal.session_id in deployment.live.sessions
    with pytest.raises(SessionEnded):
        await look_again(meddled(auth, session_by_id=as_before), principal)
