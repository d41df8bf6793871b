"""The address of a PostgreSQL database, taken apart here so that no driver repeats a part of it in an error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlencode

from doorward.errors import ConfigurationError, Problem
from doorward.secret import Secret

SCHEMES = ("postgresql", "postgres")
POOL_SIZE = 10
MOST_POOL_SIZE = 200
_PORT = 5432

# What both drivers understand alike; libpq's names.
_PASSED_ON = frozenset(
    {
        "application_name",
        "passfile",
        "sslcert",
        "sslcrl",
        "sslkey",
        "sslmode",
        "sslpassword",
        "sslrootcert",
        "target_session_attrs",
    }
)
_PLACES = frozenset({"host", "port", "user", "password", "dbname"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresAddress:
    """Where a database is, and who asks.

    Args:
        hosts: names, addresses or folders of a socket, tried in turn; none: the driver's own idea.
        ports: as many as hosts.
        user: None: the driver's own idea, as for the two that follow.
        password: told to nobody but the driver.
        database: its name.
        options: passed on to the driver.
        pool_size: connections of one process, at most.
    """

    hosts: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    user: str | None = None
    password: Secret | None = None
    database: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    pool_size: int = POOL_SIZE

    def __str__(self) -> str:
        """Where it is, for messages."""
        places = [f"{host}:{port}" for host, port in zip(self.hosts, self.ports, strict=True)]
        return f"PostgreSQL at {','.join(places) or 'this machine'}"

    def hide(self, text: str) -> str:
        """A message of a driver, without what must not be told."""
        known = [self.password.reveal()] if self.password else []
        known += [self.options["sslpassword"]] if "sslpassword" in self.options else []
        for secret in filter(None, known):
            text = text.replace(secret, "***")
        return text

    @property
    def tls(self) -> str:
        """The options as an address without places: what asyncpg takes some of them by."""
        passed = {name: value for name, value in self.options.items() if name != "application_name"}
        return f"postgresql:///?{urlencode(passed)}"


def parse_postgres(text: str) -> PostgresAddress:
    """The address in ``postgresql://user:password@host:port/database?option=value``.

    Raises:
        ConfigurationError: it cannot be used.  Nothing of it is repeated but the name of an option.
    """
    rest, _, query = text.partition("://")[2].partition("?")
    authority, _, database = rest.partition("/")
    who, _, where = authority.rpartition("@")
    user, _, password = who.partition(":")
    options = _options(query)
    hosts, ports = _places(options.get("host", ""), options.get("port", ""), where)
    password = options.get("password", unquote(password))
    return PostgresAddress(
        hosts=hosts,
        ports=ports,
        user=options.get("user", unquote(user)) or None,
        password=Secret(password) if password else None,
        database=options.get("dbname", unquote(database)) or None,
        options={name: value for name, value in options.items() if name in _PASSED_ON},
        pool_size=_number(options.get("pool_size", str(POOL_SIZE)), most=MOST_POOL_SIZE, name="pool_size"),
    )


def _options(query: str) -> dict[str, str]:
    try:
        options = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    except ValueError:
        raise _refused("The options of the database's address cannot be read.", "Use ?name=value&name=value.") from None
    for name in options:
        if name not in _PASSED_ON | _PLACES | {"pool_size"}:
            known = ", ".join(sorted(_PASSED_ON | _PLACES | {"pool_size"}))
            raise _refused(f"{name[:32]!r} is no option of the database's address.", f"There are {known}.")
    return options


def _places(host: str, port: str, where: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Hosts and their ports; options beat what stands before the path, as in libpq."""
    split = [_split_port(each) for each in where.split(",")] if where else []
    hosts = [each for each in host.split(",") if each] or [unquote(name) for name, _ in split if name]
    given = port.split(",") if port else [number for _, number in split]
    ports = [_number(number, most=65_535, name="port") if number else _PORT for number in given] or [_PORT]
    if len(ports) == 1:
        ports *= max(len(hosts), 1)
    if hosts and len(hosts) != len(ports):
        raise _refused("The database's address has more ports than hosts, or fewer.", "Give one port, or one for each.")
    if not hosts:
        hosts = ["localhost"] if port or where else []
    return tuple(hosts), tuple(ports[: len(hosts)])


def _split_port(place: str) -> tuple[str, str]:
    if place.startswith("["):
        name, _, port = place[1:].partition("]")
        return name, port.removeprefix(":")
    name, _, port = place.partition(":")
    return name, port


def _number(text: str, *, most: int, name: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:9]) <= most):
        raise _refused(f"The {name} in the database's address is no number from 1 to {most}.", _FORM)
    return int(text)


_FORM = "Use postgresql://user:password@host:5432/database; special characters in the password are written as %40."


def _refused(message: str, remedy: str) -> ConfigurationError:
    return ConfigurationError([Problem(id="DW051", message=message, remedy=remedy)])
