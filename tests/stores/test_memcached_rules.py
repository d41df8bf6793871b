"""When what is kept in Memcached is answered, and when it is not."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from doorward.ports import Store
from doorward.secret import Secret
from doorward.stores.memcached import MOST_AGE, write_entry
from doorward.testing import NOON, FakeClock, an_account, an_ending
from doorward.testing.factories import IDLE
from doorward.testing.store_suite.case import SOMEBODY, TICK
from tests.stores.cached import SECOND, Process, Site, patient, signed_in, warm
from tests.stores.memcached_site import EVENTS, clock, one, other, site, template

__all__ = ["clock", "one", "other", "patient", "site", "template"]

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)


# Hits


async def test_a_hit_asks_the_database_for_nothing(one: Process, other: Process) -> None:
    session = await signed_in(one)
    await warm(one, other)
    for process in (one, other):
        seen = await process.store.session(1)
        assert (seen.session, process.runner.look_ups) == (session, 0)
        assert seen.account is not None
        assert (seen.account.id, seen.account.roles, seen.account.version) == (an_account().id, (), 0)


async def test_an_entry_says_all_of_a_session_and_nothing_of_the_password(one: Process, site: Site) -> None:
    await one.store.create_account(
        an_account(password_hash=Secret("$argon2id$secret"), roles=("a", "b")), actor=SOMEBODY
    )
    session = await signed_in(one, label="Ada's \N{SNOWMAN} phone", methods=("pwd", "otp"))
    await warm(one)
    assert (await one.store.session(1)).session == session
    kept = site.memcached.value(one.name()) or b""
    assert len(kept) > 100
    for private in (b"argon2", b"ada1@example.com", b"ada1"):
        assert private not in kept


@pytest.mark.parametrize("strategy", ["jwt", "hybrid"])
async def test_what_no_handle_carries_is_not_kept(one: Process, site: Site, strategy: str) -> None:
    await signed_in(one, strategy=strategy, carrier="token")
    await warm(one)
    assert await one.session() is not None
    assert site.memcached.value(one.name()) is None


async def test_nothing_is_kept_of_sessions_that_are_not_there_or_over(one: Process, site: Site) -> None:
    session = await signed_in(one)
    await one.store.end_session(session.id, an_ending())
    site.memcached.emptied()
    assert await one.session(404) is None
    assert await one.session() is not None
    assert [site.memcached.value(one.name(key)) for key in (1, 404)] == [None, None]


async def test_two_databases_with_one_secret_share_nothing(
    one: Process, site: Site, template: Path, tmp_path: Path, clock: FakeClock
) -> None:
    await signed_in(one)
    await warm(one)
    place = shutil.copy(template, tmp_path / "other.db")
    elsewhere = await replace(site, place=str(place)).process()
    assert [await elsewhere.session(), await elsewhere.session()] == [None, None]


# What must not be answered


@pytest.mark.parametrize("event", EVENTS)
async def test_what_changes_is_told_by_the_cache_at_once(
    one: Process, other: Process, event: Callable[[Store], Awaitable[None]]
) -> None:
    """Though the other process has learned nothing of it, and takes what it knows for fresh."""
    before = await signed_in(one)
    await warm(one, other)
    await event(one.store)
    assert await other.session() == await one.session()
    seen = await other.store.session(1)
    assert seen.account is not None
    assert (seen.session, seen.account.roles) != (before, ())
    assert not list(other.known.live)


@pytest.mark.parametrize("event", EVENTS)
async def test_what_is_revoked_is_refused_though_the_cache_still_has_it(
    one: Process, other: Process, site: Site, event: Callable[[Store], Awaitable[None]]
) -> None:
    """Nothing was buried: the cache was not there for the one who changed it, or has lost that since."""
    before = await signed_in(one)
    await warm(one, other)
    stale = site.memcached.value(one.name())
    assert stale is not None
    await event(one.store)
    site.memcached.put(one.name(), stale)
    assert (await other.store.session(1)).session == before
    other.known.live.merge((await other.store.revocations()).revocations)
    site.memcached.put(one.name(), stale)
    seen = await other.store.session(1)
    assert seen.account is not None
    assert (seen.session, seen.account.roles) != (before, ())


async def test_what_is_known_has_to_be_fresh(one: Process) -> None:
    await signed_in(one)
    await warm(one)
    one.known.is_fresh = False
    await one.store.session(1)
    assert one.runner.look_ups == 1


async def test_what_was_fresh_when_the_cache_was_asked_has_to_be_so_when_it_answers(
    one: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    await signed_in(one)
    await warm(one)
    look = one.servers.look

    async def slow_look(name: bytes) -> object:
        place = await look(name)
        one.known.is_fresh = False
        return place

    monkeypatch.setattr(one.servers, "look", slow_look)
    await one.store.session(1)
    assert one.runner.look_ups == 1


async def test_before_the_deployment_is_open_nothing_is_answered_from_the_cache(
    one: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    await signed_in(one)
    await warm(one)
    monkeypatch.setattr(one.store, "_knowledge", lambda: None)
    await one.store.session(1)
    assert one.runner.look_ups == 1


@pytest.mark.parametrize(("after", "look_ups"), [(-TICK, 0), (timedelta(0), 0), (TICK, 1)])
async def test_an_entry_has_a_greatest_age(one: Process, clock: FakeClock, after: timedelta, look_ups: int) -> None:
    # A use that would have to be written long after, so that it is the age that decides.
    one.known.options = replace(one.known.options, session_idle=timedelta(days=1))
    session = await signed_in(one)
    name = one.name().encode()
    await warm(one)
    seen = await one.store.session(1)
    clock.move(MOST_AGE + after)
    used = replace(session, last_seen_at=clock())
    await one.servers.put(
        [name], write_entry(replace(seen, session=used), name, key=one.known.keyring.cache_key), keep_for=MINUTE
    )
    one.runner.look_ups = 0
    await one.store.session(1)
    assert one.runner.look_ups == look_ups


@pytest.mark.parametrize(("ahead", "look_ups"), [(timedelta(0), 0), (TICK, 1)])
async def test_an_entry_is_not_from_the_future(one: Process, clock: FakeClock, ahead: timedelta, look_ups: int) -> None:
    await signed_in(one)
    await warm(one)
    name = one.name().encode()
    seen = await one.store.session(1)
    later = replace(seen, at=clock() + one.known.options.clock_skew + ahead)
    await one.servers.put([name], write_entry(later, name, key=one.known.keyring.cache_key), keep_for=MINUTE)
    await one.store.session(1)
    assert one.runner.look_ups == look_ups


async def test_a_session_that_is_over_by_the_clock_is_asked_of_the_database(one: Process, clock: FakeClock) -> None:
    session = await signed_in(one, absolute=30 * SECOND)
    await warm(one)
    clock.move(session.expires_at - clock() - TICK)
    await one.store.session(1)
    assert one.runner.look_ups == 0
    clock.move(TICK)
    await one.store.session(1)
    assert one.runner.look_ups == 1


async def test_time_is_the_stores_and_not_the_machines(one: Process, clock: FakeClock) -> None:
    await signed_in(one)
    await warm(one)
    clock.move(SECOND)
    assert (await one.store.session(1)).at == clock()
    assert one.runner.look_ups == 0


async def test_a_process_that_has_not_read_the_stores_time_asks_the_database(one: Process, other: Process) -> None:
    await signed_in(one)
    await warm(one)
    await other.session()
    assert other.runner.look_ups == 1
    await other.session()
    assert other.runner.look_ups == 1


# Uses are written as they are without a cache


async def test_a_use_that_is_due_is_judged_by_the_database(one: Process, other: Process, clock: FakeClock) -> None:
    """So that one process' note is seen by the other, and neither writes again and again."""
    await signed_in(one)
    await warm(one, other)
    clock.move(MINUTE)
    first = await one.session()
    assert first is not None
    assert first.last_seen_at == NOON
    await one.store.touch(1, idle=IDLE)
    for process in (other, one, other, one):
        noted = await process.session()
        assert noted is not None
        assert (noted.last_seen_at, noted.idle_expires_at) == (clock(), clock() + IDLE)
    assert (one.runner.look_ups, other.runner.look_ups) == (1, 1)


async def test_idle_expiry_moves_while_a_session_is_in_use(one: Process, clock: FakeClock) -> None:
    one.known.options = replace(one.known.options, session_idle=2 * MINUTE)
    await signed_in(one, idle=2 * MINUTE)
    for _ in range(60):
        clock.move(5 * SECOND)
        used = await one.session()
        assert used is not None
        assert clock() < used.idle_expires_at
        if clock() - used.last_seen_at >= 30 * SECOND:
            await one.store.touch(1, idle=2 * MINUTE)
    # Two in six: the one that is due, and the one after it, which finds what is kept to be older than the touch.
    assert one.runner.look_ups <= 1 + 60 // 3
