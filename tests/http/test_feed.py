"""The revocation feed over HTTP (CONTRACT, Tokens; docs/concepts/revocation.md)."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from doorward.audit.model import Action, Actor
from doorward.errors import NotFound, ValidationFailed
from doorward.http.operations import TABLE
from doorward.ports import Page
from doorward.revocation.model import Kind, LiveSet
from doorward.sessions.model import EndReason
from doorward.wire.feed import DIGEST_MARGIN, Heartbeat, Revoked, Snapshot, parse_digests, parse_instant
from doorward.wire.verifier_credential import parse_verifier_credential
from tests.http.streams import following
from tests.http.world import ADMIN_KEY, World, a_world

pytestmark = pytest.mark.anyio

STREAM, DIGEST = "/v1/revocations", "/v1/revocations/digest"
OPERATOR = Actor(name="operator")


async def a_verifier(world: World, name: str = "payments") -> str:
    return (await world.auth.add_verifier(name, actor=OPERATOR)).reveal()


# Who may read


@pytest.mark.parametrize("path", [STREAM, DIGEST])
async def test_the_feed_is_for_the_admin_key_and_verifiers(world: World, path: str) -> None:
    for bearer in (ADMIN_KEY, await a_verifier(world)):
        async with following(world, bearer, path=path) as stream:
            assert stream.status == 200
            assert stream.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", [STREAM, DIGEST])
async def test_nobody_else_learns_anything(world: World, path: str) -> None:
    credential = await a_verifier(world)
    client, body = await world.signed_in()
    await world.make_admin(body["account"]["id"])
    _, again = await world.signed_in()
    forged = credential[:-1] + ("A" if credential[-1] != "A" else "B")
    other = "dwv_" + "A" * 40
    bearers = [forged, other, credential[:-1], "dwv_", "nonsense", body["access_token"], again["access_token"]]
    answers = [await client.get(path, bearer=bearer) for bearer in bearers]
    assert {answer.status for answer in answers} == {401}
    assert len({answer.body for answer in answers}) == 1
    without = await world.client().get(path)
    assert (without.status, without.json()["code"]) == (401, "not_authenticated")


async def test_a_verifier_may_read_the_feed_and_ask_about_tokens_and_nothing_else(world: World) -> None:
    credential = await a_verifier(world)
    _, body = await world.signed_in()
    client = world.client()
    answer = await client.post("/v1/introspect", form={"token": body["access_token"]}, bearer=credential)
    assert (answer.status, answer.json()["active"]) == (200, True)
    allowed = {STREAM, DIGEST, "/v1/introspect"}
    for operation in TABLE:
        if operation.access.value in {"anybody", "visitor", "refresher"} or operation.path in allowed:
            continue
        path = operation.path.replace("{id}", "x").replace("{sid}", "x")
        refused = await client.request(operation.method, path, bearer=credential, json={} if operation.body else None)
        assert refused.status == 401, operation.id


async def test_a_revoked_verifier_is_refused_and_its_streams_end(world: World) -> None:
    gone, stays = await a_verifier(world, "gone"), await a_verifier(world, "stays")
    async with following(world, gone) as stream, following(world, stays) as other:
        await stream.next()
        await other.next()
        await world.auth.revoke_verifier("gone", actor=OPERATOR)
        await stream.until_over()
        assert (await world.client().get(DIGEST, bearer=gone)).status == 401
        assert (await world.client().post("/v1/introspect", form={"token": "x"}, bearer=gone)).status == 401
        assert (await world.client().get(DIGEST, bearer=stays)).status == 200
        assert world.auth.deployment.hub.readers == 1
    assert world.auth.deployment.hub.readers == 0


async def test_another_process_that_revokes_a_verifier_ends_its_streams_at_the_next_look(world: World) -> None:
    credential = await a_verifier(world)
    async with following(world, credential) as stream:
        await stream.next()
        await world.auth.deployment.store.revoke_verifier("payments", actor=OPERATOR)
        await world.auth.read_changes()
        await stream.until_over()


# Verifiers


async def test_a_credential_is_told_once_and_only_its_hash_is_kept(world: World) -> None:
    text = await a_verifier(world)
    [verifier] = await world.auth.verifiers()
    credential = parse_verifier_credential(text)
    assert credential is not None
    assert (verifier.id, verifier.secret_hash) == (credential.id, credential.secret_hash)
    assert len(credential.secret) * 8 >= 128
    assert credential.secret not in verifier.secret_hash
    assert text not in repr(verifier)


async def test_names_of_verifiers_are_plain_and_of_one_each(world: World) -> None:
    await a_verifier(world)
    for name in ("payments", "", "-x", "a b", "x" * 65, "é", "a\n"):
        with pytest.raises(ValidationFailed):
            await world.auth.add_verifier(name, actor=OPERATOR)
    with pytest.raises(NotFound):
        await world.auth.revoke_verifier("nobody", actor=OPERATOR)


async def test_the_trail_says_who_added_and_revoked_a_verifier(world: World) -> None:
    await a_verifier(world)
    await world.auth.revoke_verifier("payments", actor=OPERATOR)
    for action in (Action.VERIFIER_ADDED, Action.VERIFIER_REVOKED):
        [event] = await world.auth.trail(Page(), action=action)
        assert (event.actor.name, event.detail["verifier"]) == ("operator", "payments")


# The stream


async def test_a_sign_out_is_told_to_whoever_follows(world: World) -> None:
    client, body = await world.signed_in()
    async with following(world, await a_verifier(world)) as stream:
        assert (stream.headers["content-type"], stream.headers["x-accel-buffering"]) == ("text/event-stream", "no")
        assert "content-length" not in stream.headers
        first = await stream.next()
        assert first is not None
        assert isinstance(first.frame, Snapshot)
        assert first.frame.reading is not None
        await client.delete("/v1/sessions/current", bearer=body["access_token"])
        event = await stream.next()
        while event is not None and not isinstance(event.frame, Revoked):
            event = await stream.next()  # a heartbeat
        assert event is not None
        assert isinstance(event.frame, Revoked)
        [entry] = event.frame.revocations
        assert (entry.kind, entry.id) == (Kind.SESSION, body["session"]["id"])
    async with following(world, ADMIN_KEY, last_event_id=first.id or "") as stream:
        assert await stream.next() == event
    async with following(world, ADMIN_KEY, last_event_id="nonsense") as stream:
        live = LiveSet()
        # In the snapshot, or after one that was written less than a second ago.
        while entry not in live:
            event = await stream.next()
            assert event is not None
            assert isinstance(event.frame, Snapshot | Revoked)
            live.merge(event.frame.revocations)


async def test_what_another_process_has_revoked_is_told_with_the_next_read(world: World) -> None:
    _, body = await world.signed_in()
    deployment = world.auth.deployment
    async with following(world, ADMIN_KEY) as stream:
        await stream.next()
        await deployment.store.end_session(body["session"]["id"], deployment.ending(EndReason.ADMIN, OPERATOR))
        await world.auth.read_changes()
        event = await stream.next()
        while event is not None and isinstance(event.frame, Heartbeat):
            event = await stream.next()
        assert event is not None
        assert isinstance(event.frame, Revoked)
        assert [each.id for each in event.frame.revocations] == [body["session"]["id"]]


async def test_heartbeats_come_by_themselves(world: World) -> None:
    async with following(world, ADMIN_KEY) as stream:
        await stream.next()
        event = await stream.next()
        assert event is not None
        assert isinstance(event.frame, Heartbeat)
        assert event.id is None


async def test_too_many_readers_are_told_when_to_come_again(world: World) -> None:
    world.auth.deployment.hub._most_readers = 1
    async with following(world, ADMIN_KEY):
        refused = await world.client().get(STREAM, bearer=ADMIN_KEY)
    assert (refused.status, refused.json()["code"]) == (503, "busy")
    assert refused.values("retry-after") == ["10"]


async def test_who_asks_only_for_the_head_takes_no_place(world: World) -> None:
    answer = await world.client().request("HEAD", STREAM, bearer=ADMIN_KEY)
    assert (answer.status, answer.body) == (200, b"")
    assert world.auth.deployment.hub.readers == 0


async def test_streams_end_when_the_server_closes() -> None:
    async with a_world() as world, following(world, ADMIN_KEY) as stream:
        await stream.next()
        await world.auth.close()
        await stream.until_over()


@pytest.mark.parametrize("path", [STREAM, DIGEST])
async def test_who_may_not_read_does_not_even_learn_how_the_server_is(world: World, path: str) -> None:
    hub = world.auth.deployment.hub
    assert world.auth._watching is not None
    world.auth._watching.cancel()  # it would read in between
    hub._most_readers, hub._known = 0, None
    known = await world.client().get(path, bearer=ADMIN_KEY)
    assert known.status == 503
    assert known.values("retry-after")
    refused = [
        await world.client().request(method, path, bearer=bearer, headers={"if-none-match": "*"})
        for method in ("GET", "HEAD")
        for bearer in (None, "nonsense", "dwv_" + "A" * 40)
    ]
    assert {answer.status for answer in refused} == {401}
    for answer in refused:
        assert not {"etag", "retry-after", "doorward-as-of", "doorward-now"} & {name for name, _ in answer.headers}
    assert hub.readers == 0


async def test_a_host_where_nobody_watches_has_no_feed(world: World) -> None:
    world.auth.deployment.hub._most_readers = 0
    assert (await world.client().get(STREAM, bearer=ADMIN_KEY)).status == 503


async def test_a_place_is_free_again_when_its_reader_has_gone(world: World) -> None:
    world.auth.deployment.hub._most_readers = 1
    for _ in range(3):
        async with following(world, ADMIN_KEY) as stream:
            assert stream.status == 200
            assert await stream.next() is not None


# The digests


async def test_digests_say_what_is_held_and_as_of_when(world: World) -> None:
    client, body = await world.signed_in()
    await client.delete("/v1/sessions/current", bearer=body["access_token"])
    answer = await world.client().get(DIGEST, bearer=await a_verifier(world))
    said = parse_digests(answer.body)
    assert said.digests
    assert said.digests == LiveSet(world.auth.deployment.live).digest(after=said.reading.now + DIGEST_MARGIN)
    assert timedelta(0) <= said.reading.lag < timedelta(seconds=30)
    assert said.recent is not None
    assert set(said.recent.revocations) == set(world.auth.deployment.live)
    assert set(json.loads(answer.body)) == {"as_of", "now", "digests", "recent"}


async def test_digests_that_are_known_are_not_sent_again_but_their_age_is(world: World) -> None:
    client = world.client()
    [etag] = (await client.get(DIGEST, bearer=ADMIN_KEY)).values("etag")
    for tag in (etag, f'"other", W/{etag}'):
        answer = await client.get(DIGEST, bearer=ADMIN_KEY, headers={"if-none-match": tag})
        assert (answer.status, answer.body, answer.values("etag")) == (304, b"", [etag])
        as_of, now = (parse_instant(answer.values(name)[0]) for name in ("doorward-as-of", "doorward-now"))
        assert as_of <= now
    assert (await client.get(DIGEST, bearer=ADMIN_KEY, headers={"if-none-match": "*"})).status == 304
    signed_in, body = await world.signed_in()
    await signed_in.delete("/v1/sessions/current", bearer=body["access_token"])
    answer = await client.get(DIGEST, bearer=ADMIN_KEY, headers={"if-none-match": etag})
    assert answer.status == 200
    assert answer.values("etag") != [etag]


async def test_the_head_of_the_digests_is_that_of_the_digests(world: World) -> None:
    client = world.client()
    full = await client.get(DIGEST, bearer=ADMIN_KEY)
    head = await client.request("HEAD", DIGEST, bearer=ADMIN_KEY)
    assert (head.status, head.body, head.values("etag")) == (200, b"", full.values("etag"))
    again = await client.request("HEAD", DIGEST, bearer=ADMIN_KEY, headers={"if-none-match": full.values("etag")[0]})
    assert again.status == 304
