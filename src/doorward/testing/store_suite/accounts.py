"""What a store does with accounts."""

# ruff: noqa: S101 -- a suite of tests asserts

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from doorward.accounts.hook import HookFailed
from doorward.accounts.model import AccountChange
from doorward.audit.model import Action, Origin
from doorward.ports import Page, Store
from doorward.revocation.model import Kind, Revocation
from doorward.secret import Secret
from doorward.sessions.model import AccountMoved, Ended, EndReason
from doorward.testing.clock import NOON, FakeClock
from doorward.testing.factories import a_new_session, an_account, an_ending
from doorward.testing.store_suite.case import SOMEBODY, StoreCase, actions, row, sign_up, start

DISABLING = an_ending(EndReason.ACCOUNT_DISABLED)
CHANGING = an_ending(EndReason.PASSWORD_CHANGED)


@pytest.mark.anyio
class AccountCases(StoreCase):
    async def test_an_account_is_kept_as_it_was_given(self, store: Store) -> None:
        given = an_account(
            email="Zoë@Example.com",
            email_verified=True,
            name="Zoë \N{SNOWMAN}",
            roles=("admin", "two words"),
            password_hash=Secret("$argon2id$1"),
            created_at=NOON + timedelta(microseconds=1),
        )
        assert await store.create_account(given, actor=SOMEBODY)
        found = await store.account(given.id)
        assert found == given
        assert found == await store.account_by_email(given.email_key)
        assert found is not None
        assert found.password_hash is not None
        assert found.password_hash.matches(Secret("$argon2id$1"))
        assert "argon2" not in repr(found)

    async def test_an_unknown_account_is_none(self, store: Store) -> None:
        assert await store.account("nobody") is None
        assert await store.account_by_email("nobody@example.com") is None

    async def test_a_taken_email_writes_nothing(self, store: Store) -> None:
        await sign_up(store)
        assert not await store.create_account(an_account(2, email_key=an_account().email_key), actor=SOMEBODY)
        assert await store.account(an_account(2).id) is None
        assert await actions(store) == [Action.ACCOUNT_CREATED]

    async def test_a_step_runs_once_the_address_is_free_and_what_it_raises_leaves_nothing(self, store: Store) -> None:
        seen: list[object] = []

        def refuse(connection: object) -> None:
            seen.append(connection)
            raise LookupError("no")

        with pytest.raises(HookFailed) as failed:
            await store.create_account(an_account(), actor=SOMEBODY, step=refuse)
        assert isinstance(failed.value.error, LookupError)
        assert await store.account_by_email(an_account().email_key) is None
        assert await actions(store) == []
        assert await store.create_account(an_account(), actor=SOMEBODY, step=seen.append)
        assert len(seen) == 2
        assert not await store.create_account(
            an_account(2, email_key=an_account().email_key), actor=SOMEBODY, step=refuse
        )
        assert await actions(store) == [Action.ACCOUNT_CREATED]

    async def test_accounts_are_listed_by_id_page_after_page(self, store: Store) -> None:
        for number in (3, 1, 2):
            await sign_up(store, number)
        first = await store.accounts(Page(limit=2))
        assert list(first) == [an_account(1), an_account(2)]
        assert list(await store.accounts(Page(limit=2, after=first[-1].id))) == [an_account(3)]

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("ADA", {1, 2}),
            ("ada1@", {1}),
            ("ÉMILIE", {2}),
            ("émilie", {2}),
            ("account000000001", {1}),
            ("ACCOUNT000000001", set()),
            ("%", {3}),
            ("_", {3}),
            ("\\", {3}),
            ("a%a", set()),
            ("nobody", set()),
            ("x" * 60_000, set()),
        ],
    )
    async def test_a_search_finds_parts_of_email_and_name_in_any_case(
        self, store: Store, query: str, found: set[int]
    ) -> None:
        await sign_up(store, 1)
        await sign_up(store, 2, name="Émilie du Châtelet")
        await sign_up(store, 3, email="%\\_@example.com", email_key="3")
        assert {account.id for account in await store.accounts(Page(), query=query)} == {
            an_account(number).id for number in found
        }

    async def test_a_new_name_is_found_by_a_search(self, store: Store) -> None:
        await sign_up(store)
        await store.change_account(an_account().id, AccountChange(name="Grace"), an_ending())
        assert await store.accounts(Page(), query="grace")

    async def test_changing_an_unknown_account_is_none(self, store: Store) -> None:
        assert await store.change_account("nobody", AccountChange(name="x"), an_ending()) is None

    async def test_a_change_that_changes_nothing_leaves_no_trace(self, store: Store) -> None:
        await sign_up(store, roles=("a", "b"), name="Ada")
        change = AccountChange(name="Ada", roles=("b", "a", "b"), disabled=False)
        changed = await store.change_account(an_account().id, change, an_ending())
        assert changed is not None
        assert changed.revocations == ()
        assert changed.account.version == 0
        assert await actions(store) == [Action.ACCOUNT_CREATED]

    async def test_a_new_name_revokes_nothing(self, store: Store) -> None:
        await sign_up(store)
        changed = await store.change_account(an_account().id, AccountChange(name="Ada"), an_ending())
        assert changed is not None
        assert (changed.account, changed.revocations) == (an_account(name="Ada"), ())
        assert await actions(store) == [Action.ACCOUNT_CREATED, Action.ACCOUNT_CHANGED]

    async def test_other_roles_revoke_what_says_the_old_ones_and_end_no_session(self, store: Store) -> None:
        await sign_up(store)
        session = await start(store)
        ending = an_ending()
        changed = await store.change_account(an_account().id, AccountChange(roles=("b", "a")), ending)
        entry = Revocation(kind=Kind.ACCOUNT, id=an_account().id, value=1, dies_at=NOON + ending.remember_for)
        assert changed is not None
        assert changed.account == an_account(roles=("a", "b"), version=1) == await store.account(an_account().id)
        assert changed.revocations == (entry,) == (await store.revocations()).revocations
        assert list(await store.sessions_of(an_account().id)) == [replace(session, account_version=1)]

    async def test_other_roles_end_what_only_a_token_with_the_old_ones_carries(self, store: Store) -> None:
        await sign_up(store)
        stateless, other = await start(store, 1, strategy="jwt"), await start(store, 2)
        await store.change_account(an_account().id, AccountChange(roles=("a",)), an_ending())
        assert (await row(store, stateless)).ended_reason is EndReason.ADMIN
        assert list(await store.sessions_of(an_account().id)) == [replace(other, account_version=1)]
        assert (await actions(store)).count(Action.SESSION_ENDED) == 1

    async def test_other_roles_do_not_carry_over_what_is_over(self, store: Store, clock: FakeClock) -> None:
        await sign_up(store)
        idle = await start(store, 1)
        clock.move(idle.idle_expires_at - NOON)
        await store.change_account(an_account().id, AccountChange(roles=("a",)), an_ending())
        assert await row(store, idle) == idle

    async def test_disabling_ends_every_live_session(self, store: Store, clock: FakeClock) -> None:
        await sign_up(store)
        await sign_up(store, 2)
        for number in (1, 2):
            await start(store, number)
        other = await start(store, 3, account=an_account(2).id)
        clock.move(timedelta(seconds=1))
        changed = await store.change_account(an_account().id, AccountChange(disabled=True), DISABLING)
        assert changed is not None
        assert changed.account == an_account(version=1, disabled_at=clock())
        assert [(entry.kind, entry.value) for entry in changed.revocations] == [(Kind.ACCOUNT, 1)]
        for number in (1, 2):
            ended = (await store.session(number)).session
            assert ended is not None
            assert (ended.ended_at, ended.ended_reason) == (clock(), EndReason.ACCOUNT_DISABLED)
        assert await row(store, other) == other
        told = (await actions(store))[-3:]
        assert told == [Action.ACCOUNT_DISABLED, Action.SESSION_ENDED, Action.SESSION_ENDED]

    async def test_disabling_twice_keeps_the_first_instant(self, store: Store, clock: FakeClock) -> None:
        await sign_up(store)
        first = await store.change_account(an_account().id, AccountChange(disabled=True), DISABLING)
        clock.move(timedelta(seconds=1))
        second = await store.change_account(an_account().id, AccountChange(disabled=True), DISABLING)
        assert first is not None
        assert second is not None
        assert (second.account, second.revocations) == (first.account, ())

    async def test_enabling_brings_no_session_back(self, store: Store) -> None:
        await sign_up(store)
        await start(store)
        await store.change_account(an_account().id, AccountChange(disabled=True), DISABLING)
        enabled = await store.change_account(an_account().id, AccountChange(disabled=False), DISABLING)
        assert enabled is not None
        assert (enabled.account.disabled_at, enabled.account.version, enabled.revocations) == (None, 1, ())
        assert not await store.sessions_of(an_account().id)
        assert (await actions(store))[-1] is Action.ACCOUNT_ENABLED

    async def test_a_new_password_ends_the_other_sessions_and_moves_the_kept_one(self, store: Store) -> None:
        await sign_up(store)
        kept, other = await start(store, 1), await start(store, 2)
        ended = await store.change_password(
            an_account(), Secret("new"), keep=kept, new_secret_hash=b"n" * 32, ending=CHANGING
        )
        assert isinstance(ended, Ended)
        assert [session.id for session in ended.sessions] == [other.id]
        # The kept session carries no token, and whoever remembers its old handle is told by the account's entry.
        assert [(entry.kind, entry.id, entry.value) for entry in ended.revocations] == [
            (Kind.ACCOUNT, an_account().id, 1)
        ]
        assert {*ended.revocations} <= {*(await store.revocations()).revocations}
        assert await row(store, kept) == replace(kept, account_version=1, secret_hash=b"n" * 32)
        account = await store.account(an_account().id)
        assert account is not None
        assert account.version == 1
        assert account.password_hash is not None
        assert account.password_hash.matches(Secret("new"))
        told = (await actions(store))[-3:]
        assert told == [Action.PASSWORD_CHANGED, Action.SESSION_MOVED, Action.SESSION_ENDED]

    async def test_a_kept_session_without_a_new_handle_keeps_its_own(self, store: Store) -> None:
        await sign_up(store)
        kept = await start(store)
        await store.change_password(an_account(), Secret("new"), keep=kept, new_secret_hash=None, ending=CHANGING)
        assert await row(store, kept) == replace(kept, account_version=1)
        assert Action.SESSION_MOVED not in await actions(store)

    async def test_a_session_that_has_ended_is_not_kept(self, store: Store) -> None:
        await sign_up(store)
        gone = await start(store)
        await store.end_session(gone.id, an_ending())
        before = await row(store, gone)
        await store.change_password(an_account(), Secret("n"), keep=gone, new_secret_hash=b"n" * 32, ending=CHANGING)
        assert await row(store, gone) == before

    async def test_a_password_is_not_set_on_an_account_that_has_moved(self, store: Store) -> None:
        await sign_up(store)
        seen = an_account()
        await store.change_password(seen, Secret("one"), keep=None, new_secret_hash=None, ending=CHANGING)
        again = await store.change_password(seen, Secret("two"), keep=None, new_secret_hash=None, ending=CHANGING)
        assert again == AccountMoved()
        account = await store.account(seen.id)
        assert account is not None
        assert account.password_hash is not None
        assert account.password_hash.matches(Secret("one"))

    async def test_a_rehash_leaves_version_and_sessions(self, store: Store) -> None:
        seen = an_account(password_hash=Secret("old"))
        await store.create_account(seen, actor=SOMEBODY)
        session = await start(store)
        assert await store.rehash_password(seen, Secret("new"), actor=SOMEBODY)
        assert await store.sessions_of(seen.id) == (session,)
        assert (await actions(store))[-1] is Action.PASSWORD_REHASHED
        assert not await store.rehash_password(seen, Secret("newer"), actor=SOMEBODY)

    async def test_a_rehash_does_not_undo_a_new_password(self, store: Store) -> None:
        seen = an_account(password_hash=Secret("old"))
        await store.create_account(seen, actor=SOMEBODY)
        await store.change_password(seen, Secret("new"), keep=None, new_secret_hash=None, ending=CHANGING)
        assert not await store.rehash_password(seen, Secret("old, rehashed"), actor=SOMEBODY)

    async def test_an_event_says_who_did_it_and_from_where(self, store: Store, clock: FakeClock) -> None:
        origin = Origin(ip="2001:db8::1", user_agent="Browser \N{SNOWMAN}")
        actor = replace(SOMEBODY, origin=origin)
        await store.create_account(an_account(), actor=actor)
        (event,) = await store.trail(Page())
        assert (event.actor, event.account, event.at) == (actor, an_account().id, clock())

    async def test_a_session_of_a_disabled_or_moved_account_does_not_start(self, store: Store) -> None:
        await sign_up(store)
        await store.change_account(an_account().id, AccountChange(disabled=True), DISABLING)
        for new in (a_new_session(1), a_new_session(2, account_version=1), a_new_session(3, account="nobody")):
            assert await store.start_session(new, limit=None, replaces=(), ending=an_ending()) == AccountMoved()
            assert (await store.session(new.key)).session is None
