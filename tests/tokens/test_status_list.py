from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest

from doorward.accounts.model import AccountChange
from doorward.audit.model import Actor
from doorward.errors import ConfigurationError
from doorward.keys.model import Algorithm
from doorward.options import Options, Strategy
from doorward.testing.cookie_client import CookieClient
from doorward.tokens.access import read_unverified_access_token
from doorward.tokens.status_list import SIZE, compress, refer
from tests.http.world import ISSUER, World, a_world
from tests.oracles.status_list import INVALID, VALID, Fetched, Rejected, status_of, unpacked

pytestmark = pytest.mark.anyio


async def is_valid(client: CookieClient, token: str) -> bool:
    """What a reader says that knows nothing but the specification."""

    async def fetch(address: str, headers: Mapping[str, str]) -> Fetched:
        assert address.startswith(ISSUER)
        answer = await client.get(address.removeprefix(ISSUER), headers=headers)
        return Fetched(status=answer.status, headers=dict(answer.headers), body=answer.body)

    status = await status_of(token, issuer=ISSUER, now=client._clock().timestamp(), fetch=fetch)
    assert status in {VALID, INVALID}
    return status == VALID


# Its examples


def test_the_examples_of_the_draft_are_read_as_it_says() -> None:
    one = {"bits": 1, "lst": "eNrbuRgAAhcBXQ"}
    assert unpacked(one) == [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1]
    two = {"bits": 2, "lst": "eNo76fITAAPfAgc"}
    assert unpacked(two) == [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3]


def test_ours_are_made_as_the_draft_says() -> None:
    made = compress([0, 3, 4, 5, 7, 8, 9, 13, 15], size=16)
    assert (made.bits, made.lst) == (1, "eNrbuRgAAhcBXQ")


@pytest.mark.parametrize(("number", "of", "index"), [(0, 0, 0), (SIZE - 1, 0, SIZE - 1), (SIZE, 1, 0)])
def test_a_number_has_one_place(number: int, of: int, index: int) -> None:
    reference = refer(number, issuer="https://auth.example.com/").status_list
    assert (reference.uri, reference.idx) == (f"https://auth.example.com/v1/status/{of}", index)


# What ends a session sets its bit


@pytest.mark.parametrize("strategy", ["jwt", "hybrid"])
async def test_a_session_that_is_ended_sets_its_bit_and_no_other(strategy: Strategy) -> None:
    async with a_world(strategy=strategy, status_lists=True) as world:
        await world.sign_up()
        tokens = [await a_token(world) for _ in range(3)]
        reader = world.client()
        assert [await is_valid(reader, each) for each in tokens] == [True, True, True]
        assert (await reader.delete("/v1/sessions/current", headers=bearer(tokens[1]))).status == 204
        await forget_lists(world)
        assert [await is_valid(reader, each) for each in tokens] == [True, False, True]


async def test_disabling_an_account_sets_the_bits_of_all_its_sessions() -> None:
    async with a_world(status_lists=True) as world:
        account_id, _ = await world.sign_up(), await world.sign_up("other@example.com")
        tokens = [await a_token(world), await a_token(world), await a_token(world, "other@example.com")]
        await world.auth.change_account(account_id, AccountChange(disabled=True), actor=Actor())
        assert [await is_valid(world.client(), each) for each in tokens] == [False, False, True]


async def test_a_change_of_roles_sets_no_bit() -> None:
    async with a_world(status_lists=True) as world:
        account_id = await world.sign_up()
        token = await a_token(world)
        await world.make_admin(account_id)
        assert await is_valid(world.client(), token)


async def test_a_list_is_at_most_as_old_as_the_staleness_that_is_allowed() -> None:
    ticks = [0.0]
    async with a_world(status_lists=True, max_staleness=timedelta(seconds=5)) as world:
        object.__setattr__(world.auth.deployment, "ticks", lambda: ticks[0])
        account_id = await world.sign_up()
        token = await a_token(world)
        assert await is_valid(world.client(), token)
        await world.auth.end_sessions(account_id, actor=Actor())
        ticks[0] = 4.999
        assert await is_valid(world.client(), token)
        ticks[0] = 5.0
        assert not await is_valid(world.client(), token)


@pytest.mark.parametrize("algorithm", [Algorithm.RS256, Algorithm.EDDSA])
async def test_lists_are_signed_by_whatever_tokens_are(algorithm: Algorithm) -> None:
    async with a_world(status_lists=True, signing_algorithm=algorithm) as world:
        account_id = await world.sign_up()
        token = await a_token(world)
        assert await is_valid(world.client(), token)
        await world.auth.end_sessions(account_id, actor=Actor())
        await forget_lists(world)
        assert not await is_valid(world.client(), token)


async def test_a_copy_that_is_out_of_date_says_nothing() -> None:
    async with a_world(status_lists=True) as world:
        await world.sign_up()
        token, client = await a_token(world), world.client()
        assert await is_valid(client, token)
        client._clock = lambda: world.clock() + timedelta(hours=2)
        with pytest.raises(Rejected):
            await is_valid(client, token)


# Bad input


@pytest.mark.parametrize("place", ["1", "-1", "00", "0x0", "99999999999999999999", "%30", "a"])
async def test_a_list_that_there_is_not_is_not_found(place: str) -> None:
    async with a_world(status_lists=True) as world:
        await world.sign_up()
        await a_token(world)
        assert (await world.client().get(f"/v1/status/{place}")).status == 404


async def test_without_the_option_there_are_no_lists_and_tokens_refer_to_none() -> None:
    async with a_world() as world:
        await world.sign_up()
        _, claims = read_unverified_access_token(await a_token(world))
        assert "status" not in claims
        assert (await world.client().get("/v1/status/0")).status == 404
        with pytest.raises(Rejected):
            await is_valid(world.client(), await a_token(world))


async def test_a_status_list_is_no_access_token() -> None:
    async with a_world(status_lists=True) as world:
        await world.sign_up()
        await a_token(world)
        text = (await world.client().get("/v1/status/0")).body.decode()
        assert (await world.client().get("/v1/sessions/current", headers=bearer(text))).status == 401


def test_a_key_that_only_we_know_signs_no_list() -> None:
    with pytest.raises(ConfigurationError, match="DW013"):
        Options(status_lists=True, signing_algorithm=Algorithm.HS256).checked()


async def a_token(world: World, email: str = "ada@example.com") -> str:
    _, body = await world.signed_in(email)
    token: str = body["access_token"]
    return token


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def forget_lists(world: World) -> None:
    world.auth.deployment.statuses.signed.clear()
