"""What comes late, what was planted, and what the cache has lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from doorward.ports import Store
from doorward.sessions.model import Ended, EndReason, Session
from doorward.stores.memcached import BURIED_FOR, MOST_AGE, read_entry, write_entry
from doorward.stores.sql.rotation import Rotate
from doorward.testing import FakeClock, an_account, an_ending
from doorward.testing.factories import IDLE
from doorward.testing.store_suite.case import POLICY, SOMEBODY, presentation
from tests.stores.cached import Process, Site, patient, signed_in, warm
from tests.stores.memcached_site import EVENTS, clock, ends, gets_roles, one, other, site, template

__all__ = ["clock", "one", "other", "patient", "site", "template"]

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)


# Late writes


async def _read_late(reader: Process, meanwhile: Callable[[], Awaitable[object]]) -> Session | None:
    """Look up, while something happens between the read of the row and what is put into the cache for it."""
    reader.runner.after_look_up = meanwhile
    return await reader.session()


@pytest.mark.parametrize("event", EVENTS)
async def test_a_late_entry_does_not_bring_back_what_has_changed(
    one: Process, other: Process, event: Callable[[Store], Awaitable[None]]
) -> None:
    before = await signed_in(one)
    assert await _read_late(one, lambda: event(other.store)) == before
    for process in (one, other):
        seen = await process.store.session(1)
        assert seen.account is not None
        assert (seen.session, seen.account.roles) != (before, ())


async def test_a_late_entry_does_not_take_the_place_of_one_that_was_seen_before_the_end(
    one: Process, other: Process, clock: FakeClock
) -> None:
    """As above, where an old entry stood there which the reader is about to put another in place of."""
    await signed_in(one)
    await warm(one, other)
    clock.move(2 * MINUTE)
    await one.store.touch(1, idle=IDLE)
    assert await _read_late(one, lambda: ends(other.store)) is not None
    for process in (one, other):
        over = await process.session()
        assert over is not None
        assert over.ended_reason is EndReason.SIGNED_OUT


async def test_a_late_entry_is_refused_where_nothing_was_buried(one: Process, other: Process, site: Site) -> None:
    session = await signed_in(one)

    async def ends_and_is_forgotten() -> None:
        ended = await other.store.end_session(session.id, an_ending())
        assert isinstance(ended, Ended)
        one.known.live.merge(ended.revocations)
        site.memcached.emptied()

    assert await _read_late(one, ends_and_is_forgotten) == session
    assert site.memcached.value(one.name()) is not None
    over = await one.session()
    assert over is not None
    assert over.ended_reason is EndReason.SIGNED_OUT


async def test_an_entry_is_too_old_before_its_revocation_dies(one: Process) -> None:
    options = one.known.options
    assert MOST_AGE + options.clock_skew < BURIED_FOR + options.clock_skew < options.revocations_live_for


async def test_what_goes_on_after_a_change_is_kept_again_by_whoever_looks_it_up(one: Process, other: Process) -> None:
    """He has read it after the change; whoever looked before, and comes late, finds another entry or none."""
    await signed_in(one)
    await warm(one, other)
    await gets_roles(other.store)
    for process in (one, other):
        seen = await process.session()
        assert seen is not None
        assert seen.account_version == 1
    assert (one.runner.look_ups, other.runner.look_ups) == (1, 0)


async def test_a_second_change_between_the_look_and_the_entry_is_not_missed(one: Process, other: Process) -> None:
    await signed_in(one)
    await warm(one, other)
    await gets_roles(other.store)
    assert await _read_late(one, lambda: ends(other.store)) is not None
    for process in (one, other):
        over = await process.session()
        assert over is not None
        assert over.ended_reason is EndReason.SIGNED_OUT


async def test_where_a_session_was_buried_nothing_is_put_until_what_was_read_before_is_too_old(
    one: Process, site: Site
) -> None:
    session = await signed_in(one)
    await warm(one)
    await one.store.end_session(session.id, an_ending())
    assert site.memcached.value(one.name()) == b"-"
    assert MOST_AGE.total_seconds() < site.memcached.kept_for(one.name()) <= BURIED_FOR.total_seconds()


async def test_a_rotation_is_never_answered_from_the_cache(one: Process, other: Process) -> None:
    session = await signed_in(one, strategy="hybrid", carrier="token")
    await warm(one, other)
    await one.store.rotate(presentation(session), POLICY, actor=SOMEBODY)
    rotated = await other.session()
    assert rotated is not None
    assert rotated.generation == 1


async def test_a_rotation_goes_the_way_that_the_runner_has_for_it(
    one: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await signed_in(one, strategy="hybrid", carrier="token")
    write, written = one.runner.write, []

    async def noted(statement: Any) -> Any:
        written.append(statement)
        return await write(statement)

    monkeypatch.setattr(one.runner, "write", noted)
    await one.store.rotate(presentation(session), POLICY, actor=SOMEBODY)
    assert [type(statement) for statement in written] == [Rotate]


# What was not made by this deployment


async def test_an_entry_is_bound_to_its_secret_its_name_and_every_byte(one: Process) -> None:
    await signed_in(one)
    seen = await one.store.session(1)
    key, name = one.known.keyring.cache_key, b"doorward:1"
    value = write_entry(seen, name, key=key)
    assert read_entry(value, name, key=key) is not None
    assert read_entry(value, b"doorward:2", key=key) is None
    assert read_entry(value, name, key=bytes(32)) is None
    for place in range(0, len(value), 11):
        assert read_entry(value[:place] + bytes([value[place] ^ 1]) + value[place + 1 :], name, key=key) is None
    for length in (0, 1, 31, 32, 33, len(value) - 1):
        assert read_entry(value[:length], name, key=key) is None


async def test_whoever_writes_to_the_cache_makes_no_session(
    one: Process, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    mine = await signed_in(one, 1)
    theirs = await signed_in(one, 2)
    await warm(one, key=1)
    await warm(one, key=2)
    planted = site.memcached.value(one.name(2))
    assert planted is not None
    for forged in (planted, b"", b"x" * 400, (planted[:32] + b"\xc0")):
        site.memcached.put(one.name(1), forged)
        assert (await one.store.session(1)).session == mine != theirs
    told = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.getMessage() for record in told] == [
        "what is kept in Memcached was not made by this deployment; it is not used. Who writes there?"
    ]


async def test_what_was_planted_is_put_right_by_the_next_look_up(one: Process, site: Site) -> None:
    session = await signed_in(one)
    await warm(one)
    site.memcached.put(one.name(), b"planted")
    assert await one.session() == session
    one.runner.look_ups = 0
    assert await one.session() == session
    assert one.runner.look_ups == 0


async def test_an_answer_to_somebody_elses_question_is_not_believed(
    one: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, _ = await signed_in(one, 1), await signed_in(one, 2)
    await warm(one, key=1)
    await warm(one, key=2)
    look = one.servers.look
    monkeypatch.setattr(one.servers, "look", lambda name: look(one.name(2).encode()))
    assert (await one.store.session(1)).session == mine
    assert one.runner.look_ups == 1


async def test_a_name_does_not_tell_the_key(one: Process) -> None:
    assert str(2**62 + 1) not in one.name(2**62 + 1)
    assert len(one.name()) <= 250
    assert one.name(1) != one.name(2)


# The cache's faults


async def test_an_emptied_cache_is_filled_again(one: Process, site: Site) -> None:
    session = await signed_in(one)
    await warm(one)
    site.memcached.emptied()
    assert [await one.session(), await one.session()] == [session, session]
    assert one.runner.look_ups == 1


async def test_many_at_once_are_answered_each_with_his_own(one: Process) -> None:
    await one.store.create_account(an_account(), actor=SOMEBODY)
    for number in range(1, 51):
        await signed_in(one, number)
        await one.session(number)
    one.runner.look_ups = 0
    found = await asyncio.gather(*(one.store.session(number) for number in range(1, 51) for _ in range(4)))
    assert [seen.session.key for seen in found if seen.session] == [n for n in range(1, 51) for _ in range(4)]
    assert one.runner.look_ups == 0
