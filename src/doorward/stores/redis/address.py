"""The address of Redis or Valkey: one node, a Cluster, or what Sentinel says is the primary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from doorward.errors import ConfigurationError, Problem
from doorward.secret import Secret

DEFAULT_PORT = 6379
DEFAULT_SENTINEL_PORT = 26_379
DEFAULT_POOL_SIZE = 10
MOST_CONNECTIONS = 1_000
MOST_NODES = 100

_SCHEMES = ("redis", "rediss", "redis+sentinel", "rediss+sentinel")
_FILES = ("ca_file", "cert_file", "key_file")
_OPTIONS = {"cluster", "pool_size", "sentinel_password", *_FILES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Where one server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisAddress:
    """Where sessions live.

    Args:
        nodes: the server; some of a Cluster's, which name the others; or the Sentinels.
        user: of the access control list, or None for the default one.
        password: or None.
        database: its number; 0 on a Cluster, which has no other.
        tls: whether the connection is encrypted and the server's certificate checked.
        cluster: whether the nodes are of a Cluster.
        service: what Sentinel calls the primary, or None where there is no Sentinel.
        sentinel_password: of the Sentinels, or None.
        pool_size: how many connections a process makes at most; on a Cluster, to each node.
        files: ``ca_file``, ``cert_file`` and ``key_file`` of TLS, where they are given.
    """

    nodes: tuple[Node, ...]
    user: str | None = None
    password: Secret | None = None
    database: int = 0
    tls: bool = False
    cluster: bool = False
    service: str | None = None
    sentinel_password: Secret | None = None
    pool_size: int = DEFAULT_POOL_SIZE
    files: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """For people: without user and password."""
        return f"Redis at {','.join(map(str, self.nodes))}"


def parse_redis(url: str) -> RedisAddress:
    """What an address names.

    ``redis://user:password@host:port/0``, ``rediss://`` for TLS; several hosts with commas between them, or
    ``?cluster=true``, for a Cluster; ``redis+sentinel://host:port,host:port/service``.

    Raises:
        ConfigurationError: it names none, or says something that cannot be heeded.  Nothing of it but its scheme and
            the names of its options is repeated: it may hold a password.
    """
    scheme, separator, rest = url.partition("://")
    if scheme not in _SCHEMES or not separator:
        raise _refusal("The address names no Redis or Valkey.")
    hosts, path, query = _parts(rest)
    credentials, _, named = hosts.rpartition("@")
    user, _, password = credentials.partition(":")
    options = _options(query)
    sentinel = scheme.endswith("+sentinel")
    nodes = _nodes(named, DEFAULT_SENTINEL_PORT if sentinel else DEFAULT_PORT)
    cluster = not sentinel and (len(nodes) > 1 or _truth(options.get("cluster", "false")))
    address = RedisAddress(
        nodes=nodes,
        user=unquote(user) or None,
        password=Secret(unquote(password)) if password else None,
        database=0 if sentinel else _number(path or "0", most=1_000_000, what="number of the database"),
        tls=scheme.startswith("rediss"),
        cluster=cluster,
        service=unquote(path) if sentinel else None,
        sentinel_password=Secret(text) if (text := options.get("sentinel_password")) else None,
        pool_size=_number(options.get("pool_size", str(DEFAULT_POOL_SIZE)), most=MOST_CONNECTIONS, what="pool_size"),
        files={name: options[name] for name in _FILES if name in options},
    )
    _refuse_contradictions(address, options)
    return address


def _parts(rest: str) -> tuple[str, str, str]:
    hosts, _, tail = rest.partition("/") if "/" in rest.partition("?")[0] else (rest.partition("?")[0], "", "")
    if tail:
        path, _, query = tail.partition("?")
        return hosts, path, query
    return hosts.rstrip("/"), "", rest.partition("?")[2]


def _nodes(text: str, port: int) -> tuple[Node, ...]:
    try:
        nodes = tuple(_node(each, port) for each in text.split(","))
    except ValueError:
        nodes = ()
    if not nodes or len({*nodes}) != len(nodes) or len(nodes) > MOST_NODES:
        raise _refusal("The address of Redis names no host, or one that cannot be.")
    return nodes


def _node(text: str, port: int) -> Node:
    parts = urlsplit(f"//{text}")
    if parts.netloc != text or not parts.hostname or any(char.isspace() for char in text) or parts.port == 0:
        raise ValueError
    return Node(host=parts.hostname, port=parts.port or port)


def _options(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), max_num_fields=len(_OPTIONS))
    except ValueError:
        raise _refusal("The options of the address of Redis cannot be read.") from None
    unknown = sorted({name for name, _ in pairs} - _OPTIONS)
    if unknown:
        raise _refusal(f"The address of Redis has an option that is not known: {unknown[0][:32]!r}.")
    return dict(pairs)


def _truth(text: str) -> bool:
    if text not in {"true", "false"}:
        raise _refusal("The option cluster of the address of Redis is true or false.")
    return text == "true"


def _number(text: str, *, most: int, what: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text[:12]) > most:
        raise _refusal(f"The {what} in the address of Redis is a whole number, at most {most}.")
    return int(text)


def _refuse_contradictions(address: RedisAddress, options: Mapping[str, str]) -> None:
    if address.cluster and address.database:
        raise _refusal("A Cluster has no database but 0.")
    if address.service == "":
        raise _refusal("The address of the Sentinels does not say what they call the service.")
    if address.service is None and "sentinel_password" in options:
        raise _refusal("The address of Redis names no Sentinel, but has a password for it.")
    if address.service is not None and "cluster" in options:
        raise _refusal("A Cluster needs no Sentinel.")
    if address.files and not address.tls:
        raise _refusal("The address of Redis names files of TLS, but says redis:// and not rediss://.")
    if address.pool_size == 0:
        raise _refusal("A pool without a connection reaches no Redis.")


def _refusal(message: str) -> ConfigurationError:
    remedy = (
        "Use redis://user:password@host:6379/0, rediss:// for TLS, several hosts with commas between them for a"
        " Cluster, or redis+sentinel://host:26379,host:26379/service."
    )
    return ConfigurationError([Problem(id="DW055", message=message, remedy=remedy)])
