"""What a store does with the numbers that sessions have in status lists."""

# ruff: noqa: S101 -- a suite of tests asserts

from __future__ import annotations

from datetime import timedelta

import pytest

from doorward.accounts.model import AccountChange
from doorward.ports import Store
from doorward.sessions.model import EndReason
from doorward.testing.clock import FakeClock
from doorward.testing.factories import IDLE, an_ending
from doorward.testing.store_suite.case import StoreCase, sign_up, start


@pytest.mark.anyio
class NumberCases(StoreCase):
    async def test_no_number_is_given_twice(self, store: Store) -> None:
        assert [await store.reserve_numbers(count) for count in (3, 4, 0, 1)] == [0, 3, 7, 7]

    async def test_takers_at_once_are_given_different_numbers(self, store: Store) -> None:
        firsts = await self.at_once(*[lambda: store.reserve_numbers(5)] * 8)
        assert sorted(firsts) == [5 * place for place in range(8)]

    async def test_those_whose_session_has_ended_are_told(self, store: Store) -> None:
        await sign_up(store)
        sessions = [await start(store, each, status_index=9 + each) for each in range(1, 5)]
        for session in (sessions[0], sessions[2], sessions[3]):
            await store.end_session(session.id, an_ending())
        assert sorted(await store.ended_numbers(10, 3)) == [10, 12]

    async def test_an_expired_session_is_not_told(self, store: Store, clock: FakeClock) -> None:
        await sign_up(store)
        await start(store, status_index=1)
        clock.move(IDLE + timedelta(seconds=1))
        assert list(await store.ended_numbers(0, 10)) == []

    async def test_sessions_of_a_disabled_account_are_told_and_those_of_changed_roles_are_not(
        self, store: Store
    ) -> None:
        await sign_up(store)
        session = await start(store, status_index=1)
        await start(store, 2)
        await store.change_account(session.account, AccountChange(roles=("admin",)), an_ending(EndReason.ADMIN))
        assert list(await store.ended_numbers(0, 10)) == []
        await store.change_account(session.account, AccountChange(disabled=True), an_ending())
        assert list(await store.ended_numbers(0, 10)) == [1]
