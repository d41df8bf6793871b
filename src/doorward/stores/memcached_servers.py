"""Memcached servers, spoken to in such a way that none of them is ever a reason to wait, to fail or to be wrong.

Each has one connection.  Where it is lost, another is made by the side after a pause, and is not used before the server
has answered on it.  Meanwhile everything that is asked is answered with None at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from hashlib import blake2b
from typing import TypeVar
from urllib.parse import urlsplit

from doorward.errors import ConfigurationError, Problem
from doorward.stores.memcached_connection import Connection, Place, Reader, read_place, read_stored, read_version

CONNECT_TIMEOUT = timedelta(milliseconds=250)
PAUSE = timedelta(seconds=1)
"""How long a server that failed is left alone."""

MOST_SERVERS = 100
DEFAULT_PORT = 11_211

_log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where one server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def parse_memcached(url: str) -> tuple[Address, ...]:
    """The servers that an address names: ``memcached://host:port,host:port``; the port may be left out.

    Raises:
        ConfigurationError: it names none, or says something that cannot be heeded.
    """
    scheme, _, rest = url.partition("://")
    try:
        addresses = tuple(_address(each) for each in rest.removesuffix("/").split(","))
    except ValueError:
        addresses = ()
    if scheme != "memcached" or not addresses or len({*addresses}) != len(addresses) or len(addresses) > MOST_SERVERS:
        # Not repeated: whatever was meant may hold a password.
        remedy = "Use memcached://cache.example.com:11211, or several hosts with commas between them."
        message = "The address names no Memcached server, or more than where one listens."
        raise ConfigurationError([Problem(id="DW057", message=message, remedy=remedy)])
    return addresses


def _address(text: str) -> Address:
    parts = urlsplit(f"//{text}")
    # Memcached knows neither paths nor, in the protocol that is spoken here, users.
    if parts.netloc != text or "@" in text or not parts.hostname or any(char.isspace() for char in text):
        raise ValueError
    if parts.port == 0:
        raise ValueError
    return Address(host=parts.hostname, port=parts.port or DEFAULT_PORT)


# Servers


class Server:
    """One server, with the connection to it while there is one."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._left_alone_until = 0.0
        self._is_down = False
        self._is_open = False

    async def open(self) -> None:
        """Connect, or begin to try again and again as questions come."""
        self._is_open = True
        self._left_alone_until = 0.0
        self._connect_by_the_side(asyncio.get_running_loop())
        if self._connecting is not None:
            await self._connecting

    async def close(self) -> None:
        self._is_open = False
        connecting, self._connecting = self._connecting, None
        if connecting is not None:
            connecting.cancel()
            with suppress(asyncio.CancelledError):
                await connecting
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.give_up("closed")

    async def ask(self, command: bytes, read: Reader[T]) -> T | None:
        """What the server says, or None at once where it is not connected."""
        answer = self.send(command, read)
        return None if answer is None else await answer

    def send(self, command: bytes, read: Reader[T]) -> asyncio.Future[T | None] | None:
        """Ask without waiting."""
        if self._connection is None:
            self._connect_by_the_side(asyncio.get_running_loop())
            return None
        return self._connection.ask(command, read)

    def _connect_by_the_side(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._is_open and self._connecting is None and loop.time() >= self._left_alone_until:
            self._connecting = loop.create_task(self._connect(loop), name="doorward: connect to Memcached")

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> None:
        connection = Connection(loop, self._on_lost)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT.total_seconds()):
                await loop.create_connection(lambda: connection, self.address.host, self.address.port)
                # The system takes connections for a server that is stopped: only an answer tells that it is there.
                if await connection.ask(b"version\r\n", read_version) is not None:
                    self._connection = connection
                    self._note_up()
        except (OSError, TimeoutError) as error:
            connection.give_up(str(error) or "it does not take the connection")
        except BaseException:
            connection.give_up("closed")
            raise
        finally:
            self._connecting = None

    def _on_lost(self, connection: Connection, cause: str) -> None:
        if self._connection is connection:
            self._connection = None
        if not self._is_open:
            return
        self._left_alone_until = asyncio.get_running_loop().time() + PAUSE.total_seconds()
        if not self._is_down:
            _log.warning("Memcached at %s is left alone, sessions are read from the database: %s", self.address, cause)
        self._is_down = True

    def _note_up(self) -> None:
        if self._is_down:
            _log.warning("Memcached at %s is back", self.address)
        self._is_down = False


class Servers:
    """Several servers, each with its share of the names."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._servers = tuple(Server(address) for address in addresses)

    async def open(self) -> None:
        await asyncio.gather(*(server.open() for server in self._servers))

    async def close(self) -> None:
        await asyncio.gather(*(server.close() for server in self._servers))

    async def look(self, name: bytes) -> Place | None:
        """What stands under a name, or None where the server does not say."""
        return await self._server_of(name).ask(b"gets %b\r\n" % name, partial(read_place, name=name))

    def fill(self, name: bytes, value: bytes, *, seen: Place, keep_for: timedelta) -> None:
        """Put a value where everything is still as it was seen, and do not wait for it."""
        seconds = int(keep_for.total_seconds())
        if seen.value is None:
            command = b"add %b 0 %d %d\r\n%b\r\n" % (name, seconds, len(value), value)
        else:
            command = b"cas %b 0 %d %d %b\r\n%b\r\n" % (name, seconds, len(value), seen.unique, value)
        self._server_of(name).send(command, read_stored)

    async def put(self, names: Sequence[bytes], value: bytes, *, keep_for: timedelta) -> None:
        """Put a value in place of whatever stands there, as far as the servers take it."""
        seconds = int(keep_for.total_seconds())
        sent = [
            self._server_of(name).send(b"set %b 0 %d %d\r\n%b\r\n" % (name, seconds, len(value), value), read_stored)
            for name in names
        ]
        await asyncio.gather(*(answer for answer in sent if answer is not None))

    def _server_of(self, name: bytes) -> Server:
        """Rendezvous hashing: a server that is added or taken away moves its own share and no other."""
        if len(self._servers) == 1:
            return self._servers[0]
        return max(self._servers, key=lambda server: _weight(server, name))


def _weight(server: Server, name: bytes) -> bytes:
    return blake2b(f"{server.address} ".encode() + name, digest_size=8).digest()
