"""What a store does with revocations."""

# ruff: noqa: S101 -- a suite of tests asserts

from __future__ import annotations

from datetime import timedelta

import pytest

from doorward.ports import Store
from doorward.revocation.model import Kind, Revocation
from doorward.sessions.model import EndReason
from doorward.testing.clock import NOON, FakeClock
from doorward.testing.factories import an_account, an_ending
from doorward.testing.store_suite.case import TICK, StoreCase, sign_up, start

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

    async def test_an_entry_keeps_why_it_ended_whoever_joins_it(self, store: Store) -> None:
        def entry(value: int, reason: str | None) -> Revocation:
            return Revocation(kind=Kind.ACCOUNT, id="x", value=value, dies_at=NOON + HOUR, reason=reason)

        reasons = []
        for joined in (entry(1, None), entry(1, "signed_out"), entry(1, None), entry(1, "admin"), entry(2, "admin")):
            await store.revoke([joined])
            reasons += [each.reason for each in (await store.revocations()).revocations]
        assert reasons == [None, "signed_out", "signed_out", "signed_out", "admin"]

    async def test_what_is_written_back_ends_for_the_reason_for_which_it_really_ended(self, store: Store) -> None:
        await sign_up(store, 1)
        await sign_up(store, 2)
        signed_out, crowded_out, unknown = [await start(store, number) for number in (1, 2, 3)]
        disabled = await start(store, 4, account=an_account(2).id)
        dies_at = NOON + HOUR
        ending = an_ending(EndReason.ADMIN)
        over = await store.write_back(
            [
                Revocation(kind=Kind.SESSION, id=signed_out.id, dies_at=dies_at, reason=EndReason.SIGNED_OUT),
                Revocation(kind=Kind.SESSION, id=crowded_out.id, dies_at=dies_at, reason=EndReason.SESSION_LIMIT),
                Revocation(kind=Kind.SESSION, id=unknown.id, dies_at=dies_at, reason="a word of a later version"),
                Revocation(
                    kind=Kind.ACCOUNT, id=an_account(2).id, value=1, dies_at=dies_at, reason=EndReason.ACCOUNT_DISABLED
                ),
            ],
            ending,
        )
        why = {
            signed_out.id: EndReason.SIGNED_OUT,
            crowded_out.id: EndReason.SESSION_LIMIT,
            unknown.id: EndReason.ADMIN,
            disabled.id: EndReason.ACCOUNT_DISABLED,
        }
        assert {session.id: session.ended_reason for session in over.sessions} == why
        kept = {entry.id: entry.reason for entry in over.revocations}
        assert kept == why
