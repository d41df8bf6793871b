"""Doorward's address of one of Django's databases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from doorward.errors import ConfigurationError, Problem

_OF_DJANGO = frozenset(
    {
        "client_encoding",
        "connection_factory",
        "cursor_factory",
        "isolation_level",
        "pool",
        "prepare_threshold",
        "row_factory",
        "server_side_binding",
    }
)
"""Options that say how Django uses its own connections.  They concern nobody else."""

_ELSEWHERE = "sqlite:////var/lib/app/doorward.db or postgresql://..."


def address_of(django: Mapping[str, Any], *, setting: str) -> str:
    """The address of one of Django's databases.

    Args:
        django: its entry in ``DATABASES``.
        setting: where another address can be given, for messages.

    Raises:
        ConfigurationError: Doorward keeps nothing in such a database, or cannot reach it the way that Django does.
    """
    engine, name = str(django.get("ENGINE", "")), str(django.get("NAME") or "")
    if engine.endswith((".sqlite3", ".spatialite")):
        # Django's own tests keep everything in memory.
        in_memory = ":memory:" in name or "mode=memory" in name
        if name.startswith("file:") and not in_memory:
            raise _refused("A file's URI in DATABASES cannot be translated.", setting)
        return "memory:" if in_memory else f"sqlite:///{name}"
    if engine.endswith((".postgresql", ".postgis")):
        return _postgres(django, name, setting)
    raise _refused(f"Doorward keeps nothing in a database of {engine}.", setting)


def _refused(message: str, setting: str) -> ConfigurationError:
    remedy = f"Give an address in {setting}, such as {_ELSEWHERE}"
    return ConfigurationError([Problem(id="DW103", message=message, remedy=remedy)])


def _postgres(django: Mapping[str, Any], name: str, setting: str) -> str:
    user, password = (quote(str(django.get(part) or ""), safe="") for part in ("USER", "PASSWORD"))
    host, port = str(django.get("HOST") or ""), str(django.get("PORT") or "")
    options = _options(django.get("OPTIONS") or {}, setting)
    if host.startswith("/"):
        host, options = "", {"host": host, **options}  # the folder of a socket
    elif "," in host:
        host, options = "", {"host": host, **options}
        if port:
            port, options = "", {"port": port, **options}
    elif ":" in host:
        host = f"[{host.strip('[]')}]"
    if port and not host:
        # Without a host a port says which socket.
        port, options = "", {"port": port, **options}
    who = f"{user}:{password}@" if password else f"{user}@" if user else ""
    query = f"?{urlencode(options)}" if options else ""
    return f"postgresql://{who}{host}{f':{port}' if port else ''}/{quote(name, safe='')}{query}"


def _options(given: Mapping[str, Any], setting: str) -> dict[str, str]:
    """What has to be the same for Doorward's connections, by libpq's names; the address is judged as any."""
    for name, because in (
        ("service", "is read from a file by libpq alone"),
        ("assume_role", "is set by Django on its own connections"),
    ):
        if given.get(name):
            raise _refused(f"OPTIONS[{name!r}] in DATABASES cannot be translated: it {because}.", setting)
    return {name: str(value) for name, value in given.items() if name not in _OF_DJANGO and value is not None}
