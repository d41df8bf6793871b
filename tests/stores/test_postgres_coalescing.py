"""Look-ups and rotations that travel together, on the real engine."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import insert

from doorward.accounts.model import AccountChange
from doorward.audit.model import Action, Actor, Origin
from doorward.errors import Busy, StoreUnavailable, ValidationFailed
from doorward.ports import Page
from doorward.rotation.model import Rotated, Taken
from doorward.rotation.rules import decide_refresh
from doorward.sessions.model import AccountMoved, EndReason, Session, Sighting, Started
from doorward.stores import open_store
from doorward.stores.sql import coalescing, postgres_hot_path, schema
from doorward.stores.sql.batches import BATCHES
from doorward.stores.sql.hot_path import LOOK_UP, ROTATE
from doorward.stores.sql.postgres_hot_path import HotPath
from doorward.stores.sql.postgres_runners import AsyncpgRunner
from doorward.stores.sql.prepared import Compiled
from doorward.stores.sql.rows import session_values
from doorward.stores.sql.starting import START
from doorward.stores.sql.store import SqlStore
from doorward.stores.sql.transaction import Transaction
from doorward.testing import FakeClock, an_account
from doorward.testing.clock import NOON
from doorward.testing.factories import a_new_session, a_session, an_ending
from doorward.testing.store_suite.case import POLICY, REST, SOMEBODY, TICK, presentation, sign_up, start
from tests.postgres import PostgresServer
from tests.stores.on_postgres import a_store, runner_of, until_somebody_waits

pytestmark = pytest.mark.anyio
MANY = 20
ADA = Actor(name="ada", origin=Origin(ip="192.0.2.7", user_agent='"Agent"'))

# What a rotation meets in the engine; numbers of a sequence are not taken back, so it tells how often it was tried.
_HAZARD = """
CREATE SEQUENCE tried;
CREATE FUNCTION meet() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF nextval('tried') <= {times} THEN {what}; END IF; RETURN NEW; END $$;
CREATE TRIGGER meets BEFORE UPDATE ON doorward_session FOR EACH STATEMENT EXECUTE FUNCTION meet();
"""
_NAMES = {
    ROTATE.text: "rotate",
    START.text: "start",
    **{each.statement.text: kind.__name__ for kind, each in BATCHES.items()},
    LOOK_UP.text: "look up",
}
_GIVEN_UP = "RAISE SQLSTATE '{state}'"
_CUT = "PERFORM pg_terminate_backend(pg_backend_pid()), pg_sleep(1)"

# Waits until they have ended: what is sent to one that is about to end may have been done.
_END_IDLE = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'doorward'"


@pytest.fixture
async def store(anyio_backend: str, address: str) -> AsyncIterator[SqlStore]:
    store = a_store(address)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def sessions(store: SqlStore) -> Sequence[Session]:
    await sign_up(store)
    return [await start(store, number) for number in range(1, MANY + 1)]


class Hazards:
    """Lets the next rotations meet with something, and counts how often it was tried."""

    def __init__(self, postgres: PostgresServer) -> None:
        self._postgres = postgres

    def meet(self, what: str, *, times: int) -> None:
        self._postgres.run(_HAZARD.format(what=what, times=times))

    def tried(self) -> int:
        return int(self._postgres.run("SELECT last_value FROM tried")[0][0])


@pytest.fixture
async def hazards(anyio_backend: str, postgres: PostgresServer) -> AsyncIterator[Hazards]:
    yield Hazards(postgres)
    postgres.run("DROP TRIGGER IF EXISTS meets ON doorward_session; DROP FUNCTION IF EXISTS meet")
    postgres.run("DROP SEQUENCE IF EXISTS tried")


def hot_path_of(store: SqlStore) -> HotPath:
    runner = runner_of(store)
    assert isinstance(runner, AsyncpgRunner)
    assert runner._hot_path is not None
    return runner._hot_path


def sent_by(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that leave from now on."""
    sent: list[str] = []
    lanes = hot_path_of(store)._lanes
    fetch = lanes.fetch

    async def note(statement: Compiled, parameters: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        sent.append(_NAMES[statement.text])
        return await fetch(statement, parameters)

    monkeypatch.setattr(lanes, "fetch", note)
    return sent


def rotating(store: SqlStore, sessions: Sequence[Session]) -> asyncio.Future[list[Taken | Sighting | BaseException]]:
    presented = (store.rotate(presentation(session), POLICY, actor=SOMEBODY) for session in sessions)
    return asyncio.ensure_future(asyncio.gather(*presented, return_exceptions=True))


async def noted(store: SqlStore) -> list[str]:
    """The sessions of whose rotation the trail tells."""
    return sorted(str(event.session) for event in await store.trail(Page(limit=200), action=Action.REFRESH_ROTATED))


# Looking up


async def test_look_ups_of_one_tick_are_one_statement(
    store: SqlStore, sessions: Sequence[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = sent_by(store, monkeypatch)
    found = await asyncio.gather(*(store.session(session.key) for session in sessions))
    assert sent == ["look up"]
    assert [sighting.session for sighting in found] == list(sessions)
    assert {sighting.account for sighting in found} == {an_account()}
    assert {sighting.at for sighting in found} == {found[0].at}


async def test_each_is_told_what_is_under_their_key(store: SqlStore, sessions: Sequence[Session]) -> None:
    first, missing, again = await asyncio.gather(*(store.session(key) for key in (1, 2**63 - 1, 1)))
    assert first.session == again.session == sessions[0]
    assert missing == replace(missing, session=None, account=None)
    assert missing.at == first.at


async def test_sessions_that_are_read_by_their_public_ids_in_one_tick_are_one_statement(
    store: SqlStore, sessions: Sequence[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = sent_by(store, monkeypatch)
    found = await asyncio.gather(*(store.session_by_id(session.id) for session in sessions))
    assert sent == ["LookById"]
    assert [seen.session for seen in found] == list(sessions)
    assert {seen.account for seen in found} == {an_account()}


async def test_reads_of_several_kinds_in_one_tick_are_one_statement_of_each_kind(
    store: SqlStore, sessions: Sequence[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = sent_by(store, monkeypatch)
    account = an_account()
    by_id, by_email, listed, seen, again = await asyncio.gather(
        store.account(account.id),
        store.account_by_email(account.email_key),
        store.sessions_of(account.id),
        store.session_by_id(sessions[0].id),
        store.account(account.id),
    )
    assert sent == ["LookAccount", "LookEmail", "LookSessions", "LookById"]
    assert by_id == by_email == seen.account == again == account
    assert listed == tuple(reversed(sessions))


async def test_a_text_that_no_column_takes_is_refused_to_whoever_asked(
    store: SqlStore, sessions: Sequence[Session]
) -> None:
    ids = (sessions[0].id, "a\0b", "\udc80", sessions[1].id)
    found = await asyncio.gather(*map(store.session_by_id, ids), return_exceptions=True)
    assert [isinstance(one, ValidationFailed) for one in found] == [False, True, True, False]


async def test_it_tells_the_databases_time_also_where_there_is_nothing(store: SqlStore) -> None:
    before = await store.now()
    found = await store.session(1)
    assert before <= found.at <= await store.now()
    assert found.at.utcoffset() == timedelta(0)


async def test_who_is_cancelled_takes_nothing_from_the_others(store: SqlStore, sessions: Sequence[Session]) -> None:
    asked = [asyncio.ensure_future(store.session(session.key)) for session in sessions]
    await asyncio.sleep(0)
    asked[0].cancel()
    found = await asyncio.gather(*asked[1:])
    assert [sighting.session for sighting in found] == list(sessions[1:])


async def test_connections_that_the_engine_ended_while_they_were_idle_cost_no_request(
    store: SqlStore, sessions: Sequence[Session], postgres: PostgresServer
) -> None:
    await store.session(1)
    postgres.run(_END_IDLE)
    assert isinstance(await store.rotate(presentation(sessions[0]), POLICY, actor=SOMEBODY), Taken)
    postgres.run(_END_IDLE)
    assert (await store.session(2)).session == sessions[1]


async def test_a_number_that_no_row_can_have_is_refused_to_whoever_asked(
    store: SqlStore, sessions: Sequence[Session]
) -> None:
    keys = (1, 2**63, -(2**70), 2)
    found = await asyncio.gather(*(store.session(key) for key in keys), return_exceptions=True)
    assert [isinstance(one, ValidationFailed) for one in found] == [False, True, True, False]


async def test_a_store_that_was_closed_says_so(store: SqlStore) -> None:
    await store.session(1)
    await store.close()
    with pytest.raises(StoreUnavailable, match="not open"):
        await store.session(1)
    await store.open()
    assert (await store.session(1)).session is None


@pytest.mark.parametrize("pool_size", [1, 4, 10])
async def test_all_connections_of_a_process_are_within_the_pools_size(
    address: str, postgres: PostgresServer, pool_size: int
) -> None:
    store = a_store(f"{address}?pool_size={pool_size}")
    await store.open()
    await sign_up(store)
    sessions = [await start(store, number) for number in range(1, MANY + 1)]
    await asyncio.gather(
        rotating(store, sessions),
        *(store.session(session.key) for session in sessions),
        *(store.touch(session.key, idle=POLICY.idle) for session in sessions),
    )
    counted = postgres.run("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'doorward'")
    assert 0 < counted[0][0] <= pool_size
    await store.close()


# Rotating


async def test_rotations_of_one_tick_are_one_statement_and_write_one_event_each(
    store: SqlStore, sessions: Sequence[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = sent_by(store, monkeypatch)
    found = await rotating(store, sessions)
    assert sent == ["rotate"]
    assert [one.session.generation for one in found if isinstance(one, Taken)] == [1] * MANY
    assert await noted(store) == sorted(session.id for session in sessions)


async def test_it_leaves_behind_what_the_statement_for_one_does(address: str) -> None:
    somebody = Actor(name="ada", origin=Origin(ip="192.0.2.7", user_agent='"Agent"'))
    clock = FakeClock()
    left = []
    for blocking in (False, True):
        store = open_store(address, clock=clock, blocking=blocking)
        await store.open()
        if not blocking:
            await sign_up(store)
            await start(store, 1)
            await start(store, 2)
        key = 1 + blocking
        session = (await store.session(key)).session
        assert session is not None
        presented = presentation(session, attempt=b"a" * 32)
        taken = await store.rotate(presented, POLICY, actor=somebody)
        assert isinstance(taken, Taken)
        assert (await store.session(key)).session == taken.session
        (event,) = await store.trail(Page(), session=session.id, action=Action.REFRESH_ROTATED)
        left.append((replace(taken, session=replace(taken.session, key=0, id="", secret_hash=b"")), event))
        await store.close()
    (asynchronous, event), (blocking_one, other_event) = left
    assert asynchronous == blocking_one
    assert replace(event, id=0, session="") == replace(other_event, id=0, session="")


def a_row(key: int, rng: random.Random) -> Session:
    """A session in any state, its instants within a tick of where the rules change their mind."""
    edges = (-TICK, timedelta(0), TICK)
    created = NOON - timedelta(days=1)
    ahead = [timedelta(hours=1), timedelta(days=20)] * 4
    expires = NOON + rng.choice([*edges, *ahead])
    ended = rng.random() < 0.1
    return a_session(
        key,
        account=an_account(rng.choice([1, 1, 1, 2, 3])).id,
        account_version=rng.choice([0, 0, 0, 1]),
        created_at=created,
        generation=rng.choice([0, 1, 5, 2**40]),
        predecessor=rng.choice([None, 0, 4]),
        made_at=NOON - REST + rng.choice([*edges, -timedelta(hours=1)]),
        first_at=rng.choice([None, created]),
        acknowledged=rng.random() < 0.5,
        retried=rng.random() < 0.5,
        displaced=rng.choice([None, 3]),
        last_seen_at=NOON + rng.choice([-timedelta(hours=1), *edges]),
        expires_at=expires,
        idle_expires_at=min(expires, NOON + rng.choice([*edges, *ahead])),
        ended_at=created if ended else None,
        ended_reason=EndReason.SIGNED_OUT if ended else None,
    )


@pytest.mark.parametrize("seed", range(3))
async def test_it_takes_what_the_rules_would_let_rotate_and_writes_what_they_say(address: str, seed: int) -> None:
    rng = random.Random(seed)
    clock = FakeClock()
    store = open_store(address, clock=clock)
    assert isinstance(store, SqlStore)
    await store.open()
    for number, changes in ((1, {}), (2, {"disabled_at": NOON}), (3, {"version": 1, "roles": ("admin",)})):
        await sign_up(store, number, **changes)
    rows = [a_row(key, rng) for key in range(1, 301)]

    def write(tx: Transaction) -> None:
        tx.connection.execute(insert(schema.session), [session_values(row) for row in rows])

    await runner_of(store).write(write)
    presented = [
        presentation(
            row,
            generation=max(row.generation + rng.choice([0, 0, 0, -1, 1]), 0),
            secret_hash=rng.choice([row.secret_hash] * 9 + [b"x" * 32]),
            attempt=rng.choice([None, bytes([rng.randrange(256)]) * 32]),
        )
        for row in rows
    ]
    seen = await asyncio.gather(*(store.session(row.key) for row in rows))
    assert [sighting.session for sighting in seen] == rows
    found = await asyncio.gather(*(store.rotate(each, POLICY, actor=SOMEBODY) for each in presented))
    took = 0
    for sighting, each, outcome in zip(seen, presented, found, strict=True):
        decision = decide_refresh(
            sighting.session, sighting.account, each, now=clock(), policy=POLICY, store_identity=store.identity
        )
        if isinstance(decision, Rotated):
            took += 1
            assert sighting.account is not None
            assert outcome == Taken(session=decision.to, account=sighting.account, at=clock())
        else:
            assert outcome == sighting
    assert 20 < took < 200
    assert len(await noted(store)) == took
    await store.close()


async def test_two_presentations_of_one_session_in_one_tick_make_one_successor(
    store: SqlStore, sessions: Sequence[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = sent_by(store, monkeypatch)
    first, second = await rotating(store, [sessions[0], sessions[0]])
    assert isinstance(first, Taken)
    assert isinstance(second, Sighting)
    assert second.session == first.session
    # The second waits for the first in its own process, and not in the engine.
    assert sent == ["rotate", "rotate", "look up"]
    assert await noted(store) == [sessions[0].id]


async def test_a_row_that_somebody_holds_keeps_no_other_waiting(
    store: SqlStore, sessions: Sequence[Session], address: str, other: psycopg.Connection[object]
) -> None:
    other.execute("UPDATE doorward_session SET label = 'held' WHERE key = 1")
    held = asyncio.ensure_future(store.rotate(presentation(sessions[0]), POLICY, actor=SOMEBODY))
    others = await rotating(store, sessions[1:])
    assert all(isinstance(one, Taken) for one in others)
    await until_somebody_waits(address)
    assert not held.done()
    other.commit()
    taken = await held
    assert isinstance(taken, Taken)
    assert taken.session.label == "held"
    assert await noted(store) == sorted(session.id for session in sessions)


async def test_time_is_read_once_the_rows_are_held(
    store: SqlStore, sessions: Sequence[Session], other: psycopg.Connection[object]
) -> None:
    before = await store.now()
    taken = await store.rotate(presentation(sessions[0]), POLICY, actor=SOMEBODY)
    assert isinstance(taken, Taken)
    assert before <= taken.at <= await store.now()
    assert taken.session.made_at == taken.session.first_at == taken.at
    (event,) = await store.trail(Page(), action=Action.REFRESH_ROTATED)
    assert event.at == taken.at


@pytest.mark.parametrize("state", ["40001", "40P01", "25006"])
async def test_what_the_engine_gave_up_is_tried_again(
    store: SqlStore, sessions: Sequence[Session], hazards: Hazards, state: str
) -> None:
    hazards.meet(_GIVEN_UP.format(state=state), times=2)
    assert all(isinstance(one, Taken) for one in await rotating(store, sessions))
    assert hazards.tried() == 3
    assert await noted(store) == sorted(session.id for session in sessions)


async def test_it_is_tried_a_bounded_number_of_times(
    store: SqlStore, sessions: Sequence[Session], hazards: Hazards
) -> None:
    hazards.meet(_GIVEN_UP.format(state="40001"), times=100)
    refused = await rotating(store, sessions)
    assert all(isinstance(one, Busy) for one in refused)
    assert len({id(one) for one in refused}) == MANY
    assert hazards.tried() == postgres_hot_path.ATTEMPTS
    assert await noted(store) == []


async def test_a_connection_that_was_lost_meanwhile_is_not_known_and_not_tried_again(
    store: SqlStore, sessions: Sequence[Session], hazards: Hazards
) -> None:
    hazards.meet(_CUT, times=1)
    refused = await rotating(store, sessions)
    assert all(isinstance(one, StoreUnavailable) and "not known" in one.detail for one in refused)
    assert hazards.tried() == 1
    assert all(isinstance(one, Taken) for one in await rotating(store, sessions))


async def test_a_batch_that_is_not_answered_in_time_is_told_so(
    store: SqlStore, sessions: Sequence[Session], hazards: Hazards, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coalescing, "ANSWER_TIMEOUT", timedelta(milliseconds=200))
    hazards.meet("PERFORM pg_sleep(1)", times=1)
    refused = await rotating(store, sessions)
    assert all(isinstance(one, StoreUnavailable) for one in refused)
    assert (await store.session(1)).session is not None


async def test_text_that_cannot_be_stored_is_refused_to_whoever_sent_it(
    store: SqlStore, sessions: Sequence[Session]
) -> None:
    agents = [Actor(origin=Origin(user_agent=text)) for text in ("fine", "a\0b", "\ud800", "fine")]
    asked = (
        store.rotate(presentation(session), POLICY, actor=actor)
        for session, actor in zip(sessions, agents, strict=False)
    )
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(one) for one in found] == [Taken, ValidationFailed, ValidationFailed, Taken]
    assert await noted(store) == sorted(sessions[place].id for place in (0, 3))


# Starting


def starting(number: int, **changes: Any) -> Callable[[SqlStore], Coroutine[Any, Any, Started | AccountMoved]]:
    new = a_new_session(number, **changes)
    return lambda store: store.start_session(new, limit=None, replaces=(), ending=an_ending(actor=ADA))


async def test_sessions_that_start_in_one_tick_are_one_statement_and_write_one_event_each(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sign_up(store)
    sent = sent_by(store, monkeypatch)
    found = await asyncio.gather(*(starting(number)(store) for number in range(1, MANY + 1)))
    assert sent == ["start"]
    started = [one.session for one in found if isinstance(one, Started)]
    assert [session.key for session in started] == list(range(1, MANY + 1))
    assert {session.key: session for session in await store.sessions_of(an_account().id)} == {
        session.key: session for session in started
    }
    events = await store.trail(Page(limit=200), action=Action.SESSION_STARTED)
    assert sorted(str(event.session) for event in events) == sorted(session.id for session in started)


async def test_a_start_leaves_behind_what_the_statement_for_one_does(address: str) -> None:
    clock, left = FakeClock(), []
    for blocking in (False, True):
        store = open_store(address, clock=clock, blocking=blocking)
        await store.open()
        if not blocking:
            await sign_up(store)
        new = a_new_session(
            1 + blocking,
            label="Ada's phone",
            origin=Origin(ip="192.0.2.7", user_agent='"Agent"'),
            methods=("pwd", "otp"),
            status_index=7,
            remembered=True,
            absolute=timedelta(minutes=1),
        )
        started = await store.start_session(new, limit=None, replaces=(), ending=an_ending(actor=ADA))
        assert started == Started(session=new.begun(at=clock()))
        assert (await store.session(new.key)).session == started.session
        (event,) = await store.trail(Page(), session=new.id)
        left.append((replace(started.session, key=0, id="", secret_hash=b""), replace(event, id=0, session="")))
        await store.close()
    assert left[0] == left[1]


async def test_no_session_starts_for_an_account_that_has_changed_since_it_was_read(store: SqlStore) -> None:
    await sign_up(store, 1)
    await sign_up(store, 2)
    await sign_up(store, 3)
    await store.change_account(an_account(2).id, AccountChange(disabled=True), an_ending())
    await store.end_sessions(an_account(3).id, an_ending())
    one, disabled, moved, nobody = await asyncio.gather(
        starting(1)(store),
        starting(2, account=an_account(2).id, account_version=1)(store),
        starting(3, account=an_account(3).id)(store),
        starting(4, account="nobody")(store),
    )
    assert isinstance(one, Started)
    assert disabled == moved == nobody == AccountMoved()
    assert [event.session for event in await store.trail(Page(), action=Action.SESSION_STARTED)] == [one.session.id]


async def test_a_start_waits_for_whoever_changes_the_account(
    store: SqlStore, address: str, postgres: PostgresServer
) -> None:
    await sign_up(store)
    with psycopg.connect(address) as other:
        other.execute("UPDATE doorward_account SET version = version + 1")
        slow = asyncio.ensure_future(starting(1)(store))
        await until_somebody_waits(address)
        assert not slow.done()
        other.commit()
    assert await slow == AccountMoved()
