"""The hot path on PostgreSQL under an event loop: asyncpg itself, and what one tick asks for travels together.

It has connections of its own out of ``pool_size``: a transaction that waits for a lock keeps nobody from being looked
up, since nothing here waits for one.  An outcome that is not known is told to everybody in the batch; only what
certainly left nothing behind, or only reads, is tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from datetime import timedelta
from itertools import count
from typing import Any

from doorward.errors import StoreUnavailable
from doorward.ports import Clock
from doorward.rotation.model import Taken
from doorward.sessions.model import Sighting, Started
from doorward.stores.sql.batches import BATCHES, check
from doorward.stores.sql.coalescing import Coalescer
from doorward.stores.sql.hot_path import (
    ROTATE,
    NotHeld,
    Rotation,
    presented_of,
    rotations_of,
)
from doorward.stores.sql.postgres_address import PostgresAddress
from doorward.stores.sql.postgres_errors import (
    READ_ONLY,
    Unsure,
    has_rolled_back,
    is_about_a_value,
    sqlstate_of,
    translated,
)
from doorward.stores.sql.prepared import Compiled
from doorward.stores.sql.rotation import Rotate
from doorward.stores.sql.sessions import Start
from doorward.stores.sql.sightings import Look
from doorward.stores.sql.starting import START, started_of, starts_of

ATTEMPTS = 4
CLOSE_TIMEOUT = timedelta(seconds=5)

_LOST = ("08", "57P")
"""The engine's codes for a connection that ends: what it did before is not known."""

_REFUSED = ("cannot perform operation", "cannot switch to state")
"""What the driver says where it has sent nothing: the engine has just ended a connection that was idle."""


class NotSent(Exception):
    """The statement was not sent."""


def lanes_of(pool_size: int) -> int:
    """How many connections look-ups take of a process's, and rotations as many; none where there are too few."""
    return min(pool_size // 4, 2)


class Lanes:
    """Connections of the driver.  Whoever asks sees to it that only so many statements run at once.

    Args:
        connect: makes a connection of asyncpg's, with its own time-out.
    """

    def __init__(self, connect: Callable[[], Awaitable[Any]]) -> None:
        self._connect = connect
        self._idle: list[Any] = []
        self._is_open = True

    async def fetch(self, statement: Compiled, parameters: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """Run one statement, in a transaction of its own.

        Raises:
            NotSent: the connection turned out not to be good.
            Unsure: it was lost when the statement had been sent.
            Exception: the driver's; the statement has done nothing.
        """
        values = statement.values(parameters)
        connection = await self._take()
        try:
            rows: Sequence[Sequence[Any]] = await connection.fetch(statement.text, *values)
        except BaseException as error:
            self._put_back(connection, error)
            if isinstance(error, Exception) and _is_lost(error):
                raise (NotSent if str(error).startswith(_REFUSED) else Unsure) from error
            raise
        self._put_back(connection)
        return rows

    async def close(self) -> None:
        self._is_open = False
        for connection in self._idle:
            connection.terminate()
        self._idle.clear()

    async def _take(self) -> Any:
        if not self._is_open:
            raise StoreUnavailable(detail="the store is not open")
        while self._idle:
            connection = self._idle.pop()
            # One that the engine ended while it was idle is known to be closed before anything is sent on it.
            if not connection.is_closed():
                return connection
        return await self._connect()

    def _put_back(self, connection: Any, error: BaseException | None = None) -> None:
        if self._is_open and (error is None or _stays_good(error)) and not connection.is_closed():
            self._idle.append(connection)
        else:
            connection.terminate()


def _is_lost(error: Exception) -> bool:
    state = sqlstate_of(error)
    return state.startswith(_LOST) if state is not None else not is_about_a_value(error)


def _stays_good(error: BaseException) -> bool:
    """Whether a connection may be used again: after a failover it leads to the old primary, which only reads."""
    return isinstance(error, Exception) and not _is_lost(error) and sqlstate_of(error) != READ_ONLY


def _is_worth_another_try(error: Exception, *, only_reads: bool) -> bool:
    if isinstance(error, Unsure):
        return only_reads
    return isinstance(error, NotSent) or has_rolled_back(error) or sqlstate_of(error) == READ_ONLY


class HotPath:
    """Looks up, rotates and starts.

    Args:
        address: of the database, for messages.
        connect: makes a connection of asyncpg's.
        lanes: connections for look-ups, and as many for rotations and starts together.
        clock: instead of the database's own.
    """

    def __init__(
        self, address: PostgresAddress, connect: Callable[[], Awaitable[Any]], *, lanes: int, clock: Clock | None
    ) -> None:
        self._address = address
        self._clock = clock
        self._lanes = Lanes(connect)
        self._look_ups = Coalescer(self._look_up_together, told=self._told, most_in_flight=lanes)
        # A second presentation of one session would find the row held by the first.
        self._rotations = Coalescer(
            self._rotate_together, told=self._told, most_in_flight=lanes, apart=lambda asked: asked.presented.key
        )
        self._starts = Coalescer(self._start_together, told=self._told, most_in_flight=lanes)
        # Rotations and starts are batches of their own, on connections that they share.
        self._writing = asyncio.Semaphore(lanes)

    async def look_up(self, asked: Hashable) -> Any:
        """The answer to a look-up of a kind in ``BATCHES``.  Raises StoreUnavailable, Busy, ValidationFailed."""
        check(asked)
        return await self._look_ups.ask(asked)

    async def rotate(self, asked: Rotate) -> Taken | Sighting | NotHeld:
        """Step 2, else what the row is; NotHeld where it cannot be had without waiting.  Raises as ``look_up``."""
        done = await self._rotations.ask(asked)
        if isinstance(done, Taken | NotHeld):
            return done
        seen: Sighting = await self.look_up(Look(key=asked.presented.key))
        return seen

    async def start(self, asked: Start) -> Started | None:
        """Start a session; None, with nothing written, where the ordinary way has to decide.  Raises as ``look_up``."""
        return await self._starts.ask(asked)

    async def close(self) -> None:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT.total_seconds()):
                await self._look_ups.stop()
                await self._rotations.stop()
                await self._starts.stop()
        except TimeoutError:
            # An engine that does not answer is left all the same.
            pass
        finally:
            await self._lanes.close()

    async def _look_up_together(self, asked: Sequence[Hashable]) -> Sequence[Any]:
        now = self._clock() if self._clock else None
        answers: dict[Hashable, Any] = {}
        for kind in dict.fromkeys(map(type, asked)):
            batch, of_kind = BATCHES[kind], [each for each in asked if type(each) is kind]
            rows = await self._until_done(batch.statement, batch.parameters(of_kind, now), only_reads=True)
            answers.update(zip(of_kind, batch.answers(rows, of_kind, now), strict=True))
        return [answers[each] for each in asked]

    async def _start_together(self, asked: Sequence[Start]) -> Sequence[Started | None]:
        given = starts_of(asked, now=self._clock() if self._clock else None)
        async with self._writing:
            rows = await self._until_done(START, given, only_reads=False)
        return started_of(rows, asked)

    async def _rotate_together(self, asked: Sequence[Rotate]) -> Sequence[Rotation]:
        given = presented_of(asked, now=self._clock() if self._clock else None)
        async with self._writing:
            rows = await self._until_done(ROTATE, given, only_reads=False)
        return rotations_of(rows, given["key"])

    async def _until_done(
        self, statement: Compiled, parameters: Mapping[str, Any], *, only_reads: bool
    ) -> Sequence[Sequence[Any]]:
        for attempt in count(1):
            try:
                return await self._lanes.fetch(statement, parameters)
            except Exception as error:
                if attempt == ATTEMPTS or not _is_worth_another_try(error, only_reads=only_reads):
                    raise
        raise AssertionError("counting has an end")

    def _told(self, error: Exception) -> Exception:
        """The error that one caller is told, and no other."""
        cause = error.__cause__ if isinstance(error, NotSent) else error
        told = translated(cause if isinstance(cause, Exception) else error, self._address)
        if told is error:
            told = RuntimeError("a statement of the hot path is wrong")
        told.__cause__ = error
        return told
