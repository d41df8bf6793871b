"""A compromised signing key: dropped everywhere in one transaction, and replaced in the same."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from doorward.audit.model import Action
from doorward.doorward import Doorward
from doorward.errors import InvalidToken, NotFound, SessionEnded, StoreUnavailable
from doorward.keys.flow import load_keys, revoke_key
from doorward.keys.model import Algorithm, KeyState
from doorward.keys.rules import KNOWN_AFTER, UNSCHEDULED, plan_replacement, signing_key_of, state_of
from doorward.options import Strategy
from doorward.ports import Page
from doorward.revocation.model import Kind, Revocation
from doorward.secret import Secret
from doorward.sessions.flow import verify_token
from doorward.sessions.model import EndReason
from doorward.testing import FakeClock
from doorward.testing.clock import NOON
from doorward.testing.factories import a_signing_key
from doorward.tokens.access import read_unverified_access_token
from tests.sessions import deployments
from tests.sessions.deployments import (
    ACTOR,
    HOME,
    access_token,
    meddled,
    next_access,
    opened,
    opened_with_ada,
    refresh_token,
    row_of,
    told,
)

clock, database, sqlite, template = (
    deployments.clock,
    deployments.database,
    deployments.sqlite,
    deployments.template,
)

pytestmark = pytest.mark.anyio
TICK = timedelta(microseconds=1)


def kid_of(token: Secret) -> str:
    return str(read_unverified_access_token(token.reveal())[0]["kid"])


async def states(auth: Doorward) -> dict[str, KeyState]:
    now = await auth.deployment.store.now()
    return {key.kid: state_of(key, now=now) for key in await auth.stored_keys()}


async def the(auth: Doorward, state: KeyState) -> str:
    [kid] = [kid for kid, each in (await states(auth)).items() if each is state]
    return kid


# The rule


@pytest.mark.parametrize(
    ("revoked", "waiting", "expected"),
    [
        ("signing", 1, ("waiting-0", False, True)),
        ("signing", 2, ("waiting-0", False, False)),
        ("signing", 0, (None, True, True)),
        ("waiting-0", 1, (None, False, True)),
        ("waiting-0", 2, (None, False, False)),
        ("old", 1, (None, False, False)),
        ("old", 0, (None, False, False)),
    ],
)
def test_what_takes_the_place_of_a_revoked_key(revoked: str, waiting: int, expected: tuple[Any, bool, bool]) -> None:
    keys = [
        a_signing_key(1, kid="old", activates_at=NOON - 9 * TICK, retiring_at=NOON - TICK),
        a_signing_key(2, kid="signing", activates_at=NOON - TICK),
        *(
            a_signing_key(3 + n, kid=f"waiting-{n}", created_at=NOON + n * TICK, activates_at=UNSCHEDULED)
            for n in range(waiting)
        ),
    ]
    plan = plan_replacement(keys, {revoked}, now=NOON)
    assert (plan.activate, plan.make_signing, plan.make_waiting) == expected


def test_a_scheduled_key_signs_where_the_clock_was_set_back_and_is_replaced_like_one() -> None:
    keys = [a_signing_key(1, kid="signing", activates_at=NOON + TICK)]
    assert plan_replacement(keys, {"signing"}, now=NOON).make_signing


# What becomes of tokens


async def test_its_tokens_are_refused_at_once_though_they_were_verified_before(database: str, clock: FakeClock) -> None:
    async with opened_with_ada(database, clock) as auth:
        signed_in = await deployments.sign_in(auth)
        token = access_token(signed_in)
        await auth.authenticate(bearer=token)
        await auth.revoke_key(kid_of(token), actor=ACTOR)
        with pytest.raises(InvalidToken):
            await auth.authenticate(bearer=token)
        assert await auth.introspect(token) == {"active": False}


async def test_who_has_a_refresh_token_refreshes_and_the_session_goes_on(database: str, clock: FakeClock) -> None:
    async with opened_with_ada(database, clock) as auth:
        signed_in = await deployments.sign_in(auth)
        await auth.revoke_key(kid_of(access_token(signed_in)), actor=ACTOR)
        refreshed = await auth.refresh(refresh_token(signed_in), origin=HOME)
        assert kid_of(next_access(refreshed)) != kid_of(access_token(signed_in))
        assert (await auth.authenticate(bearer=next_access(refreshed))).session_id == signed_in.session.id
        assert (await row_of(auth, signed_in)).ended_at is None


async def test_a_session_that_had_nothing_but_such_a_token_ends_and_says_why(database: str, clock: FakeClock) -> None:
    async with opened_with_ada(database, clock, strategy="jwt") as auth:
        signed_in = await deployments.sign_in(auth)
        assert await auth.revoke_key(kid_of(access_token(signed_in)), actor=ACTOR) == 1
        with pytest.raises(SessionEnded) as refused:
            await auth.authenticate(bearer=access_token(signed_in))
        assert refused.value.reason == "key_revoked"
        assert (await row_of(auth, signed_in)).ended_reason is EndReason.KEY_REVOKED
        [event] = await told(auth, Action.SESSION_ENDED)
        assert (event.session, event.detail["reason"]) == (signed_in.session.id, "key_revoked")
        again = await deployments.sign_in(auth)
        assert await auth.authenticate(bearer=access_token(again))
        assert [session.id for session in await auth.sessions(again.account.id)] == [again.session.id]


async def test_however_many_they_are(database: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doorward.keys.flow._AT_ONCE", 2)
    async with opened_with_ada(database, clock, strategy="jwt") as auth:
        signed_in = [await deployments.sign_in(auth) for _ in range(5)]
        assert await auth.revoke_key(kid_of(access_token(signed_in[0])), actor=ACTOR) == 5
        assert {(await row_of(auth, each)).ended_reason for each in signed_in} == {EndReason.KEY_REVOKED}


async def test_sessions_whose_token_another_key_signed_go_on(database: str, clock: FakeClock) -> None:
    async with opened_with_ada(database, clock, strategy="jwt") as auth:
        first = await deployments.sign_in(auth)
        clock.move(timedelta(seconds=20))
        await auth.rotate_keys(actor=ACTOR)
        clock.move(timedelta(seconds=20))
        second = await deployments.sign_in(auth)
        assert await auth.revoke_key(kid_of(access_token(first)), actor=ACTOR) == 1
        assert await auth.authenticate(bearer=access_token(second))
        with pytest.raises(SessionEnded):
            await auth.authenticate(bearer=access_token(first))


async def test_of_a_key_that_has_signed_nothing_no_session_ends(database: str, clock: FakeClock) -> None:
    async with opened_with_ada(database, clock, strategy="jwt") as auth:
        signed_in = await deployments.sign_in(auth)
        assert await auth.revoke_key(await the(auth, KeyState.PENDING), actor=ACTOR) == 0
        assert await auth.authenticate(bearer=access_token(signed_in))


async def test_what_was_cut_short_is_done_by_revoking_again(database: str, clock: FakeClock) -> None:
    async with opened_with_ada(database, clock, strategy="jwt") as auth:
        kid = kid_of(access_token(await deployments.sign_in(auth)))
        await deployments.sign_in(auth)
        ends = auth.deployment.store.end_session
        calls = []

        async def once(*args: Any, **named: Any) -> Any:
            calls.append(args)
            if len(calls) > 1:
                raise StoreUnavailable
            return await ends(*args, **named)

        with pytest.raises(StoreUnavailable):
            await revoke_key(meddled(auth, end_session=once), kid, actor=ACTOR)
        assert await auth.revoke_key(kid, actor=ACTOR) == 1
        assert len(await told(auth, Action.SESSION_ENDED)) == 2


async def test_a_forged_token_that_names_a_revoked_key_ends_nothing(database: str, clock: FakeClock) -> None:
    async with opened_with_ada(database, clock, strategy="jwt") as auth:
        old = access_token(await deployments.sign_in(auth))
        await auth.revoke_key(kid_of(old), actor=ACTOR)
        alive = await deployments.sign_in(auth)
        # Its header is the revoked key's, its payload that of a good token.
        head, _, tail = old.reveal().split(".")
        forged = Secret(".".join((head, access_token(alive).reveal().split(".")[1], tail)))
        with pytest.raises(SessionEnded):
            await auth.authenticate(bearer=forged)
        await auth.revoke(forged, origin=HOME)
        assert await auth.authenticate(bearer=access_token(alive))


@pytest.mark.parametrize("strategy", ["jwt", "hybrid"])
async def test_of_two_servers_the_other_refuses_with_its_next_read(
    sqlite: str, clock: FakeClock, strategy: Strategy
) -> None:
    async with (
        opened_with_ada(sqlite, clock, strategy=strategy) as one,
        opened(sqlite, clock, strategy=strategy, blocking=True) as other,
    ):
        token = access_token(await deployments.sign_in(one))
        await other.authenticate(bearer=token)
        await one.revoke_key(kid_of(token), actor=ACTOR)
        await other.read_changes()
        with pytest.raises((InvalidToken, SessionEnded)):
            await other.authenticate(bearer=token)
        assert kid_of(access_token(await deployments.sign_in(other))) != kid_of(token)


# What becomes of keys


async def test_the_waiting_key_signs_in_the_same_transaction_and_another_waits(database: str, clock: FakeClock) -> None:
    async with opened_with_ada(database, clock) as auth:
        signing, waiting = await the(auth, KeyState.ACTIVE), await the(auth, KeyState.PENDING)
        seen = []
        change = auth.deployment.store.change_keys

        async def noted(*args: Any, **named: Any) -> bool:
            seen.append((args, named))
            return bool(await change(*args, **named))

        await revoke_key(meddled(auth, change_keys=noted), signing, actor=ACTOR)
        [((_, to, events), named)] = seen
        now = await auth.deployment.store.now()
        by_kid = {key.kid: key for key in to}
        assert state_of(by_kid[signing], now=now) is KeyState.RETIRED
        active = signing_key_of(to, now=now)
        assert active is not None
        assert active.kid == waiting
        [entry] = named["revocations"]
        assert (entry.kind, entry.id) == (Kind.KEY, signing)
        assert entry.dies_at == now + auth.options.revocations_live_for
        assert [event.action for event in events] == [Action.KEY_REVOKED, Action.KEY_CREATED, Action.KEY_ACTIVATED]
        assert {event.actor.name for event in events} == {ACTOR.name}
        assert sorted((await states(auth)).values()) == ["active", "pending", "retired"]
        published = [key["kid"] for key in (await auth.key_set())["keys"]]
        assert signing not in published
        assert waiting in published
        assert auth.deployment.desk.signing_key.kid == waiting


@pytest.mark.parametrize("state", [KeyState.ACTIVE, KeyState.PENDING, KeyState.RETIRING, KeyState.RETIRED])
async def test_a_key_of_any_state_is_revoked_and_one_signs_and_one_waits(
    database: str, clock: FakeClock, state: KeyState
) -> None:
    async with opened_with_ada(database, clock) as auth:
        old = await the(auth, KeyState.ACTIVE)
        await auth.rotate_keys(actor=ACTOR)
        clock.move(KNOWN_AFTER)
        await auth.read_changes()
        if state is KeyState.RETIRED:
            await auth.retire_key(old, actor=ACTOR)
        kid = await the(auth, state)
        await auth.revoke_key(kid, actor=ACTOR)
        after = await states(auth)
        assert after[kid] is KeyState.RETIRED
        assert [*after.values()].count(KeyState.ACTIVE) == [*after.values()].count(KeyState.PENDING) == 1
        assert kid in auth.deployment.live.keys
        assert await auth.authenticate(bearer=access_token(await deployments.sign_in(auth)))


async def test_a_key_that_is_about_to_sign_is_revoked_and_another_one_signs(database: str, clock: FakeClock) -> None:
    async with opened_with_ada(database, clock) as auth:
        await auth.rotate_keys(actor=ACTOR)
        about_to_sign = min(
            (key for key in await auth.stored_keys() if key.activates_at > clock()), key=lambda key: key.activates_at
        )
        await auth.revoke_key(about_to_sign.kid, actor=ACTOR)
        clock.move(KNOWN_AFTER)
        await auth.read_changes()
        assert [*(await states(auth)).values()].count(KeyState.ACTIVE) == 1
        assert await auth.authenticate(bearer=access_token(await deployments.sign_in(auth)))


async def test_all_of_them_may_be_revoked_one_after_the_other(database: str, clock: FakeClock) -> None:
    async with opened_with_ada(database, clock) as auth:
        before = await auth.stored_keys()
        for key in before:
            await auth.revoke_key(key.kid, actor=ACTOR)
            assert await auth.authenticate(bearer=access_token(await deployments.sign_in(auth)))
        assert {key.kid for key in before} <= auth.deployment.live.keys.keys()


async def test_a_key_that_there_is_not_is_not_found(database: str, clock: FakeClock) -> None:
    async with opened_with_ada(database, clock) as auth:
        before = await auth.stored_keys()
        with pytest.raises(NotFound):
            await auth.revoke_key("nobody", actor=ACTOR)
        assert await auth.stored_keys() == before
        assert not auth.deployment.live.keys


async def test_a_key_of_another_algorithm_is_replaced_by_one_of_its_own(sqlite: str, clock: FakeClock) -> None:
    async with (
        opened_with_ada(sqlite, clock, blocking=True) as one,
        opened(sqlite, clock, blocking=True, signing_algorithm=Algorithm.EDDSA) as other,
    ):
        token = access_token(await deployments.sign_in(one))
        await other.revoke_key(kid_of(token), actor=ACTOR)
        await one.read_changes()
        again = access_token(await deployments.sign_in(one))
        assert read_unverified_access_token(again.reveal())[0]["alg"] == "ES256"
        assert await one.authenticate(bearer=again)


async def test_a_server_that_has_heard_of_it_signs_nothing_with_it_until_it_has_the_new_keys(
    database: str, clock: FakeClock
) -> None:
    async with opened_with_ada(database, clock, blocking=True) as auth:
        desk = auth.deployment.desk
        desk.drop({desk.signing_key.kid})
        with pytest.raises(StoreUnavailable):
            await deployments.sign_in(auth)
        await auth.read_changes()
        assert await deployments.sign_in(auth)


async def test_it_drops_the_key_as_it_hears_of_it_before_anything_is_read(clock: FakeClock) -> None:
    async with opened_with_ada("memory:", clock) as auth:
        token = access_token(await deployments.sign_in(auth))
        entry = Revocation(kind=Kind.KEY, id=kid_of(token), dies_at=clock() + timedelta(minutes=17))
        assert auth._watching is not None
        verify_token(auth.deployment, token)
        auth._watching._heard((entry,))
        with pytest.raises(InvalidToken):
            verify_token(auth.deployment, token)
        assert not auth.deployment.desk.ready


async def test_what_has_been_committed_holds_here_though_the_store_goes_away_then(
    database: str, clock: FakeClock
) -> None:
    async with opened_with_ada(database, clock, blocking=True) as auth:
        token = access_token(await deployments.sign_in(auth))
        keys = auth.deployment.store.keys
        changed: list[bool] = []

        async def until_changed() -> Any:
            if changed:
                raise StoreUnavailable
            return await keys()

        async def change(*args: Any, **named: Any) -> bool:
            changed.append(True)
            return await auth.deployment.store.change_keys(*args, **named)

        with pytest.raises(StoreUnavailable):
            await revoke_key(meddled(auth, keys=until_changed, change_keys=change), kid_of(token), actor=ACTOR)
        with pytest.raises(InvalidToken):
            await auth.authenticate(bearer=token)


async def test_a_backup_in_which_the_key_still_signs_does_not_bring_it_back(database: str, clock: FakeClock) -> None:
    async with opened_with_ada(database, clock, ticks=clock.ticks, blocking=True) as auth:
        deployment = auth.deployment
        kid = deployment.desk.signing_key.kid
        # What a server holds that was told of it before the backup was put in place.
        entry = Revocation(kind=Kind.KEY, id=kid, dies_at=clock() + auth.options.revocations_live_for)
        deployment.live.merge([entry])
        assert kid not in {key["kid"] for key in (await auth.key_set())["keys"]}
        await load_keys(deployment)
        assert (await states(auth))[kid] is KeyState.RETIRED
        assert deployment.desk.signing_key.kid != kid
        assert await auth.authenticate(bearer=access_token(await deployments.sign_in(auth)))
        clock.move(auth.options.revocations_live_for)
        await auth.read_changes()
        assert kid not in deployment.live.keys
        assert kid not in {key["kid"] for key in (await auth.key_set())["keys"]}


async def test_a_status_list_that_it_signed_is_signed_anew(database: str, clock: FakeClock) -> None:
    async with opened_with_ada(database, clock, status_lists=True) as auth:
        await deployments.sign_in(auth)
        before = Secret(await auth.status_list(0))
        assert await auth.status_list(0) == before.reveal()
        await auth.revoke_key(kid_of(before), actor=ACTOR)
        assert kid_of(Secret(await auth.status_list(0))) != kid_of(before)


async def test_the_event_says_who_did_it(database: str, clock: FakeClock) -> None:
    async with opened_with_ada(database, clock) as auth:
        kid = await the(auth, KeyState.ACTIVE)
        await auth.revoke_key(kid, actor=ACTOR)
        [event] = await auth.trail(Page(), action=Action.KEY_REVOKED)
        assert (event.actor.name, event.detail["kid"]) == (ACTOR.name, kid)


@pytest.mark.parametrize("text", ["", "a.b.c", "é", "x" * 9000, "eyJraWQiOlsxXX0.e30.x"])
async def test_what_is_no_token_is_refused_as_ever_while_a_key_is_revoked(clock: FakeClock, text: str) -> None:
    async with opened_with_ada("memory:", clock) as auth:
        await auth.revoke_key(await the(auth, KeyState.ACTIVE), actor=ACTOR)
        with pytest.raises(InvalidToken):
            await auth.authenticate(bearer=Secret(text))
