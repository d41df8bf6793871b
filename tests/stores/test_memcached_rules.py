"""When what is kept in Memcached is answered, and when it is not."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from doorward.accounts.model import AccountChange
from doorward.ports import Store
from doorward.secret import Secret
from doorward.sessions.model import Ended, EndReason, Session
from doorward.stores.memcached import BURIED_FOR, MOST_AGE, read_entry, write_entry
from doorward.stores.sql.sqlite import migrate_sqlite
from doorward.testing import NOON, FakeClock, a_new_session, a_session, an_account, an_ending
from doorward.testing.factories import IDLE
from doorward.testing.store_suite.case import POLICY, SOMEBODY, TICK, presentation
from tests.memcached import MemcachedServer
from tests.stores.cached import SECOND, Process, Site, a_site, patient, signed_in, warm

__all__ = ["patient"]

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "template.db"
    migrate_sqlite(str(path))
    return path


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def site(template: Path, tmp_path: Path, clock: FakeClock, memcached: MemcachedServer) -> AsyncIterator[Site]:
    place = shutil.copy(template, tmp_path / "doorward.db")
    async with a_site(str(place), clock, memcached) as site:
        yield site


@pytest.fixture
async def one(site: Site) -> Process:
    return await site.process()


@pytest.fixture
async def other(site: Site) -> Process:
    return await site.process()


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


async def _ends(store: Store) -> None:
    await store.end_session(a_new_session().id, an_ending())


async def _ends_all(store: Store) -> None:
    await store.end_sessions(an_account().id, an_ending())


async def _ends_the_others(store: Store) -> None:
    await store.end_sessions(an_account().id, an_ending(), keep="another")


async def _is_disabled(store: Store) -> None:
    await store.change_account(an_account().id, AccountChange(disabled=True), an_ending())


async def _gets_roles(store: Store) -> None:
    await store.change_account(an_account().id, AccountChange(roles=("admin",)), an_ending())


async def _changes_its_password(store: Store) -> None:
    await store.change_password(an_account(), Secret("new"), keep=None, new_secret_hash=None, ending=an_ending())


async def _moves_to_another_handle(store: Store) -> None:
    keep = a_session(strategy="session")
    await store.change_password(an_account(), Secret("new"), keep=keep, new_secret_hash=b"n" * 32, ending=an_ending())


async def _signs_in_anew(store: Store) -> None:
    await store.start_session(a_new_session(2), limit=None, replaces=[1], ending=an_ending())


async def _signs_in_elsewhere(store: Store) -> None:
    await store.start_session(a_new_session(2), limit=1, replaces=(), ending=an_ending())


EVENTS: list[Callable[[Store], Awaitable[None]]] = [
    _ends,
    _ends_all,
    _ends_the_others,
    _is_disabled,
    _gets_roles,
    _changes_its_password,
    _moves_to_another_handle,
    _signs_in_anew,
    _signs_in_elsewhere,
]


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
    assert await _read_late(one, lambda: _ends(other.store)) is not None
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
    await _gets_roles(other.store)
    for process in (one, other):
        seen = await process.session()
        assert seen is not None
        assert seen.account_version == 1
    assert (one.runner.look_ups, other.runner.look_ups) == (1, 0)


async def test_a_second_change_between_the_look_and_the_entry_is_not_missed(one: Process, other: Process) -> None:
    await signed_in(one)
    await warm(one, other)
    await _gets_roles(other.store)
    assert await _read_late(one, lambda: _ends(other.store)) is not None
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
