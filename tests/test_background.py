"""Writes that no request waits for: a store that hangs delays none, and what was skipped is made up for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from doorward import background
from doorward.background import MOST_AT_ONCE, LoopWrites, ThreadWrites
from doorward.blocking import run_blocking
from doorward.errors import StoreUnavailable, Unavailable
from doorward.sessions.flow import authenticate
from doorward.testing import FakeClock
from tests.sessions import deployments
from tests.sessions.deployments import access_token, meddled, opened_with_ada, row_of, sqlite, template

__all__ = ["sqlite", "template"]

NOT_AT_ALL = timedelta(0)


def nothing(_: object) -> None: ...


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "WAITED_FOR", NOT_AT_ALL)
    monkeypatch.setattr(background, "CLOSE_TIMEOUT", NOT_AT_ALL)


async def for_ever(*_arguments: Any, **_named: Any) -> None:
    await asyncio.Event().wait()


@pytest.mark.anyio
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("strategy", "operation"), [("hybrid", "acknowledge"), ("session", "touch")])
async def test_a_store_that_hangs_over_a_note_holds_up_no_request(sqlite: str, strategy: Any, operation: str) -> None:
    clock = FakeClock()
    async with opened_with_ada(sqlite, clock, strategy=strategy) as auth:
        signed_in = await deployments.sign_in(auth)
        clock.move(timedelta(minutes=2))
        hanging = meddled(auth, **{operation: for_ever})
        credentials = signed_in.credentials
        bearer = credentials.access_token.text if credentials.access_token is not None else None
        async with asyncio.timeout(30):
            for _ in range(3):
                principal = await authenticate(hanging, handle=credentials.handle, bearer=bearer)
                assert principal.session_id == signed_in.session.id


@pytest.mark.anyio
async def test_a_store_in_good_health_has_the_note_before_the_answer(sqlite: str) -> None:
    async with opened_with_ada(sqlite, FakeClock()) as auth:
        signed_in = await deployments.sign_in(auth)
        await auth.authenticate(bearer=access_token(signed_in))
        assert (await row_of(auth, signed_in)).acknowledged


@pytest.mark.anyio
@pytest.mark.usefixtures("impatient")
async def test_while_a_write_hangs_no_other_is_started_and_the_next_success_lifts_that() -> None:
    writes, goes_on, begun = LoopWrites(), asyncio.Event(), []

    async def slow() -> None:
        begun.append("slow")
        await goes_on.wait()

    async def quick() -> None:
        begun.append("quick")

    await writes.run(slow, failed=nothing)
    await writes.run(quick, failed=nothing)
    await asyncio.sleep(0)
    assert begun == ["slow"]
    goes_on.set()
    for _ in range(3):
        await asyncio.sleep(0)
    await writes.run(quick, failed=nothing)
    await asyncio.sleep(0)
    assert begun == ["slow", "quick"]
    await writes.close()


@pytest.mark.anyio
async def test_writes_at_once_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    writes, begun = LoopWrites(), []

    async def slow() -> None:
        begun.append(1)
        await asyncio.Event().wait()

    waiting = [asyncio.create_task(writes.run(slow, failed=nothing)) for _ in range(MOST_AT_ONCE + 10)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(begun) == MOST_AT_ONCE
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    monkeypatch.setattr(background, "CLOSE_TIMEOUT", NOT_AT_ALL)
    await writes.close()


@pytest.mark.usefixtures("impatient")
def test_a_host_without_a_loop_does_not_wait_for_a_store_that_hangs() -> None:
    writes, goes_on, begun = ThreadWrites(), threading.Event(), threading.Semaphore(0)
    done: list[str] = []

    def writing(name: str) -> Callable[[], Any]:
        async def write() -> None:
            begun.release()
            goes_on.wait(30)
            done.append(name)

        return write

    run_blocking(writes.run(writing("first"), failed=nothing))
    assert begun.acquire(timeout=30)
    run_blocking(writes.run(writing("skipped"), failed=nothing))
    assert done == []
    thread = writes._thread
    assert thread is not None
    goes_on.set()
    thread.join(30)
    assert done == ["first"]


def test_a_host_without_a_loop_is_told_what_failed() -> None:
    writes = ThreadWrites()
    failures: list[Unavailable] = []

    async def write() -> None:
        raise StoreUnavailable(detail="the disk is full")

    run_blocking(writes.run(write, failed=failures.append))
    run_blocking(writes.close())
    assert [failure.detail for failure in failures] == ["the disk is full"]
