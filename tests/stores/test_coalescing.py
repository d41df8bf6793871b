"""What travels together, and what becomes of one of many."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from doorward.errors import Busy, FieldError, StoreUnavailable, ValidationFailed
from doorward.stores.sql import coalescing
from doorward.stores.sql.coalescing import Coalescer

pytestmark = pytest.mark.anyio


class Engine:
    """Doubles numbers, once it is let."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def work(self, numbers: Sequence[int]) -> Sequence[int]:
        self.batches.append(list(numbers))
        await self.goes_on.wait()
        return [2 * number for number in numbers]


def told(error: Exception) -> Exception:
    if isinstance(error, ValidationFailed):
        return error
    return StoreUnavailable(detail=str(error))


def coalescer(engine: Engine, *, most_in_flight: int = 1) -> Coalescer[int, int]:
    return Coalescer(engine.work, told=told, most_in_flight=most_in_flight)


async def a_few_ticks() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_one_tick_asks_for_travels_together() -> None:
    engine = Engine()
    asking = coalescer(engine)
    assert await asyncio.gather(*(asking.ask(number) for number in range(64))) == [2 * number for number in range(64)]
    assert engine.batches == [list(range(64))]


async def test_who_asks_alone_waits_for_nobody() -> None:
    engine = Engine()
    asking = coalescer(engine)
    assert [await asking.ask(1), await asking.ask(2)] == [2, 4]
    assert engine.batches == [[1], [2]]


async def test_what_is_asked_meanwhile_travels_with_the_next_batch() -> None:
    engine = Engine()
    engine.goes_on.clear()
    asking = coalescer(engine)
    first = asyncio.ensure_future(asking.ask(1))
    await a_few_ticks()
    rest = [asyncio.ensure_future(asking.ask(number)) for number in (2, 3)]
    await a_few_ticks()
    assert engine.batches == [[1]]
    engine.goes_on.set()
    assert await asyncio.gather(first, *rest) == [2, 4, 6]
    assert engine.batches == [[1], [2, 3]]


async def test_a_batch_is_bounded_and_so_are_batches_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coalescing, "BATCH_BOUND", 3)
    engine = Engine()
    engine.goes_on.clear()
    asking = coalescer(engine, most_in_flight=2)
    waiting = [asyncio.ensure_future(asking.ask(number)) for number in range(10)]
    await a_few_ticks()
    assert engine.batches == [[0, 1, 2], [3, 4, 5]]
    engine.goes_on.set()
    assert await asyncio.gather(*waiting) == [2 * number for number in range(10)]
    assert [len(batch) for batch in engine.batches] == [3, 3, 3, 1]


async def test_who_is_cancelled_before_the_batch_leaves_is_not_in_it() -> None:
    engine = Engine()
    asking = coalescer(engine)
    waiting = [asyncio.ensure_future(asking.ask(number)) for number in range(3)]
    # All have asked, and the batch is due.
    await asyncio.sleep(0)
    waiting[1].cancel()
    assert [await waiting[0], await waiting[2]] == [0, 4]
    assert waiting[1].cancelled()
    assert engine.batches == [[0, 2]]


async def test_who_is_cancelled_afterwards_takes_nothing_from_the_others() -> None:
    engine = Engine()
    engine.goes_on.clear()
    asking = coalescer(engine)
    waiting = [asyncio.ensure_future(asking.ask(number)) for number in range(3)]
    await a_few_ticks()
    waiting[0].cancel()
    await a_few_ticks()
    engine.goes_on.set()
    assert [await waiting[1], await waiting[2]] == [2, 4]
    assert waiting[0].cancelled()
    assert engine.batches == [[0, 1, 2]]


async def test_an_error_reaches_everybody_in_the_batch_as_their_own() -> None:
    async def fail(_: Sequence[int]) -> Sequence[int]:
        raise OSError("gone")

    asking: Coalescer[int, int] = Coalescer(fail, told=told, most_in_flight=1)
    errors = await asyncio.gather(*(asking.ask(number) for number in range(3)), return_exceptions=True)
    assert all(isinstance(error, StoreUnavailable) for error in errors)
    assert len({id(error) for error in errors}) == 3


async def test_a_value_that_cannot_be_stored_is_refused_to_whoever_sent_it() -> None:
    async def refuse(numbers: Sequence[int]) -> Sequence[int]:
        if 13 in numbers:
            raise ValidationFailed([FieldError(field="request", message="13")])
        return numbers

    asking: Coalescer[int, int] = Coalescer(refuse, told=told, most_in_flight=1)
    found = await asyncio.gather(*(asking.ask(number) for number in (12, 13, 14)), return_exceptions=True)
    assert found[0] == 12
    assert isinstance(found[1], ValidationFailed)
    assert found[2] == 14


async def test_of_what_is_to_be_kept_apart_one_is_in_flight_at_a_time() -> None:
    engine = Engine()
    engine.goes_on.clear()
    asking: Coalescer[int, int] = Coalescer(engine.work, told=told, most_in_flight=2, apart=lambda number: number % 10)
    waiting = [asyncio.ensure_future(asking.ask(number)) for number in (1, 2, 11, 3, 21)]
    await a_few_ticks()
    # There is room for a second batch, and nothing that may be in it.
    assert engine.batches == [[1, 2, 3]]
    engine.goes_on.set()
    assert await asyncio.gather(*waiting) == [2, 4, 22, 6, 42]
    assert engine.batches == [[1, 2, 3], [11], [21]]


async def test_where_too_many_wait_it_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coalescing, "WAITING_BOUND", 2)
    engine = Engine()
    asking = coalescer(engine)
    found = await asyncio.gather(*(asking.ask(number) for number in range(3)), return_exceptions=True)
    assert found[:2] == [0, 2]
    assert isinstance(found[2], Busy)


async def test_whose_turn_does_not_come_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coalescing, "TURN_TIMEOUT", timedelta(milliseconds=20))
    engine = Engine()
    engine.goes_on.clear()
    asking = coalescer(engine)
    first = asyncio.ensure_future(asking.ask(1))
    await a_few_ticks()
    with pytest.raises(Busy):
        await asking.ask(2)
    engine.goes_on.set()
    assert await first == 2
    assert await asking.ask(3) == 6


async def test_an_answer_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coalescing, "ANSWER_TIMEOUT", timedelta(milliseconds=20))
    engine = Engine()
    engine.goes_on.clear()
    asking = coalescer(engine)
    with pytest.raises(StoreUnavailable):
        await asking.ask(1)
    engine.goes_on.set()
    assert await asking.ask(2) == 4


async def test_what_is_in_flight_is_waited_for_at_the_end() -> None:
    engine = Engine()
    engine.goes_on.clear()
    asking = coalescer(engine)
    waiting = asyncio.ensure_future(asking.ask(1))
    await a_few_ticks()
    stopping = asyncio.ensure_future(asking.stop())
    await a_few_ticks()
    assert not stopping.done()
    engine.goes_on.set()
    await stopping
    assert await waiting == 2
