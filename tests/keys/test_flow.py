"""Loading and rotating keys, through a deployment with a clock to move."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from doorward.audit.model import Actor, Origin
from doorward.doorward import Doorward
from doorward.errors import InvalidToken, NotFound, ValidationFailed
from doorward.keys.model import Algorithm
from doorward.keys.rules import KNOWN_AFTER
from doorward.secret import Secret
from doorward.testing import FakeClock

PASSWORD = Secret("a walrus in seven teapots")
CLI = Actor(name="command-line")

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def auth(clock: FakeClock) -> AsyncIterator[Doorward]:
    async with Doorward("memory:", clock=clock, insecure_fast_hashing=True, blocking=True) as auth:
        await auth.sign_up(email="ada@example.com", password=PASSWORD, actor=CLI)
        yield auth


async def a_token(auth: Doorward) -> Secret:
    signed_in = await auth.sign_in(email="ada@example.com", password=PASSWORD, origin=Origin())
    assert signed_in.credentials.access_token is not None
    return signed_in.credentials.access_token.text


async def test_there_is_a_key_that_signs_and_one_that_is_published_before_it_does(auth: Doorward) -> None:
    assert len(await auth.stored_keys()) == 2
    assert len((await auth.key_set())["keys"]) == 2


async def test_what_was_issued_in_time_outlives_any_number_of_rotations(auth: Doorward, clock: FakeClock) -> None:
    tokens = []
    for _ in range(4):
        tokens.append(await a_token(auth))
        await auth.rotate_keys(actor=CLI)
        clock.move(timedelta(seconds=200))
    for token in tokens:
        assert await auth.authenticate(bearer=token)


async def test_the_next_key_is_in_the_key_set_before_anything_is_signed_with_it(auth: Doorward) -> None:
    for _ in range(3):
        published = {key["kid"] for key in (await auth.key_set())["keys"]}
        await auth.rotate_keys(actor=CLI)
        newest = max(
            (key for key in await auth.stored_keys() if key.activates_at.year < 9999), key=lambda k: k.activates_at
        )
        assert newest.kid in published


async def test_a_clock_that_is_set_back_makes_no_keys_and_retires_none(auth: Doorward, clock: FakeClock) -> None:
    before, token = await auth.stored_keys(), await a_token(auth)
    clock.move(-timedelta(hours=2))
    await auth.read_changes()
    assert await auth.stored_keys() == before
    assert await a_token(auth)
    clock.move(timedelta(hours=2))
    await auth.read_changes()
    assert await auth.authenticate(bearer=token)
    assert await auth.stored_keys() == before


async def test_a_retired_key_verifies_nothing(auth: Doorward, clock: FakeClock) -> None:
    token = await a_token(auth)
    signing = min(await auth.stored_keys(), key=lambda key: key.activates_at)
    with pytest.raises(ValidationFailed):
        await auth.retire_key(signing.kid, actor=CLI)
    clock.move(KNOWN_AFTER)
    await auth.rotate_keys(actor=CLI)
    assert await auth.authenticate(bearer=token)
    await auth.retire_key(signing.kid, actor=CLI)
    with pytest.raises(InvalidToken):
        await auth.authenticate(bearer=token)
    with pytest.raises(NotFound):
        await auth.retire_key("nobody", actor=CLI)


async def test_another_algorithm_signs_from_the_next_start_and_the_old_tokens_are_honoured(
    clock: FakeClock, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/app.db"
    async with Doorward(url, clock=clock, insecure_fast_hashing=True, blocking=True) as auth:
        await auth.sign_up(email="ada@example.com", password=PASSWORD, actor=CLI)
        old = await a_token(auth)
    async with Doorward(
        url, clock=clock, insecure_fast_hashing=True, blocking=True, signing_algorithm=Algorithm.EDDSA
    ) as auth:
        assert await auth.authenticate(bearer=old)
        assert await auth.authenticate(bearer=await a_token(auth))
        assert {key["alg"] for key in (await auth.key_set())["keys"]} == {"ES256", "EdDSA"}


async def test_a_symmetric_key_is_in_no_key_set(clock: FakeClock) -> None:
    async with Doorward(
        "memory:", clock=clock, insecure_fast_hashing=True, blocking=True, signing_algorithm=Algorithm.HS256
    ) as auth:
        await auth.sign_up(email="ada@example.com", password=PASSWORD, actor=CLI)
        assert await auth.authenticate(bearer=await a_token(auth))
        assert await auth.key_set() == {"keys": []}


async def test_two_servers_of_different_algorithms_leave_each_others_keys_alone(
    clock: FakeClock, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/app.db"
    one = Doorward(url, clock=clock, insecure_fast_hashing=True, blocking=True)
    other = Doorward(url, clock=clock, insecure_fast_hashing=True, blocking=True, signing_algorithm=Algorithm.EDDSA)
    async with one, other:
        await one.sign_up(email="ada@example.com", password=PASSWORD, actor=CLI)
        tokens = [await a_token(one), await a_token(other)]
        before = await one.stored_keys()
        for server in (one, other, one, other):
            await server.read_changes()
            for token in tokens:
                assert await server.authenticate(bearer=token)
        assert await one.stored_keys() == before
        assert len(before) == 4


async def test_rotating_ends_the_keys_of_another_algorithm(clock: FakeClock, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/app.db"
    async with Doorward(url, clock=clock, insecure_fast_hashing=True, blocking=True) as auth:
        await auth.sign_up(email="ada@example.com", password=PASSWORD, actor=CLI)
        old = await a_token(auth)
    async with Doorward(
        url, clock=clock, insecure_fast_hashing=True, blocking=True, signing_algorithm=Algorithm.EDDSA
    ) as auth:
        await auth.rotate_keys(actor=CLI)
        assert await auth.authenticate(bearer=old)
        clock.move(auth.options.revocations_live_for + KNOWN_AFTER)
        assert {key["alg"] for key in (await auth.key_set())["keys"]} == {"EdDSA"}


async def test_whoever_only_looks_makes_no_keys_of_another_algorithm(clock: FakeClock, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/app.db"
    async with Doorward(url, clock=clock, insecure_fast_hashing=True, blocking=True) as auth:
        await auth.sign_up(email="ada@example.com", password=PASSWORD, actor=CLI)
        token, before = await a_token(auth), await auth.stored_keys()
    async with Doorward(
        url, clock=clock, blocking=True, signing_algorithm=Algorithm.RS256, makes_keys=False
    ) as looking:
        assert await looking.stored_keys() == before
        assert await looking.authenticate(bearer=token)
