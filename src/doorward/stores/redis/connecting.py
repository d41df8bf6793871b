"""The clients of redis-py, asynchronous and blocking, for an address.

They are slow to import, so this module is imported where a store is opened.
"""

from __future__ import annotations

from typing import Any

from redis import ConnectionPool, Redis, RedisCluster, Sentinel
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio import RedisCluster as AsyncRedisCluster
from redis.asyncio import Sentinel as AsyncSentinel
from redis.asyncio.cluster import ClusterNode as AsyncClusterNode
from redis.asyncio.connection import Connection as AsyncConnection
from redis.asyncio.connection import ConnectionPool as AsyncConnectionPool
from redis.asyncio.connection import SSLConnection as AsyncSSLConnection
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import SentinelManagedConnection as AsyncSentinelConnection
from redis.asyncio.sentinel import SentinelManagedSSLConnection as AsyncSentinelSSLConnection
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.connection import SSLConnection
from redis.retry import Retry

from doorward.stores.redis.address import RedisAddress
from doorward.stores.redis.port import ANSWER_TIMEOUT, CONNECT_TIMEOUT


class _LossNoticed:
    """Connects anew before a command is written to a connection that the peer has closed or reset.

    redis-py notices the loss when it writes: whether the command has arrived is not known then, and a rotation is not
    repeated.
    """

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 -- as redis-py's
        connection: Any = self
        if connection.is_connected and connection._writer.transport.is_closing():  # noqa: SLF001 -- there is no other way to ask
            await connection.disconnect(nowait=True)
        await super().send_packed_command(command, check_health)  # type: ignore[misc]  # it is mixed in


class _Connection(_LossNoticed, AsyncConnection):
    pass


class _SSLConnection(_LossNoticed, AsyncSSLConnection):
    pass


class _SentinelConnection(_LossNoticed, AsyncSentinelConnection):
    pass


class _SentinelSSLConnection(_LossNoticed, AsyncSentinelSSLConnection):
    pass


def async_client(address: RedisAddress) -> Any:
    """A client for the running event loop; not connected yet."""
    options = _options(address) | {"retry": AsyncRetry(NoBackoff(), 0)}
    if address.cluster:
        nodes = [AsyncClusterNode(node.host, node.port) for node in address.nodes]
        return AsyncRedisCluster(startup_nodes=nodes, max_connections=address.pool_size, **options, **_tls(address))
    if address.service is not None:
        sentinels = AsyncSentinel(_places(address), sentinel_kwargs=_sentinel_options(address))
        options |= {"connection_class": _SentinelSSLConnection if address.tls else _SentinelConnection}
        return sentinels.master_for(address.service, max_connections=address.pool_size, **options, **_files_if(address))
    kind: dict[str, Any] = {"connection_class": _SSLConnection if address.tls else _Connection, **_files_if(address)}
    (node,) = address.nodes
    pool = AsyncConnectionPool(
        host=node.host, port=node.port, db=address.database, max_connections=address.pool_size, **options, **kind
    )
    return AsyncRedis.from_pool(pool)


def blocking_client(address: RedisAddress) -> Any:
    """A client for threads; not connected yet, but for a Cluster, which is asked for its nodes."""
    options = _options(address) | {"retry": Retry(NoBackoff(), 0)}
    if address.cluster:
        nodes = [ClusterNode(node.host, node.port) for node in address.nodes]
        return RedisCluster(startup_nodes=nodes, max_connections=address.pool_size, **options, **_tls(address))
    if address.service is not None:
        sentinels = Sentinel(_places(address), sentinel_kwargs=_sentinel_options(address))
        return sentinels.master_for(address.service, max_connections=address.pool_size, **options, **_tls(address))
    kind: dict[str, Any] = {"connection_class": SSLConnection, **_files(address)} if address.tls else {}
    (node,) = address.nodes
    pool = ConnectionPool(
        host=node.host, port=node.port, db=address.database, max_connections=address.pool_size, **options, **kind
    )
    return Redis.from_pool(pool)


async def close_async(client: Any) -> None:
    """Close a client for an event loop, and its connections to Sentinels, which it leaves open."""
    await client.aclose()
    for sentinel in _sentinels_of(client):
        await sentinel.aclose()


def close_blocking(client: Any) -> None:
    """The same for a client for threads."""
    client.close()
    for sentinel in _sentinels_of(client):
        sentinel.close()


def _sentinels_of(client: Any) -> list[Any]:
    manager = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
    return [] if manager is None else [*manager.sentinels]


def _options(address: RedisAddress) -> dict[str, Any]:
    return {
        "username": address.user,
        "password": address.password.reveal() if address.password else None,
        "socket_timeout": ANSWER_TIMEOUT.total_seconds(),
        "socket_connect_timeout": CONNECT_TIMEOUT.total_seconds(),
        "socket_keepalive": True,
        # What RESP3 adds is not used, and Valkey does not know all that the client would ask for by it.
        "protocol": 2,
    }


def _tls(address: RedisAddress) -> dict[str, Any]:
    return {"ssl": True, **_files(address)} if address.tls else {}


def _files_if(address: RedisAddress) -> dict[str, Any]:
    return _files(address) if address.tls else {}


def _files(address: RedisAddress) -> dict[str, Any]:
    """Of TLS.  The certificate and the name in it are checked, whatever the client's default is."""
    names = {"ca_file": "ssl_ca_certs", "cert_file": "ssl_certfile", "key_file": "ssl_keyfile"}
    return {
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": True,
        **{names[name]: path for name, path in address.files.items()},
    }


def _places(address: RedisAddress) -> list[tuple[str, int]]:
    return [(node.host, node.port) for node in address.nodes]


def _sentinel_options(address: RedisAddress) -> dict[str, Any]:
    return {
        "password": address.sentinel_password.reveal() if address.sentinel_password else None,
        "socket_timeout": ANSWER_TIMEOUT.total_seconds(),
        "socket_connect_timeout": CONNECT_TIMEOUT.total_seconds(),
        **_tls(address),
    }
