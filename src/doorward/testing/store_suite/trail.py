"""What a store does with the audit trail."""

# ruff: noqa: S101 -- a suite of tests asserts

from __future__ import annotations

from dataclasses import replace

import pytest

from doorward.audit.model import Action, AuditEvent
from doorward.errors import ValidationFailed
from doorward.ports import Page, Store
from doorward.testing.clock import FakeClock
from doorward.testing.store_suite.case import SOMEBODY, TICK, StoreCase

DETAIL: dict[str, str | int | bool | None] = {"text": "\N{SNOWMAN}", "number": 2**53, "yes": True, "nothing": None}


def an_event(account: str | None = None, session: str | None = None, action: Action = Action.KEY_RETIRED) -> AuditEvent:
    return AuditEvent(action=action, actor=SOMEBODY, account=account, session=session)


@pytest.mark.anyio
class TrailCases(StoreCase):
    async def test_an_event_is_kept_with_its_instant_and_place(self, store: Store, clock: FakeClock) -> None:
        clock.move(TICK)
        given = replace(an_event("a", "s"), detail=DETAIL)
        await store.record(given)
        (kept,) = await store.trail(Page())
        assert kept.id is not None
        assert kept == replace(given, at=clock(), id=kept.id)

    async def test_the_newest_comes_first_page_after_page(self, store: Store) -> None:
        for name in "abcde":
            await store.record(an_event(name))
        first = await store.trail(Page(limit=2))
        second = await store.trail(Page(limit=2, after=str(first[-1].id)))
        third = await store.trail(Page(limit=2, after=str(second[-1].id)))
        assert [event.account for event in (*first, *second, *third)] == list("edcba")

    async def test_a_page_has_200_events_at_most_and_one_at_least(self, store: Store) -> None:
        for _ in range(201):
            await store.record(an_event())
        assert len(await store.trail(Page(limit=10_000))) == 200
        assert len(await store.trail(Page(limit=0))) == 1

    async def test_it_is_read_by_account_session_and_action(self, store: Store) -> None:
        events = [an_event("a", "s"), an_event("a", "t", Action.KEY_CREATED), an_event("b", "s"), an_event()]
        for event in events:
            await store.record(event)
        assert len(await store.trail(Page(), account="a")) == 2
        assert len(await store.trail(Page(), session="s")) == 2
        assert len(await store.trail(Page(), action=Action.KEY_CREATED)) == 1
        assert len(await store.trail(Page(), account="a", session="s", action=Action.KEY_RETIRED)) == 1
        assert len(await store.trail(Page(), account="nobody")) == 0

    @pytest.mark.parametrize("cursor", ["", "x", "-1", "1.0", "\N{ARABIC-INDIC DIGIT ONE}", "9" * 40, "1;drop"])
    async def test_a_cursor_that_no_page_ended_with_is_refused(self, store: Store, cursor: str) -> None:
        with pytest.raises(ValidationFailed):
            await store.trail(Page(after=cursor))
