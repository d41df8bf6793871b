"""What a store does with signing keys."""

# ruff: noqa: S101 -- a suite of tests asserts

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from doorward.audit.model import Action, AuditEvent
from doorward.keys.model import Algorithm
from doorward.ports import Store
from doorward.revocation.model import Kind, Revocation
from doorward.testing.clock import NOON
from doorward.testing.factories import a_signing_key
from doorward.testing.store_suite.case import SOMEBODY, TICK, StoreCase, actions

CREATED = AuditEvent(action=Action.KEY_CREATED, actor=SOMEBODY)


@pytest.mark.anyio
class KeyCases(StoreCase):
    async def test_keys_are_kept_as_they_were_given_the_oldest_first(self, store: Store) -> None:
        young = a_signing_key(1, created_at=NOON + TICK, retiring_at=NOON + 2 * TICK, retired_at=NOON + 3 * TICK)
        old = a_signing_key(2, algorithm=Algorithm.HS256, public=None)
        assert list(await store.keys()) == []
        assert await store.change_keys([], [young, old], [CREATED, CREATED])
        assert list(await store.keys()) == [old, young]
        assert await actions(store) == [Action.KEY_CREATED] * 2

    async def test_keys_that_were_changed_meanwhile_stay(self, store: Store) -> None:
        first, second = a_signing_key(1), a_signing_key(2)
        assert await store.change_keys([], [first], [CREATED])
        for seen in ([], [second], [first, second], [replace(first, retiring_at=NOON)]):
            assert not await store.change_keys(seen, [second], [CREATED])
        assert list(await store.keys()) == [first]
        assert await actions(store) == [Action.KEY_CREATED]

    async def test_keys_change_whatever_order_they_were_seen_in(self, store: Store) -> None:
        first, second, third = (a_signing_key(number) for number in (1, 2, 3))
        await store.change_keys([], [first, second], [])
        assert await store.change_keys([second, first], [second, third], [])
        assert list(await store.keys()) == [second, third]
        assert await store.change_keys([second, third], [], [])
        assert list(await store.keys()) == []

    async def test_what_is_revoked_with_a_change_of_keys_is_revoked_with_it_or_not_at_all(self, store: Store) -> None:
        first, second = a_signing_key(1), a_signing_key(2)
        entry = Revocation(kind=Kind.KEY, id=first.kid, dies_at=NOON + timedelta(hours=1))
        await store.change_keys([], [first], [])
        assert not await store.change_keys([second], [second], [], revocations=[entry])
        assert (await store.revocations()).revocations == ()
        assert await store.change_keys([first], [second], [], revocations=[entry])
        assert (await store.revocations()).revocations == (entry,)

    async def test_a_wrapped_key_is_in_no_repr(self, store: Store) -> None:
        await store.change_keys([], [a_signing_key()], [])
        assert "wrapped" not in repr(await store.keys())
