"""What threads share under a synchronous host."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from doorward.blocking import run_blocking
from doorward.doorward import Doorward
from doorward.errors import InvalidToken
from doorward.options import Options
from doorward.revocation.model import Kind, LiveSet, Revocation
from doorward.secret import Secret
from doorward.tokens.access import AccessClaims, AccessTokenVerifier, sign_access_token
from doorward.tokens.desk import TokenDesk
from doorward.tokens.status_list import BLOCK, Statuses
from doorward.tokens.statuses import take_number
from tests.tokens.minting import AUDIENCE, ES256, ISSUER, NOW, RS256, some_claims


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def entries(value: int) -> list[Revocation]:
    dies_at = NOW + timedelta(seconds=600 + value)
    return [Revocation(kind=Kind.ACCOUNT, id=f"a{each}", value=value, dies_at=dies_at) for each in range(100)]


@pytest.mark.usefixtures("hasty")
def test_sets_that_threads_join_at_once_lose_nothing() -> None:
    told = 0

    def count(changes: tuple[Any, ...]) -> None:
        nonlocal told
        told += len(changes)

    live = LiveSet(told=count)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda value: live.merge(entries(value)), range(1, 41)))
        list(pool.map(lambda _: (tuple(live), live.digest(after=NOW), live.expire(now=NOW)), range(20)))
    assert set(live.accounts.values()) == {40}
    assert {entry.value for entry in live} == {40}
    assert told >= 100


def test_a_token_that_a_thread_verifies_while_the_keys_change_is_not_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = TokenDesk(Options(issuer=ISSUER, audience=AUDIENCE), entropy=bytes)
    desk.take_keys(ES256, {ES256.kid: ES256.verification_key()})
    token, verify = Secret(sign_access_token(some_claims(), ES256)), desk._verifier.check

    def verify_while_another_thread_takes_the_key_away(
        _: AccessTokenVerifier, text: str, *, seconds: float
    ) -> tuple[AccessClaims, str]:
        found = verify(text, seconds=seconds)
        desk.take_keys(RS256, {RS256.kid: RS256.verification_key()})
        return found

    with monkeypatch.context() as patched:
        patched.setattr(AccessTokenVerifier, "check", verify_while_another_thread_takes_the_key_away)
        desk.verify(token, live=LiveSet(), seconds=NOW.timestamp())
    with pytest.raises(InvalidToken):
        desk.verify(token, live=LiveSet(), seconds=NOW.timestamp())


def test_numbers_of_the_parent_are_not_given_again_by_a_process_that_was_forked() -> None:
    statuses = Statuses(free=[1, 2, 3])
    assert statuses.take() == 3
    statuses.process = -1
    assert statuses.take() is None


@pytest.mark.usefixtures("hasty")
def test_threads_that_take_numbers_at_once_get_each_another() -> None:
    auth = Doorward("memory:", blocking=True, status_lists=True)
    run_blocking(auth.open())
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: run_blocking(take_number(auth.deployment)), range(3 * BLOCK)))
    assert len(set(taken)) == 3 * BLOCK
    run_blocking(auth.close())
