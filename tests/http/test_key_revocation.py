"""A compromised signing key, as clients and readers of the feed see it dropped."""

from __future__ import annotations

import pytest

from doorward.audit.model import Actor
from doorward.revocation.model import Kind
from doorward.tokens.access import read_unverified_access_token
from doorward.wire.feed import KeysChanged, Revoked
from tests.http.streams import following
from tests.http.world import ADMIN_KEY, World, a_world

pytestmark = pytest.mark.anyio
OPERATOR = Actor(name="operator")
CURRENT = "/v1/sessions/current"


def kid_of(token: str) -> str:
    return str(read_unverified_access_token(token)[0]["kid"])


async def test_a_client_with_a_refresh_token_simply_refreshes(world: World) -> None:
    client, body = await world.signed_in()
    token = body["access_token"]
    assert (await client.get(CURRENT, bearer=token)).status == 200
    await world.auth.revoke_key(kid_of(token), actor=OPERATOR)
    refused = await client.get(CURRENT, bearer=token)
    assert (refused.status, refused.json()["code"]) == (401, "invalid_token")
    assert refused.values("www-authenticate") == ['Bearer error="invalid_token"']
    form = {"grant_type": "refresh_token", "refresh_token": body["refresh_token"]}
    fresh = (await client.post("/v1/token", form=form)).json()
    assert (await client.get(CURRENT, bearer=fresh["access_token"])).json()["session"]["id"] == body["session"]["id"]


async def test_a_session_that_had_nothing_but_its_token_has_ended() -> None:
    async with a_world(strategy="jwt") as world:
        await world.sign_up()
        client, body = await world.signed_in()
        await world.auth.revoke_key(kid_of(body["access_token"]), actor=OPERATOR)
        refused = await client.get(CURRENT, bearer=body["access_token"])
        said = refused.json()
        assert (refused.status, said["code"], said["reason"]) == (401, "session_ended", "key_revoked")
        assert refused.values("www-authenticate") == ['Bearer error="invalid_token"']
        _, again = await world.signed_in()
        listed = (await client.get("/v1/sessions", bearer=again["access_token"])).json()["sessions"]
        assert [session["id"] for session in listed] == [again["session"]["id"]]


async def test_readers_of_the_feed_are_told_of_the_key_and_to_fetch_the_others(world: World) -> None:
    _, body = await world.signed_in()
    kid = kid_of(body["access_token"])
    async with following(world, ADMIN_KEY) as stream:
        await stream.next()
        await world.auth.revoke_key(kid, actor=OPERATOR)
        frames: list[object] = []
        while not {Revoked, KeysChanged} <= {type(frame) for frame in frames}:
            event = await stream.next()
            assert event is not None
            frames.append(event.frame)
    [entry] = [entry for frame in frames if isinstance(frame, Revoked) for entry in frame.revocations]
    assert (entry.kind, entry.id) == (Kind.KEY, kid)
    published = (await world.client().get("/.well-known/jwks.json")).json()["keys"]
    assert kid not in {key["kid"] for key in published}
    assert len(published) == 2


async def test_readers_of_the_feed_are_told_of_a_rotation(world: World) -> None:
    async with following(world, ADMIN_KEY) as stream:
        await stream.next()
        await world.auth.rotate_keys(actor=OPERATOR)
        event = await stream.next()
        while event is not None and not isinstance(event.frame, KeysChanged):
            event = await stream.next()
        assert event is not None
