"""Announcements by PostgreSQL's LISTEN and NOTIFY.

Told inside the transaction that revokes (``revocations.write``), delivered when it has committed.  Listening takes a
connection of its own, which passes no pooler that lends connections by the transaction.  Whatever is lost, the next
read finds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from doorward.clocks import system_clock
from doorward.ports import Clock
from doorward.revocation.model import Revocation
from doorward.stores.listening import listen_on
from doorward.stores.sql.postgres_address import PostgresAddress, parse_postgres
from doorward.wire.announcement import CHANNEL, parse_announcement

Heard = Callable[[Sequence[Revocation] | None], None]

ALIVE_EVERY = timedelta(seconds=15)
"""How often a connection on which nothing arrives is asked whether it is still there."""


class PostgresAnnouncements:
    """Listens to what servers on one database announce.

    Args:
        address: of the database.
        connect: makes a connection of asyncpg.
        clock: this machine's.
    """

    def __init__(
        self, address: PostgresAddress, connect: Callable[[PostgresAddress], Any], *, clock: Clock = system_clock
    ) -> None:
        self._address = address
        self._connect = connect
        self._clock = clock

    async def listen(self, heard: Heard) -> None:
        """See ``ports.Announcements``."""
        await listen_on(
            lambda: self._listen_once(heard),
            place=str(self._address),
            told=lambda error: self._address.hide(str(error)),
        )

    async def _listen_once(self, heard: Heard) -> None:
        """Listen until the connection is gone."""
        connection = await self._connect(self._address)
        try:
            gone = asyncio.Event()
            connection.add_termination_listener(lambda _: gone.set())

            def receive(_connection: object, _process: int, _channel: str, text: str) -> None:
                heard(parse_announcement(text, now=self._clock()))

            await connection.add_listener(CHANNEL, receive)
            heard(None)  # what was announced while nobody listened
            while not gone.is_set():
                try:
                    async with asyncio.timeout(ALIVE_EVERY.total_seconds()):
                        await gone.wait()
                except TimeoutError:
                    # A machine that vanished says nothing, and would be listened to for ever.
                    await connection.fetchval("SELECT 1", timeout=ALIVE_EVERY.total_seconds())
        finally:
            connection.terminate()


def postgres_announcements(database_url: str) -> PostgresAnnouncements:
    """Announcements on a PostgreSQL database.  Raises ConfigurationError where the address cannot be used."""
    from doorward.stores.sql.postgres_connecting import connect_asyncpg

    return PostgresAnnouncements(parse_postgres(database_url), connect_asyncpg)
