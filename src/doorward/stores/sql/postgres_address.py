"""The address of a PostgreSQL database, taken apart here so that no driver repeats a part of it in an error."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import unquote, unquote_plus, urlencode

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
_TAKEN = frozenset({"pool_size", "channel_binding", "connect_timeout", "gssencmode", "options", "pool_timeout"})


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
        pool_timeout: how long one of them is waited for; None: as ever.
        connect_timeout: how long connecting may take; None: as ever.
        channel_binding: as in libpq, or None.
        settings: of the engine, which ``options`` names; each connection sets them.
        route: what else ``options`` says: for the proxy of a provider.
    """

    hosts: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    user: str | None = None
    password: Secret | None = None
    database: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    pool_size: int = POOL_SIZE
    pool_timeout: timedelta | None = None
    connect_timeout: timedelta | None = None
    channel_binding: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    route: str | None = None

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
    def needs_verified_tls(self) -> bool:
        """Whether a driver without channel binding, and without the system's certificates, has to be helped."""
        return self.channel_binding == "require" or self.options.get("sslrootcert") == "system"

    @property
    def tls(self) -> str:
        """The options as an address without places: what asyncpg takes some of them by."""
        mine = {"application_name", *(("sslrootcert",) if self.needs_verified_tls else ())}
        passed = {name: value for name, value in self.options.items() if name not in mine}
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
    _refuse_weaker(options, hosts)
    settings, route = parse_options(options.get("options", ""))
    return PostgresAddress(
        hosts=hosts,
        ports=ports,
        user=options.get("user", unquote(user)) or None,
        password=Secret(password) if password else None,
        database=options.get("dbname", unquote(database)) or None,
        options={name: value for name, value in options.items() if name in _PASSED_ON},
        pool_size=_number(options.get("pool_size", str(POOL_SIZE)), most=MOST_POOL_SIZE, name="pool_size"),
        pool_timeout=_seconds(options, "pool_timeout"),
        connect_timeout=_seconds(options, "connect_timeout"),
        channel_binding=options.get("channel_binding"),
        settings=settings,
        route=route,
    )


def _options(query: str) -> dict[str, str]:
    pairs = [each.partition("=") for each in query.split("&")] if query else []
    if any(not separator or not name for name, separator, _ in pairs):
        raise _refused("The options of the database's address cannot be read.", "Use ?name=value&name=value.")
    # As in libpq a plus is a plus; between options it is what tools write for a space.
    options = {unquote(name): unquote_plus(value) if name == "options" else unquote(value) for name, _, value in pairs}
    for name in options:
        if name in _INSTEAD:
            raise _refused(f"{name!r} in the database's address cannot be heeded.", _INSTEAD[name])
        if name not in _PASSED_ON | _PLACES | _TAKEN:
            known = ", ".join(sorted(_PASSED_ON | _PLACES | _TAKEN))
            raise _refused(f"{name[:32]!r} is no option of the database's address.", f"There are {known}.")
    return options


_INSTEAD = {
    "pgbouncer": "It marks a pooler that lends connections by the transaction, on which neither LISTEN nor the bounds"
    " of a connection work. Name the database itself, or a pooler in session mode (Supabase: port 5432 instead of 6543;"
    " Neon: the host without -pooler).",
    "connection_limit": "Write pool_size=N for how many connections a process may make.",
    "schema": "Write options=-c%20search_path%3DNAME for the schema that the tables are in.",
    "currentSchema": "Write options=-c%20search_path%3DNAME for the schema that the tables are in.",
    "service": "Write into the address what the service file says of it.",
    "ssl": "Write sslmode=verify-full, or sslmode=require.",
}

_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_CHOICES = {
    "sslmode": _SSL_MODES,
    "channel_binding": ("disable", "prefer", "require"),
    # Neither driver is built with it: what asks for no more than that has what it asks for.
    "gssencmode": ("disable", "prefer"),
}


def _refuse_weaker(options: Mapping[str, str], hosts: tuple[str, ...]) -> None:
    """Refuse what would be less than was asked for."""
    for name, choices in _CHOICES.items():
        if options.get(name, choices[0]) not in choices:
            raise _refused(f"{name} in the database's address cannot be that.", f"Use {', '.join(choices)}.")
    if options.get("sslrootcert") == "system" and options.get("sslmode", "verify-full") != "verify-full":
        raise _refused("sslrootcert=system checks whole certificates.", "Write sslmode=verify-full with it.")
    is_local = not hosts or any(host.startswith(("/", "@")) for host in hosts)
    is_plain = options.get("sslmode", "require") in {"disable", "allow", "prefer"}
    if options.get("channel_binding") == "require" and (is_plain or is_local):
        message = "channel_binding=require needs TLS, which the database's address does without."
        raise _refused(message, "Write sslmode=require or sslmode=verify-full, and no socket.")


def parse_options(text: str) -> tuple[dict[str, str], str | None]:
    """The settings that libpq's ``options`` names, and what it says to the proxy of a provider.

    Raises:
        ConfigurationError: it says something else, or sets what Doorward has to set.
    """
    words = _OPTION_SPACE.split(text.strip()) if text.strip() else []
    settings: dict[str, str] = {}
    route: list[str] = []
    while words:
        word = words.pop(0)
        given = words.pop(0) if word == "-c" and words else word.removeprefix("-c").removeprefix("--")
        name, separator, value = given.replace("\\ ", " ").partition("=")
        if word == given and separator and name in _ROUTES:
            route.append(word)
        elif word == given or not separator or not _SETTING.fullmatch(name) or not _VALUE.fullmatch(value):
            raise _refused("options in the database's address cannot be read.", "Use options=-c name=value, escaped.")
        elif name.lower() in _OURS:
            raise _refused(
                f"{name} is not to be set in the database's address.", "Doorward sets it itself; leave it out."
            )
        else:
            # A dash is as good as an underscore, as in the engine's own options.
            settings[name.lower().replace("-", "_")] = value
    return settings, " ".join(route) or None


_OPTION_SPACE = re.compile(r"(?<!\\)\s+")
_SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,62}")
_VALUE = re.compile(r"[^'\\\x00-\x1f]{0,200}")
_ROUTES = frozenset({"endpoint", "project", "reference"})
"""Neon's ``endpoint`` (``project`` before), Supabase's ``reference``."""

_OURS = frozenset(
    {
        "default_transaction_isolation",
        "default_transaction_read_only",
        "idle_in_transaction_session_timeout",
        "lock_timeout",
        "role",
        "session_authorization",
        "standard_conforming_strings",
        "statement_timeout",
        "synchronous_commit",
        "timezone",
    }
)
"""Settings that what is stored, or how long a request waits, depends on."""


def _seconds(options: Mapping[str, str], name: str) -> timedelta | None:
    """A time-out in whole seconds.  Zero is none at all in libpq, and here as long as it may be."""
    text = options.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 7):
        raise _refused(f"The {name} in the database's address is no number of seconds.", "Write a whole number.")
    return timedelta(seconds=min(int(text) or _LONGEST_SECONDS, _LONGEST_SECONDS))


_LONGEST_SECONDS = 7
"""An operation takes 8 s at most, whatever an address says."""


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
