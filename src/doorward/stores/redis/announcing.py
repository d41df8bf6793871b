"""Announcements by Redis' PUBLISH and SUBSCRIBE, where the database has no way of its own to tell.

Told once the transaction that revokes has committed: whoever dies in between has told nothing, and the next read of
the others finds it.  On a Cluster every node forwards what is published on it to those that it has a link to, so that
any of them will do to listen to.  A message may get lost; the next read makes up for it (decision 12).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any, TypeVar

from redis.exceptions import RedisError

from doorward.clocks import system_clock
from doorward.ports import Clock
from doorward.revocation.model import Revocation
from doorward.stores.listening import listen_on
from doorward.stores.redis.address import RedisAddress
from doorward.stores.redis.connecting import async_client, close_async
from doorward.stores.redis.port import Redis, channel_of
from doorward.stores.sql.runners import Runner, Statement
from doorward.stores.sql.transaction import Transaction
from doorward.wire.announcement import parse_announcement, write_announcement

T = TypeVar("T")

Heard = Callable[[Sequence[Revocation] | None], None]

ALIVE_EVERY = timedelta(seconds=15)
"""How often a connection on which nothing arrives is asked whether it is still there."""


class Telling:
    """A runner that tells, by Redis, what has been revoked by what it committed.

    Args:
        runner: of the database.
        redis: by which it is told.
    """

    def __init__(self, runner: Runner, redis: Redis) -> None:
        self._redis = redis
        self.open, self.close = runner.open, runner.close
        self.look_up, self.read, self.ping, self._write = runner.look_up, runner.read, runner.ping, runner.write

    async def write(self, statement: Statement[T]) -> T:
        revoked: list[Revocation] = []

        def noting(tx: Transaction) -> T:
            done = statement(tx)
            # In the place of what an attempt that was rolled back had to say.
            revoked[:] = tx.revoked
            return done

        done = await self._write(noting)
        if revoked:
            await self._redis.announce(write_announcement(revoked))
        return done


class RedisAnnouncements:
    """Listens to what servers that share a Redis announce.

    Args:
        address: of Redis.
        clock: this machine's.
    """

    def __init__(self, address: RedisAddress, *, clock: Clock = system_clock) -> None:
        self._address = address
        self._clock = clock
        self._turn = count()

    async def listen(self, heard: Heard) -> None:
        """See ``ports.Announcements``."""
        await listen_on(lambda: self._listen_once(heard), place=str(self._address), told=str)

    async def _listen_once(self, heard: Heard) -> None:
        """Listen until the connection is gone."""
        client = async_client(self._one_node())
        try:
            listening = client.pubsub()
            await listening.subscribe(channel_of(self._address))
            await listening.get_message(timeout=None)
            heard(None)  # what was announced while nobody listened
            try:
                await self._hear(listening, heard)
            except (RedisError, OSError, TimeoutError):
                return
        finally:
            await close_async(client)

    async def _hear(self, listening: Any, heard: Heard) -> None:
        asked = False
        while True:
            message = await listening.get_message(timeout=ALIVE_EVERY.total_seconds())
            if message is None and asked:
                # A machine that vanished says nothing, and would be listened to for ever.
                raise TimeoutError
            asked = message is None
            if message is None:
                await listening.ping()
            elif message["type"] == "message":
                heard(parse_announcement(message["data"].decode(errors="replace"), now=self._clock()))

    def _one_node(self) -> RedisAddress:
        """Of a Cluster another one each time: one that is lost must not be the only one that is asked."""
        if not self._address.cluster:
            return replace(self._address, pool_size=1)
        node = self._address.nodes[next(self._turn) % len(self._address.nodes)]
        return replace(self._address, nodes=(node,), cluster=False, pool_size=1)
