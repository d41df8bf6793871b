from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from doorward.blocking import WouldSuspend, run_blocking


async def five() -> int:
    return 5


async def twice(inner: Coroutine[Any, Any, int]) -> int:
    return 2 * await inner


def test_a_coroutine_that_never_suspends_runs_to_its_end() -> None:
    assert run_blocking(twice(five())) == 10


def test_what_the_coroutine_raises_is_raised() -> None:
    async def refuse() -> None:
        raise LookupError("no")

    with pytest.raises(LookupError):
        run_blocking(refuse())


def test_a_coroutine_that_suspends_is_refused_by_name() -> None:
    async def waits() -> None:
        await asyncio.sleep(0)

    with pytest.raises(WouldSuspend, match="waits"):
        run_blocking(waits())


def test_a_refused_coroutine_is_closed_so_that_it_cleans_up() -> None:
    closed = []

    async def holds_something() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            closed.append(True)

    with pytest.raises(WouldSuspend):
        run_blocking(holds_something())
    assert closed == [True]


def test_a_future_is_a_suspension_too() -> None:
    async def waits() -> None:
        await asyncio.get_running_loop().create_future()

    async def inside_a_loop() -> None:
        with pytest.raises(WouldSuspend):
            run_blocking(waits())

    asyncio.run(inside_a_loop())


def test_it_runs_inside_a_running_loop_as_well() -> None:
    async def inside_a_loop() -> int:
        return run_blocking(five())

    assert asyncio.run(inside_a_loop()) == 5
