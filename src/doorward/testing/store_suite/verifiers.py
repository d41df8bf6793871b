"""What a store does with the credentials of verifiers."""

# ruff: noqa: S101 -- a suite of tests asserts

from __future__ import annotations

import pytest

from doorward.audit.model import Action
from doorward.ports import Store
from doorward.testing.factories import a_verifier
from doorward.testing.store_suite.case import SOMEBODY, StoreCase, actions


@pytest.mark.anyio
class VerifierCases(StoreCase):
    async def test_verifiers_are_kept_as_they_were_given_by_name(self, store: Store) -> None:
        one, two = a_verifier(1, name="b"), a_verifier(2, name="B")
        for verifier in (one, two):
            assert await store.add_verifier(verifier, actor=SOMEBODY)
        assert list(await store.verifiers()) == [two, one]
        assert await store.verifier(one.id) == one
        assert await store.verifier("nobody") is None
        assert await actions(store) == [Action.VERIFIER_ADDED] * 2

    @pytest.mark.parametrize("taken", ["id", "name"])
    async def test_of_one_name_or_id_there_is_one_verifier(self, store: Store, taken: str) -> None:
        first = a_verifier(1)
        assert await store.add_verifier(first, actor=SOMEBODY)
        second = a_verifier(2, **{taken: getattr(first, taken)})
        assert not await store.add_verifier(second, actor=SOMEBODY)
        assert list(await store.verifiers()) == [first]
        assert await actions(store) == [Action.VERIFIER_ADDED]

    async def test_a_revoked_verifier_is_gone_and_its_name_is_free(self, store: Store) -> None:
        gone, stays = a_verifier(1), a_verifier(2)
        for verifier in (gone, stays):
            await store.add_verifier(verifier, actor=SOMEBODY)
        assert await store.revoke_verifier(gone.name, actor=SOMEBODY)
        assert not await store.revoke_verifier(gone.name, actor=SOMEBODY)
        assert list(await store.verifiers()) == [stays]
        assert await store.verifier(gone.id) is None
        assert await store.add_verifier(a_verifier(3, name=gone.name), actor=SOMEBODY)
        assert await actions(store) == [Action.VERIFIER_ADDED] * 2 + [Action.VERIFIER_REVOKED, Action.VERIFIER_ADDED]

    async def test_a_hash_is_in_no_repr(self, store: Store) -> None:
        await store.add_verifier(a_verifier(), actor=SOMEBODY)
        assert "secret" not in repr(await store.verifiers())
