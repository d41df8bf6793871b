"""What a store does with revocations."""

# ruff: noqa: S101 -- a suite of tests asserts

from __future__ import annotations

from datetime import timedelta

import pytest

from doorward.ports import Store
from doorward.revocation.model import Kind, Revocation
from doorward.testing.clock import NOON, FakeClock
from doorward.testing.store_suite.case import TICK, StoreCase

HOUR = timedelta(hours=1)


@pytest.mark.anyio
class RevocationCases(StoreCase):
    @pytest.mark.parametrize("kind", list(Kind))
    async def test_an_entry_is_kept_until_it_dies(self, store: Store, clock: FakeClock, kind: Kind) -> None:
        entry = Revocation(kind=kind, id="x", value=3, dies_at=NOON + HOUR)
        await store.revoke([entry])
        clock.move(HOUR - TICK)
        alive = await store.revocations()
        assert (alive.revocations, alive.as_of) == ((entry,), clock())
        clock.move(TICK)
        assert (await store.revocations()).revocations == ()

    async def test_entries_join_by_the_greater_of_each(self, store: Store) -> None:
        entries = [
            Revocation(kind=Kind.ACCOUNT, id="x", value=value, dies_at=NOON + hours * HOUR)
            for value, hours in ((3, 1), (1, 3), (2, 2))
        ]
        for entry in entries:
            await store.revoke([entry])
        joined = Revocation(kind=Kind.ACCOUNT, id="x", value=3, dies_at=NOON + 3 * HOUR)
        assert (await store.revocations()).revocations == (joined,)

    async def test_repeated_and_reordered_entries_change_nothing(self, store: Store) -> None:
        entries = [Revocation(kind=Kind.SESSION, id=name, dies_at=NOON + HOUR) for name in ("a", "b")]
        await store.revoke([*entries, *reversed(entries)])
        assert set((await store.revocations()).revocations) == set(entries)

    async def test_one_name_of_two_kinds_is_two_entries(self, store: Store) -> None:
        await store.revoke([Revocation(kind=kind, id="x", dies_at=NOON + HOUR) for kind in Kind])
        assert {entry.kind for entry in (await store.revocations()).revocations} == set(Kind)

    async def test_revoking_nothing_is_nothing(self, store: Store) -> None:
        await store.revoke([])
        assert (await store.revocations()).revocations == ()
