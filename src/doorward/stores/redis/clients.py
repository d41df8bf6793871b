"""Redis for an event loop, and Redis for the calling thread.

A call that was certainly not carried out, or that may be carried out twice, is made again a bounded number of times
within a bounded time.  Any other whose answer is lost is not: whoever asked is told that it is not known.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any

from redis.exceptions import ConnectionError, NoScriptError, ReadOnlyError  # noqa: A004 -- Redis' own

from doorward.errors import Unavailable
from doorward.stores.lost_connections import is_closed_transport
from doorward.stores.readiness import within_ping_timeout
from doorward.stores.redis.address import RedisAddress
from doorward.stores.redis.connecting import async_client, blocking_client, close_async, close_blocking
from doorward.stores.redis.port import (
    ATTEMPTS,
    OPERATION_TIMEOUT,
    POOL_TIMEOUT,
    Call,
    channel_of,
    is_worth_another_try,
    translated,
    unusable,
)
from doorward.stores.redis.scripts import LOOK
from doorward.stores.redis.together import MOST_AT_ONCE, Together
from doorward.stores.redis.unavailable import RedisBusy, RedisUnavailable

MOST_TO_TELL = 100
"""How many announcements wait to be told; what is more than that is one hint to read everything."""

ANYTHING = "doorward:anything"
"""A key that nothing is kept under."""

PAUSE_SECONDS = 0.05
"""Before another attempt: a node that is being elected has not been yet."""

_log = logging.getLogger(__name__)


class AsyncRedis:
    """For one event loop.

    Look-ups of one tick of the loop travel together, and so do scripts but on a Cluster, whose client sends none in a
    pipeline.

    Args:
        address: where.
    """

    def __init__(self, address: RedisAddress) -> None:
        self._address = address
        self._client: Any = None
        self._free = asyncio.Semaphore(address.pool_size)
        self._looking: Together[str, tuple[bytes | None, int]] = Together(self._look_together, self._keep)
        # Apart: what must not be called again keeps nothing else from it.
        self._calling: dict[bool, Together[Call, Any]] = {
            repeats: Together(self._call_together, self._keep) for repeats in (True, False)
        }
        self._sending: set[asyncio.Task[None]] = set()
        self._to_tell: list[str] = []

    async def open(self) -> None:
        if self._client is not None:
            return
        self._free = asyncio.Semaphore(self._address.pool_size)
        client = async_client(self._address)
        try:
            if self._address.cluster:
                await client.initialize()
            else:
                await client.ping()
        except Exception as error:
            await close_async(client)
            raise unusable(error, self._address) from error
        self._client = client

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            for task in [*self._sending]:
                task.cancel()
            with suppress(TimeoutError):
                async with asyncio.timeout(POOL_TIMEOUT.total_seconds()):
                    await close_async(client)

    async def ping(self) -> None:
        async with within_ping_timeout(self._overdue):
            await self._until_done(self._ping)

    def _overdue(self) -> Unavailable:
        if self._free.locked():
            return RedisBusy(detail=f"{self._address}: all connections are in use")
        return RedisUnavailable(detail=f"{self._address}: no answer in time")

    async def look(self, name: str) -> tuple[bytes | None, int]:
        return await self._looking.ask(name)

    async def look_each(self, names: Sequence[str]) -> Sequence[bytes | None]:
        return [value for value, _ in await asyncio.gather(*(self.look(name) for name in names))]

    async def call(self, call: Call) -> Any:
        if self._address.cluster:
            return await self._call_alone(call)
        return await self._calling[call.script.repeats].ask(call)

    async def call_each(self, calls: Sequence[Call]) -> Sequence[Any]:
        # All of them to the end: none goes on by itself once another has failed.
        done: list[Any] = []
        at_once = self._address.pool_size if self._address.cluster else MOST_AT_ONCE
        for start in range(0, len(calls), at_once):
            some = calls[start : start + at_once]
            done += await asyncio.gather(*(self.call(each) for each in some), return_exceptions=True)
        for each in done:
            if isinstance(each, BaseException):
                raise each
        return done

    async def announce(self, text: str) -> None:
        # By the side: whoever has revoked something does not wait until it is told.
        is_being_told = bool(self._to_tell)
        self._to_tell = [*self._to_tell, text] if len(self._to_tell) < MOST_TO_TELL else [self._to_tell[0], ""]
        if not is_being_told:
            self._keep(self._tell())

    async def _tell(self) -> None:
        try:
            while self._to_tell:
                await self._until_done(partial(self._publish, self._to_tell[0]))
                del self._to_tell[0]
        except Unavailable as error:
            _log.debug("revocations are not announced: %s", error.detail)
        finally:
            self._to_tell = []

    async def _publish(self, text: str) -> None:
        await self._client.execute_command("PUBLISH", channel_of(self._address), text, **_anywhere(self._address))

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _look_together(self, names: Sequence[str]) -> Sequence[tuple[bytes | None, int] | Exception]:
        answers: Sequence[tuple[bytes | None, int]] = await self._until_done(lambda: self._read(names))
        return answers

    async def _call_together(self, calls: Sequence[Call]) -> Sequence[Any]:
        if len(calls) == 1:
            return [await self._call_alone(calls[0])]
        answers = await self._until_done(lambda: self._run_each(calls), repeats=calls[0].script.repeats)
        settling = (self._settled(call, answer) for call, answer in zip(calls, answers, strict=True))
        return await asyncio.gather(*settling, return_exceptions=True)

    async def _settled(self, call: Call, answer: Any) -> Any:
        if not isinstance(answer, Exception):
            return answer
        if isinstance(answer, NoScriptError) or is_worth_another_try(answer, repeats=call.script.repeats):
            return await self._call_alone(call)
        raise translated(answer, self._address)

    async def _call_alone(self, call: Call) -> Any:
        return await self._until_done(lambda: self._run(call), repeats=call.script.repeats)

    async def _run_each(self, calls: Sequence[Call]) -> Sequence[Any]:
        pipeline = self._client.pipeline(transaction=False)
        for call in calls:
            pipeline.execute_command("EVALSHA", call.script.digest, 1, call.name, *call.arguments)
        return list(await pipeline.execute(raise_on_error=False))

    async def _read(self, names: Sequence[str]) -> list[tuple[bytes | None, int]]:
        """Values and the time, with one way to each server.  The clocks of a Cluster are taken to be set alike."""
        pipeline = self._client.pipeline(**({} if self._address.cluster else {"transaction": False}))
        of_one = {"target_nodes": self._client.get_node_from_key(names[0])} if self._address.cluster else {}
        pipeline.execute_command("TIME", **of_one)
        for name in names:
            pipeline.execute_command("GET", name)
        (seconds, microseconds), *values = await pipeline.execute()
        return [(value, seconds * 1_000_000 + microseconds) for value in values]

    async def _run(self, call: Call) -> Any:
        script = call.script
        try:
            return await self._client.execute_command("EVALSHA", script.digest, 1, call.name, *call.arguments)
        except NoScriptError:
            return await self._client.execute_command("EVAL", script.text, 1, call.name, *call.arguments)

    async def _ping(self) -> None:
        await self._client.ping(**_everywhere(self._address))
        # A node of a Cluster that has fallen apart says that it is there, and answers nothing else.
        await self._client.execute_command("GET", ANYTHING)

    async def _until_done(self, work: Callable[[], Any], *, repeats: bool = True) -> Any:
        try:
            async with asyncio.timeout(OPERATION_TIMEOUT.total_seconds()), _Turn(self._free):
                for attempt in count(1):
                    _require_open(self._client)
                    try:
                        return await work()
                    except Exception as error:
                        if isinstance(error, ReadOnlyError | ConnectionError) or is_closed_transport(error):
                            await self._leave_what_is_not_used()
                        if attempt == ATTEMPTS or not is_worth_another_try(error, repeats=repeats):
                            raise
                        await asyncio.sleep(PAUSE_SECONDS)
        except Exception as error:
            raised = translated(error, self._address)
            if raised is error:
                raise
            raise raised from error

    async def _leave_what_is_not_used(self) -> None:
        """Where one connection is lost, or leads to what became a replica, the others are no better."""
        # None where it was closed meanwhile.
        if self._client is not None and not self._address.cluster:
            await self._client.connection_pool.disconnect(inuse_connections=False)


class _Turn:
    """One of the connections, waited for within a bound."""

    def __init__(self, free: asyncio.Semaphore) -> None:
        self._free = free

    async def __aenter__(self) -> None:
        try:
            async with asyncio.timeout(POOL_TIMEOUT.total_seconds()):
                await self._free.acquire()
        except TimeoutError as error:
            raise RedisBusy(detail="all connections to Redis are in use") from error

    async def __aexit__(self, *_: object) -> None:
        self._free.release()


class BlockingRedis:
    """For the calling thread; never suspends.  Threads may share it, and so may processes that were forked.

    Args:
        address: where.
    """

    def __init__(self, address: RedisAddress) -> None:
        self._address = address
        self._client: Any = None
        self._free = threading.BoundedSemaphore(address.pool_size)

    async def open(self) -> None:
        if self._client is not None:
            return
        try:
            client = blocking_client(self._address)
            client.ping(**_everywhere(self._address))
        except Exception as error:
            raise unusable(error, self._address) from error
        self._client = client

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            close_blocking(client)

    async def ping(self) -> None:
        self._until_done(self._ping, repeats=False)

    async def look(self, name: str) -> tuple[bytes | None, int]:
        value, now = await self.call(Call(LOOK, name, ("",)))
        return value, now

    async def look_each(self, names: Sequence[str]) -> Sequence[bytes | None]:
        return [(await self.look(name))[0] for name in names]

    async def call(self, call: Call) -> Any:
        return self._until_done(lambda: self._run(call), repeats=call.script.repeats)

    async def call_each(self, calls: Sequence[Call]) -> Sequence[Any]:
        return [await self.call(each) for each in calls]

    async def announce(self, text: str) -> None:
        with suppress(Unavailable):
            self._until_done(lambda: self._publish(text))

    def _ping(self) -> None:
        self._client.ping(**_everywhere(self._address))
        self._client.execute_command("GET", ANYTHING)

    def _publish(self, text: str) -> None:
        self._client.execute_command("PUBLISH", channel_of(self._address), text, **_anywhere(self._address))

    def _run(self, call: Call) -> Any:
        script = call.script
        try:
            return self._client.execute_command("EVALSHA", script.digest, 1, call.name, *call.arguments)
        except NoScriptError:
            return self._client.execute_command("EVAL", script.text, 1, call.name, *call.arguments)

    def _until_done(self, work: Callable[[], Any], *, repeats: bool = True) -> Any:
        if not self._free.acquire(timeout=POOL_TIMEOUT.total_seconds()):
            raise RedisBusy(detail="all connections to Redis are in use")
        until = time.monotonic() + OPERATION_TIMEOUT.total_seconds()
        try:
            for attempt in count(1):
                client = _require_open(self._client)
                try:
                    return work()
                except Exception as error:
                    if isinstance(error, ReadOnlyError | ConnectionError) and not self._address.cluster:
                        client.connection_pool.disconnect(inuse_connections=False)
                    if (
                        attempt == ATTEMPTS
                        or time.monotonic() > until
                        or not is_worth_another_try(error, repeats=repeats)
                    ):
                        raise
                    time.sleep(PAUSE_SECONDS)
        except Exception as error:
            raised = translated(error, self._address)
            if raised is error:
                raise
            raise raised from error
        finally:
            self._free.release()


def _require_open(client: Any) -> Any:
    """The client, before each attempt: the store may have been closed since the one before."""
    if client is None:
        raise RedisUnavailable(detail="the store is not open")
    return client


def _everywhere(address: RedisAddress) -> dict[str, Any]:
    """Of a Cluster every primary is asked: without one of them a part of the sessions is not there."""
    return {"target_nodes": "primaries"} if address.cluster else {}


def _anywhere(address: RedisAddress) -> dict[str, Any]:
    """Of a Cluster any node will do."""
    return {"target_nodes": "random"} if address.cluster else {}
