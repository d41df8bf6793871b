"""Where in the world an address is, by a database of the deployment's own in MaxMind's format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doorward.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    import maxminddb

_LONGEST_NAME = 100


class Places:
    """Names the place of an address, in memory.

    Args:
        database: a file such as GeoLite2-City.mmdb or DB-IP's; None where there is none, and then no place has a name.

    Raises:
        ConfigurationError: the file cannot be read, or ``maxminddb`` is not installed.
    """

    def __init__(self, database: Path | str | None = None) -> None:
        self._reader = _open(database) if database is not None else None

    def name_of(self, address: str | None, *, language: str = "en") -> str | None:
        """City and country, or what of them is known; None where nothing is.

        Args:
            address: an IP address.
            language: which names are wanted; English ones stand in.
        """
        if self._reader is None or address is None:
            return None
        try:
            found = self._reader.get(address)
        except ValueError:
            return None  # no IP address, such as a test client's
        parts = (_name(found, part, language) for part in ("city", "country"))
        return ", ".join(dict.fromkeys(part for part in parts if part)) or None


def _name(found: Any, part: str, language: str) -> str | None:
    """A name as the City and Country databases keep it, or None: a database may hold anything."""
    entry = found.get(part) if isinstance(found, Mapping) else None
    names = entry.get("names") if isinstance(entry, Mapping) else None
    name = (names.get(language) or names.get("en")) if isinstance(names, Mapping) else None
    return name[:_LONGEST_NAME] if isinstance(name, str) else None


def _open(database: Path | str) -> maxminddb.Reader:
    try:
        from maxminddb import InvalidDatabaseError, open_database
    except ImportError:
        message = "geo_database is given, and the package that reads it is not installed."
        raise ConfigurationError(
            [Problem(id="DW120", message=message, remedy="Install it: pip install 'doorward[geo]'.")]
        ) from None
    try:
        return open_database(database)
    except (OSError, ValueError, InvalidDatabaseError) as error:
        message = f"The geo database {database} cannot be read: {getattr(error, 'strerror', None) or error}."
        remedy = "Give a file in MaxMind's format (.mmdb), or leave it out."
        raise ConfigurationError([Problem(id="DW121", message=message, remedy=remedy)]) from None
