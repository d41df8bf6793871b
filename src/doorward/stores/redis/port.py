"""The few things that are asked of Redis, and what its errors mean.

Written once against this port, operations run over a client for event loops and over one for the calling thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from redis import exceptions as said

from doorward.errors import DatabaseUnusable
from doorward.stores.lost_connections import is_closed_transport
from doorward.stores.redis.address import RedisAddress
from doorward.stores.redis.scripts import Script
from doorward.stores.redis.unavailable import RedisBusy, RedisUnavailable

CONNECT_TIMEOUT = timedelta(seconds=1)
ANSWER_TIMEOUT = timedelta(seconds=2)
"""How long an answer is waited for; commands of ours take microseconds."""

POOL_TIMEOUT = timedelta(seconds=2)
"""How long a call waits for one of the connections."""

OPERATION_TIMEOUT = timedelta(seconds=5)
"""How long one call may take in all, being repeated included."""

ATTEMPTS = 3


def channel_of(address: RedisAddress) -> str:
    """Where servers tell each other what they have revoked; databases of one Redis share their channels."""
    return f"doorward:revoked:{address.database}"


Argument = str | int | bytes


@dataclass(frozen=True, slots=True)
class Call:
    """A script for one key."""

    script: Script
    name: str
    arguments: tuple[Argument, ...] = ()


class Redis(Protocol):
    """One Redis or Valkey, whatever it is made of.

    Each may raise ``StoreUnavailable``, or ``Busy`` where all connections are in use.
    """

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def ping(self) -> None: ...

    async def look(self, name: str) -> tuple[bytes | None, int]:
        """The value of a key and the server's time, in microseconds."""
        ...

    async def look_each(self, names: Sequence[str]) -> Sequence[bytes | None]:
        """The values of several keys, wherever they lie."""
        ...

    async def call(self, call: Call) -> Any: ...

    async def call_each(self, calls: Sequence[Call]) -> Sequence[Any]:
        """Several, in any order, at once where that can be."""
        ...

    async def announce(self, text: str) -> None:
        """Tell whoever listens; a hint: it may be lost, and nothing fails by it."""
        ...


# Errors

_NOT_RUN = (
    said.ReadOnlyError,
    said.BusyLoadingError,
    said.ClusterDownError,
    said.TryAgainError,
    said.AskError,
    said.SlotNotCoveredError,
)
"""What the server says instead of running a script."""

_NOT_NOW = ("OOM", "NOREPLICAS", "MISCONF", "CLUSTERDOWN", "TRYAGAIN", "LOADING", "MASTERDOWN", "READONLY", "BUSY")
_OF_ANOTHER_FORMAT = "DOORWARD"
"""What a script begins its own error with (``scripts.py``)."""
_NOT_LET_IN = ("NOAUTH", "WRONGPASS", "NOPERM", "invalid username-password", "invalid password")


def is_worth_another_try(error: BaseException, *, repeats: bool) -> bool:
    """Whether the same is asked again: it was certainly not done, or may be done twice."""
    if isinstance(error, _NOT_RUN) or is_closed_transport(error):
        return True
    is_lost = isinstance(error, said.ConnectionError | said.TimeoutError | OSError | TimeoutError)
    return is_lost and not _is_refused(error) and repeats


def translated(error: Exception, address: RedisAddress) -> Exception:
    """An error of the client as one that a caller can act on; a mistake of ours stays what it is."""
    if isinstance(error, said.MaxConnectionsError):
        return RedisBusy(detail=f"{address}: all connections are in use")
    # The client takes the first word off what it knows a class for, so that some are known by their class alone.
    is_not_now = isinstance(error, (*_NOT_RUN, said.OutOfMemoryError)) or _says(error, _NOT_NOW)
    if isinstance(error, said.ResponseError) and not is_not_now:
        is_expected = _is_refused(error) or _says(error, (_OF_ANOTHER_FORMAT,))
        return RedisUnavailable(detail=f"{address}: {error}") if is_expected else error
    if is_closed_transport(error):
        return RedisUnavailable(detail=f"{address}: the connection was reset")
    if isinstance(error, said.RedisError | said.RedisClusterException | OSError | TimeoutError):
        return RedisUnavailable(detail=f"{address}: {str(error) or type(error).__name__}")
    return error


def unusable(error: Exception, address: RedisAddress) -> Exception:
    """As ``translated``, where the store is opened: what somebody has to mend is told."""
    if _is_refused(error):
        return DatabaseUnusable(
            f"{address} does not let Doorward in, or not do what it has to. Look at the user, his password and his"
            " rights in DOORWARD_REDIS_URL: docs/guides/redis.md says what he needs."
        )
    if isinstance(error, said.ResponseError) and _says(error, ("DB index", "SELECT", "cluster support disabled")):
        return DatabaseUnusable(f"{address}: {error}. Look at DOORWARD_REDIS_URL.")
    return translated(error, address)


def _is_refused(error: BaseException) -> bool:
    refused = isinstance(error, said.AuthenticationError | said.NoPermissionError | said.AuthorizationError)
    return refused or (isinstance(error, said.RedisError) and _says(error, _NOT_LET_IN))


def _says(error: BaseException, beginnings: tuple[str, ...]) -> bool:
    return any(beginning in str(error) for beginning in beginnings)
