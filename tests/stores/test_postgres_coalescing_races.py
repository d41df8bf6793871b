"""Rotations that travel together, against what ends or moves sessions at the same time on another server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from doorward.accounts.model import AccountChange
from doorward.audit.model import Action
from doorward.ports import Page
from doorward.rotation.model import RefreshPolicy, Taken
from doorward.secret import Secret
from doorward.sessions.model import Ended, EndReason, Session, Sighting
from doorward.stores.sql import postgres_hot_path
from doorward.stores.sql.hot_path import ROTATE
from doorward.stores.sql.store import SqlStore
from doorward.testing import an_account, an_ending
from doorward.testing.factories import IDLE
from doorward.testing.store_suite.case import SOMEBODY, presentation, sign_up, start
from tests.stores.on_postgres import a_store, until_somebody_waits

pytestmark = pytest.mark.anyio
SESSIONS = 12
ROUNDS = 4
_NOTHING = IDLE - IDLE
RESTLESS = RefreshPolicy(grace=_NOTHING, rest=_NOTHING, window=_NOTHING, idle=IDLE, idle_remembered=IDLE)
"""Each presentation may rotate at once."""


@pytest.fixture
async def servers(anyio_backend: str, address: str) -> AsyncIterator[Sequence[SqlStore]]:
    servers = [a_store(address), a_store(address)]
    for server in servers:
        await server.open()
    yield servers
    for server in servers:
        await server.close()


async def disable(server: SqlStore, number: int) -> None:
    ending = an_ending(EndReason.ACCOUNT_DISABLED)
    await server.change_account(an_account(number).id, AccountChange(disabled=True), ending)


async def end_all(server: SqlStore, number: int) -> None:
    await server.end_sessions(an_account(number).id, an_ending())


async def end_each(server: SqlStore, number: int) -> None:
    for session in await server.sessions_of(an_account(number).id):
        await server.end_session(session.id, an_ending())


async def change_password(server: SqlStore, number: int) -> None:
    seen = await server.account(an_account(number).id)
    assert seen is not None
    ending = an_ending(EndReason.PASSWORD_CHANGED)
    done = await server.change_password(seen, Secret("$new"), keep=None, new_secret_hash=None, ending=ending)
    assert isinstance(done, Ended)


async def change_roles(server: SqlStore, number: int) -> None:
    for roles in (("admin",), ("admin", "editor"), ()):
        await server.change_account(an_account(number).id, AccountChange(roles=roles), an_ending(EndReason.ADMIN))


async def rotate_on(
    server: SqlStore, session: Session, taken: list[Taken], *, begun: asyncio.Event, over: asyncio.Event
) -> None:
    """Rotate again and again, as one client, until it is over or the session is."""
    current = session
    while not over.is_set():
        found = await server.rotate(presentation(current), RESTLESS, actor=SOMEBODY)
        if isinstance(found, Taken):
            taken.append(found)
            current = found.session
            begun.set()
        elif found.session is None or found.session.ended_at is not None:
            return


async def storm(
    servers: Sequence[SqlStore], what: Callable[[SqlStore, int], Coroutine[Any, Any, None]], number: int
) -> list[tuple[Session, list[Taken]]]:
    """Sessions of one account rotate on one server while something is done to the account on the other."""
    await sign_up(servers[0], number)
    owned = [await start(servers[0], 1000 * number + each, account=an_account(number).id) for each in range(SESSIONS)]
    taken: list[list[Taken]] = [[] for _ in owned]
    begun, over = [asyncio.Event() for _ in owned], asyncio.Event()
    rotating = [
        asyncio.ensure_future(rotate_on(servers[0], session, into, begun=rotates, over=over))
        for session, into, rotates in zip(owned, taken, begun, strict=True)
    ]
    await asyncio.gather(*(rotates.wait() for rotates in begun))
    await what(servers[1], number)
    over.set()
    await asyncio.gather(*rotating)
    return list(zip(owned, taken, strict=True))


@pytest.mark.parametrize("what", [disable, end_all, end_each, change_password])
async def test_once_an_end_has_committed_nothing_rotates_and_nothing_was_lost(
    servers: Sequence[SqlStore], what: Callable[[SqlStore, int], Coroutine[Any, Any, None]]
) -> None:
    for number in range(1, ROUNDS + 1):
        for session, taken in await storm(servers, what, number):
            row = (await servers[1].session(session.key)).session
            assert row is not None
            # No fork: each answer was the next, and the row is the last that was answered.
            assert [one.session.generation for one in taken] == list(range(1, row.generation + 1))
            assert row.ended_at is not None
            assert isinstance(await servers[0].rotate(presentation(row), RESTLESS, actor=SOMEBODY), Sighting)
            events = await servers[1].trail(Page(limit=200), session=session.id, action=Action.REFRESH_ROTATED)
            told = [event.detail["generation"] for event in reversed(events)]
            assert told == list(range(row.generation - len(told) + 1, row.generation + 1))
            assert len(told) == min(row.generation, 200)


async def test_a_session_that_a_change_of_roles_carries_over_goes_on_with_the_roles_of_its_version(
    servers: Sequence[SqlStore],
) -> None:
    roles = {0: (), 1: ("admin",), 2: ("admin", "editor"), 3: ()}
    for number in range(1, ROUNDS + 1):
        for session, taken in await storm(servers, change_roles, number):
            assert {one.account.roles == roles[one.account.version] for one in taken} == {True}
            assert {one.account.version == one.session.account_version for one in taken} == {True}
            row = (await servers[1].session(session.key)).session
            assert row is not None
            assert row.ended_at is None
            assert [one.session.generation for one in taken] == list(range(1, row.generation + 1))
            assert isinstance(await servers[1].rotate(presentation(row), RESTLESS, actor=SOMEBODY), Taken)


CHANGES = {
    "disabled": (
        "UPDATE doorward_account SET disabled_at = now(), version = version + 1",
        "UPDATE doorward_session SET ended_at = now(), ended_reason = 'account_disabled'",
    ),
    "moved to other roles": (
        "UPDATE doorward_account SET roles = '[\"admin\"]', version = version + 1",
        "UPDATE doorward_session SET account_version = account_version + 1",
    ),
    "moved to another handle": ("UPDATE doorward_session SET secret_hash = sha256('new')",),
    "rotated": ("UPDATE doorward_session SET generation = generation + 1, predecessor = 0",),
}


# The same statement, standing still when its view of the database is taken and no row is held yet.
_STANDS_STILL = replace(
    ROTATE,
    text=ROTATE.text.replace(
        "FOR NO KEY UPDATE", "AND (SELECT pg_advisory_xact_lock_shared(1) IS NOT NULL) FOR NO KEY UPDATE"
    ),
)


@pytest.mark.parametrize("change", CHANGES)
async def test_a_row_that_was_changed_between_a_statements_begin_and_its_turn_is_judged_as_it_is(
    servers: Sequence[SqlStore],
    address: str,
    other: psycopg.Connection[object],
    monkeypatch: pytest.MonkeyPatch,
    change: str,
) -> None:
    await sign_up(servers[0])
    session = await start(servers[0])
    monkeypatch.setattr(postgres_hot_path, "ROTATE", _STANDS_STILL)
    other.execute("SELECT pg_advisory_lock(1)")
    rotating = asyncio.ensure_future(servers[0].rotate(presentation(session), RESTLESS, actor=SOMEBODY))
    await until_somebody_waits(address)
    for statement in CHANGES[change]:
        other.execute(statement)
    other.commit()
    other.execute("SELECT pg_advisory_unlock(1)")
    found = await rotating
    assert isinstance(found, Sighting)
    assert found == replace(await servers[1].session(session.key), at=found.at)
