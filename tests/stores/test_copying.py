"""A store copied to another database: nothing is lost and nobody is signed out, whenever it is broken off."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from threading import Thread

import pytest

from doorward.audit.model import Action
from doorward.blocking import run_blocking
from doorward.errors import InvalidGrant, SessionEnded, StoreUnavailable
from doorward.ports import Page
from doorward.stores.sql.copying import Pass
from tests.stores.copies import (
    HOME,
    TESTER,
    Make,
    bearer_of,
    copied,
    counted,
    fill,
    once,
    opened,
    refresh_token_of,
    refused_to_open,
    run_sql,
    sign_in,
    sign_up,
    untouched,
)

pytestmark = pytest.mark.anyio

# Whole


async def test_everybody_stays_signed_in_and_nobody_comes_back(places: tuple[str, str]) -> None:
    source, target = places
    async with opened(source, strategy="session") as auth:
        await sign_up(auth, 0)
        handle = (await sign_in(auth)).credentials.handle
    async with opened(source) as auth:
        holder, ended, rotated = [await sign_in(auth) for _ in range(3)]
        fresh = await auth.refresh(refresh_token_of(rotated), origin=HOME)
        await auth.end_session(ended.session.id, account_id=None, actor=TESTER)
        trail = await auth.trail(Page(limit=200))
        keys = await auth.stored_keys()
    done = copied(source, target)
    assert counted(done)["session"] == (4, 4, 0)
    assert all(len(table.checksum) == 64 for table in done.tables)
    async with opened(target, strategy="session") as auth:
        assert (await auth.authenticate(handle=handle)).session_id
    async with opened(target) as auth:
        assert await auth.stored_keys() == keys
        assert await auth.trail(Page(limit=200)) == trail
        assert (await auth.authenticate(bearer=bearer_of(holder))).session_id == holder.session.id
        assert await auth.refresh(refresh_token_of(holder), origin=HOME)
        # The generation is the one that it was: presented again within the grace, the same token is the answer.
        again = await auth.refresh(refresh_token_of(rotated), origin=HOME)
        assert refresh_token_of(again).matches(refresh_token_of(fresh))
        with pytest.raises(SessionEnded):
            await auth.authenticate(bearer=bearer_of(ended))
        with pytest.raises(InvalidGrant):
            await auth.refresh(refresh_token_of(ended), origin=HOME)
        # Numbers go on after those that were copied, and nothing is told of a store that was put back.
        await sign_in(auth)
        assert await auth.trail(Page(limit=200), action=Action.STORE_PUT_BACK) == ()


async def test_there_and_back_is_the_same_to_the_byte(make: Make, new_file: Callable[[str], str]) -> None:
    source, target = make("sqlite to postgres")
    await fill(source)
    there = copied(source, target)
    back = new_file("back.db")
    assert [each.checksum for each in copied(target, back).tables] == [each.checksum for each in there.tables]
    for table in there.tables:
        rows = f"SELECT * FROM {table.name} ORDER BY 1, 2"
        if table.name != "doorward_meta":
            assert run_sql(source, rows) == run_sql(back, rows)


# While others write


async def test_what_is_written_meanwhile_is_copied_too(places: tuple[str, str]) -> None:
    source, target = places
    signed_in = await fill(source)

    async def meanwhile() -> None:
        async with opened(source) as auth:
            await sign_up(auth, 4)
            await sign_in(auth, 4)
            await auth.refresh(refresh_token_of(signed_in[0]), origin=HOME)
            await auth.end_session(signed_in[1].session.id, account_id=None, actor=TESTER)

    done = copied(source, target, report=once(Pass.COPYING, "doorward_session", lambda: run_blocking(meanwhile())))
    assert counted(done)["account"] == (5, 5, 0)
    rows, written, _ = counted(done)["session"]
    # Those that changed were written twice.
    assert (rows, written) == (5, 7)
    assert untouched(copied(source, target))
    async with opened(target) as auth:
        assert await auth.authenticate(bearer=bearer_of(signed_in[0]))
        with pytest.raises(SessionEnded):
            await auth.authenticate(bearer=bearer_of(signed_in[1]))


async def test_what_was_removed_or_gave_its_unique_value_away_meanwhile_is_no_hindrance(
    moved: tuple[str, str],
) -> None:
    source, target = moved
    await fill(source)
    [(gone,)] = run_sql(source, "SELECT id FROM doorward_account WHERE email_key = 'ada0@example.com'")

    def meanwhile() -> None:
        run_sql(source, f"DELETE FROM doorward_session WHERE account = '{gone}'")
        run_sql(source, f"DELETE FROM doorward_account WHERE id = '{gone}'")
        # Whichever of the two is written first, the other one still has what is its own now.
        for one, other in (("ada1", "moved"), ("ada3", "ada1"), ("moved", "ada3")):
            change = f"SET email_key = '{other}@example.com' WHERE email_key = '{one}@example.com'"
            run_sql(source, f"UPDATE doorward_account {change}")

    done = copied(source, target, report=once(Pass.COPYING, "doorward_session", meanwhile))
    assert counted(done)["account"][0] == 3
    assert counted(done)["account"][2] == 1
    assert run_sql(target, f"SELECT count(*) FROM doorward_session WHERE account = '{gone}'") == [(0,)]


async def test_who_writes_while_both_are_compared_waits_and_is_copied_by_the_next_run(
    moved: tuple[str, str],
) -> None:
    source, target = moved
    signed_in = await fill(source)
    threads: list[Thread] = []
    outcome: list[object] = []

    def refresh() -> None:
        async def write() -> object:
            async with opened(source) as auth:
                try:
                    return await auth.refresh(refresh_token_of(signed_in[0]), origin=HOME)
                except StoreUnavailable as error:
                    return error

        outcome.append(run_blocking(write()))

    def begin() -> None:
        threads.append(Thread(target=refresh))
        threads[0].start()

    copied(source, target, report=once(Pass.SETTLING, "doorward_account", begin))
    threads[0].join()
    assert run_sql(target, "SELECT max(generation) FROM doorward_session") == [(0,)]
    again = copied(source, target)
    assert counted(again)["session"] == (4, 1, 0)
    assert run_sql(target, "SELECT max(generation) FROM doorward_session") == [(1,)]
    assert not isinstance(outcome[0], Exception)


# Broken off

COPYING = """
import sys
from doorward.stores.sql.copying import Copy
from doorward.stores.sql.copy_sides import side_of
from doorward.stores.sql.schema import metadata

def report(progress):
    print(progress.during, progress.table, progress.rows, flush=True)
    if [progress.during, progress.table] == sys.argv[3:] and progress.rows:
        sys.stdin.readline()

with side_of(sys.argv[1]) as source, side_of(sys.argv[2]) as target:
    Copy(source, target, report=report, batch=3).run()
"""


def killed_in(during: Pass, table: str, source: str, target: str) -> None:
    """A copy that is killed after the first range of a table."""
    process = subprocess.Popen(
        [sys.executable, "-c", COPYING, source, target, during, table], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.decode().split() == [during, table, "3"]:
                break
        else:
            pytest.fail("it was over before")
        process.kill()


async def test_a_copy_that_was_killed_serves_nobody_and_is_begun_again_where_it_was(moved: tuple[str, str]) -> None:
    source, target = moved
    signed_in = await fill(source)
    killed_in(Pass.COPYING, "doorward_session", source, target)
    assert "unfinished copy" in await refused_to_open(target)
    [(there,)] = run_sql(target, "SELECT count(*) FROM doorward_session")
    assert 0 < there < 4
    done = copied(source, target)
    assert counted(done)["account"] == (4, 0, 0)
    assert counted(done)["session"] == (4, 4 - there, 0)
    async with opened(target) as auth:
        assert await auth.refresh(refresh_token_of(signed_in[0]), origin=HOME)


async def test_a_copy_that_was_killed_while_it_held_the_source_lets_go_of_it(moved: tuple[str, str]) -> None:
    source, target = moved
    signed_in = await fill(source)
    killed_in(Pass.SETTLING, "doorward_session", source, target)
    assert "unfinished copy" in await refused_to_open(target)
    async with opened(source) as auth:
        assert await auth.refresh(refresh_token_of(signed_in[0]), origin=HOME)
    # All of it has been there once, and is not copied again.
    passes: set[str] = set()
    done = copied(source, target, report=lambda progress: passes.add(progress.during))
    assert passes == {Pass.SETTLING}
    assert counted(done)["session"] == (4, 1, 0)


@pytest.mark.parametrize("during", list(Pass))
async def test_a_copy_that_an_error_broke_off_is_begun_again(moved: tuple[str, str], during: Pass) -> None:
    source, target = moved
    await fill(source)

    def fail() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copied(source, target, report=once(during, "doorward_session", fail))
    await refused_to_open(target)
    assert counted(copied(source, target))["session"][0] == 4
    assert untouched(copied(source, target))
