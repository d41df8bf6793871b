"""What happens when two do the same at once: whatever the order, one takes and the other learns of it."""

# ruff: noqa: S101 -- a suite of tests asserts

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from doorward.accounts.model import AccountChange
from doorward.audit.model import Action, AuditEvent
from doorward.ports import Store
from doorward.revocation.model import Kind
from doorward.rotation.model import Taken
from doorward.secret import Secret
from doorward.sessions.model import AccountMoved, Ended, EndReason, FullSighting, Sighting, Started
from doorward.testing.factories import IDLE, a_new_session, a_signing_key, an_account, an_ending
from doorward.testing.store_suite.case import (
    POLICY,
    SOMEBODY,
    StoreCase,
    actions,
    presentation,
    row,
    sign_up,
    start,
)

RETRIED = AuditEvent(action=Action.REFRESH_RETRIED, actor=SOMEBODY)
REUSED = AuditEvent(action=Action.REFRESH_REUSED, actor=SOMEBODY)
DISABLED = an_ending(EndReason.ACCOUNT_DISABLED)
ROUNDS = 12
MANY = 100


@pytest.mark.anyio
class RaceCases(StoreCase):
    async def test_a_hundred_presentations_of_one_generation_make_one_successor(self, store: Store) -> None:
        await sign_up(store)
        session = await start(store)
        rotate = partial(store.rotate, presentation(session), POLICY, actor=SOMEBODY)
        found = await self.at_once(*[rotate] * MANY)
        taken = [one for one in found if isinstance(one, Taken)]
        assert len(taken) == 1
        others = [one.session for one in found if isinstance(one, Sighting)]
        assert others == [taken[0].session] * (MANY - 1)
        assert (await actions(store, session=session.id)).count(Action.REFRESH_ROTATED) == 1

    async def test_an_end_that_has_committed_stands_against_rotation_and_touch(self, store: Store) -> None:
        await sign_up(store)
        for number in range(1, ROUNDS + 1):
            session = await start(store, number)
            rotate = partial(store.rotate, presentation(session), POLICY, actor=SOMEBODY)
            *_, ended = await self.at_once(
                rotate,
                partial(store.touch, session.key, idle=IDLE),
                rotate,
                partial(store.end_session, session.id, an_ending()),
            )
            over = await row(store, session)
            assert isinstance(ended, Ended)
            assert ended.sessions == (over,)
            assert over.ended_reason is EndReason.SIGNED_OUT
            assert isinstance(await rotate(), Sighting)

    async def test_no_account_is_read_as_disabled_beside_a_session_that_goes_on(self, store: Store) -> None:
        await sign_up(store)
        for number in range(1, ROUNDS + 1):
            account = await store.account(an_account().id)
            assert account is not None
            session = await start(store, number, account_version=account.version)
            read = partial(store.session_by_id, session.id)
            disable = partial(store.change_account, account.id, AccountChange(disabled=True), DISABLED)
            *seen, _, after = await self.at_once(read, read, disable, read)
            for each in (*seen, after, await read()):
                assert isinstance(each, FullSighting)
                assert each.session is not None
                assert each.account is not None
                assert (each.session.ended_at is None) == (each.account.disabled_at is None)
            over = await read()
            assert over.session is not None
            assert over.session.ended_reason is EndReason.ACCOUNT_DISABLED
            await store.change_account(account.id, AccountChange(disabled=False), DISABLED)

    async def test_a_session_that_was_ended_is_not_read_as_live_again(self, store: Store) -> None:
        await sign_up(store)
        for number in range(1, ROUNDS + 1):
            session = await start(store, number)
            read = partial(store.session_by_id, session.id)
            await self.at_once(read, partial(store.end_session, session.id, an_ending()), read)
            for seen in await self.at_once(read, read):
                assert isinstance(seen, FullSighting)
                assert seen.session is not None
                assert seen.session.ended_reason is EndReason.SIGNED_OUT

    async def test_a_session_is_ended_once(self, store: Store) -> None:
        await sign_up(store)
        session = await start(store)
        ended = await self.at_once(*[partial(store.end_session, session.id, an_ending())] * ROUNDS)
        assert len([one for one in ended if one is not None]) == 1
        assert (await actions(store)).count(Action.SESSION_ENDED) == 1

    async def test_no_session_that_started_under_the_old_password_outlives_its_change(self, store: Store) -> None:
        await sign_up(store)
        ending = an_ending(EndReason.PASSWORD_CHANGED)
        for number in range(1, ROUNDS + 1):
            seen = await store.account(an_account().id)
            assert seen is not None
            new = a_new_session(number, account_version=seen.version)
            started, changed = await self.at_once(
                partial(store.start_session, new, limit=None, replaces=(), ending=an_ending()),
                partial(store.change_password, seen, Secret("n"), keep=None, new_secret_hash=None, ending=ending),
            )
            assert isinstance(changed, Ended)
            # Where sessions are kept apart from accounts, one that was about to start may be among those that ended.
            assert changed.sessions or not isinstance(started, Started)
            assert list(await store.sessions_of(seen.id)) == []

    async def test_of_two_new_passwords_one_is_set(self, store: Store) -> None:
        await sign_up(store)
        ending = an_ending(EndReason.PASSWORD_CHANGED)
        change = partial(
            store.change_password, an_account(), Secret("n"), keep=None, new_secret_hash=None, ending=ending
        )
        changed = await self.at_once(*[change] * ROUNDS)
        (ended,) = [one for one in changed if not isinstance(one, AccountMoved)]
        assert ended.sessions == ()
        assert [(entry.kind, entry.value) for entry in ended.revocations] == [(Kind.ACCOUNT, 1)]

    async def test_of_replacements_of_one_row_one_takes(self, store: Store) -> None:
        await sign_up(store)
        seen = await start(store)
        replaced = await self.at_once(
            *(
                partial(store.replace_session, seen, replace(seen, generation=generation), RETRIED)
                for generation in range(1, ROUNDS + 1)
            )
        )
        assert sum(replaced) == 1
        assert (await row(store, seen)).generation == replaced.index(True) + 1
        assert (await actions(store)).count(Action.REFRESH_RETRIED) == 1

    async def test_a_session_is_reused_once(self, store: Store) -> None:
        await sign_up(store)
        seen = await start(store)
        reused = partial(store.end_reused, seen, an_ending(EndReason.REUSE), REUSED)
        ended = await self.at_once(*[reused] * ROUNDS)
        assert len([one for one in ended if one is not None]) == 1
        assert (await actions(store)).count(Action.REFRESH_REUSED) == 1

    async def test_of_two_changes_of_the_keys_one_takes(self, store: Store) -> None:
        for number in range(ROUNDS):
            seen = await store.keys()
            changed = await self.at_once(
                partial(store.change_keys, seen, [a_signing_key(2 * number)], ()),
                partial(store.change_keys, seen, [a_signing_key(2 * number + 1)], ()),
            )
            assert sorted(changed) == [False, True]
            assert [key.kid for key in await store.keys()] == [f"key{2 * number + changed.index(True)}"]

    async def test_the_limit_holds_when_many_start_at_once(self, store: Store) -> None:
        await sign_up(store)
        started = await self.at_once(
            *(
                partial(store.start_session, a_new_session(number), limit=3, replaces=(), ending=an_ending())
                for number in range(1, 21)
            )
        )
        assert all(isinstance(one, Started) for one in started)
        assert len(await store.sessions_of(an_account().id)) == 3

    async def test_an_email_is_taken_once(self, store: Store) -> None:
        email_key = an_account().email_key
        created = await self.at_once(
            *(
                partial(store.create_account, an_account(number, email_key=email_key), actor=SOMEBODY)
                for number in range(ROUNDS)
            )
        )
        assert sum(created) == 1

    async def test_the_first_secret_is_the_same_for_all(self, store: Store) -> None:
        noted = await self.at_once(*(partial(store.secret_check, f"secret {number}") for number in range(ROUNDS)))
        assert len(set(noted)) == 1
