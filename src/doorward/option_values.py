"""Options as an application writes them: their names and types are checked, and convenient spellings are converted.

``Doorward(...)``, Flask's ``app.config`` and Django's ``settings`` share these rules.  A duration may be whole seconds,
though type checkers ask for a ``timedelta``.  No message repeats a value, which may be a secret in the wrong place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import timedelta
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

from doorward.errors import Problem
from doorward.keys.model import Algorithm
from doorward.options import OptionFields, Options, problems_of
from doorward.secret import Secret

Reader = Callable[[object], Any]
"""Returns the value to use.  Raises ValueError with the remedy where the type is wrong."""

_LONGEST = timedelta(days=36_500)


def unknown_name(name: str, known: Iterable[str], *, spelt: Callable[[str], str] = str) -> Problem:
    """The problem of an option that does not exist; the remedy names the one that is spelt most alike."""
    nearest = get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    remedy = f"Did you mean {spelt(nearest[0])}?" if nearest else "Leave it out."
    return Problem(id="DW060", message=f"{spelt(name)} is no setting of Doorward.", remedy=remedy)


def read_values(
    values: Mapping[str, object], *, readers: Mapping[str, Reader] | None = None, spelt: Callable[[str], str] = str
) -> tuple[dict[str, Any], list[Problem]]:
    """Check the type of each value and convert it.

    Args:
        values: by name; a name without a reader keeps its value.
        readers: by name; by default those of what ``Doorward`` takes.
        spelt: how a name is written where the values come from, for messages.

    Returns:
        The values that can be used, and a problem for each of the others.
    """
    read: dict[str, Any] = {}
    problems = []
    known = _readers() if readers is None else readers
    for name, value in values.items():
        try:
            read[name] = known[name](value) if name in known else value
        except ValueError as remedy:
            problems.append(Problem(id="DW061", message=f"{spelt(name)} cannot be read.", remedy=str(remedy)))
    return read, problems


def options_of(given: Mapping[str, object]) -> tuple[Options, list[Problem]]:
    """The options that an application gives by name, and every problem: unknown names, wrong types, contradictions."""
    known = {each.name for each in fields(Options)}
    problems = [unknown_name(name, _KEYWORDS) for name in given if name not in known]
    read, unreadable = read_values({name: value for name, value in given.items() if name in known})
    options = Options(**read)
    return options, [*problems, *unreadable, *problems_of(options)]


@cache
def _readers() -> Mapping[str, Reader]:
    hints = get_type_hints(OptionFields)
    options = {each.name: _BY_TYPE[hints[each.name]] for each in fields(Options) if hints[each.name] in _BY_TYPE}
    return {**options, **_OF_ARGUMENTS}


def read_duration(value: object) -> timedelta:
    """A length of time; whole seconds are taken as one."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LONGEST.total_seconds():
        return timedelta(seconds=value)
    raise ValueError("Give a timedelta or whole seconds, such as timedelta(minutes=10) or 600.")


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        # The text "off" would be true.
        raise ValueError("Give a bool: True or False.")  # noqa: TRY004 -- one exception for every reader
    return value


def read_number(value: object) -> int:
    """A whole number; True is none."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("Give a whole number, such as 5.")  # noqa: TRY004
    return value


def read_text(value: object) -> str:
    """A text as it is."""
    if not isinstance(value, str):
        raise ValueError("Give a str.")  # noqa: TRY004
    return value


def _secret(value: object) -> Secret:
    if isinstance(value, str):
        return Secret(value)
    if not isinstance(value, Secret):
        raise ValueError("Give a Secret or a str.")  # noqa: TRY004
    return value


def _secrets(value: object) -> Secret | list[Secret]:
    if isinstance(value, str | Secret):
        return _secret(value)
    if not isinstance(value, Sequence) or not value or not all(isinstance(each, str | Secret) for each in value):
        raise ValueError("Give a Secret or a str, or a list of them with the newest first.")
    return [_secret(each) for each in value]


def _texts(value: object) -> tuple[str, ...]:
    # A text is a sequence of its letters.
    if not isinstance(value, list | tuple | set | frozenset) or not all(isinstance(each, str) for each in value):
        raise ValueError('Give a list or tuple of texts, such as ["https://app.example.com"].')
    return tuple(sorted(value) if isinstance(value, set | frozenset) else value)


def _texts_by_name(value: object) -> Mapping[str, tuple[str, ...]]:
    try:
        if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
            return {name: _texts(each) for name, each in value.items()}
    except ValueError:
        pass
    raise ValueError('Give a dict of lists of texts, such as {"admin": ["reports:read"]}.')


def _algorithm(value: object) -> Algorithm:
    try:
        return Algorithm(read_text(value))
    except ValueError:
        raise ValueError(f"Give one of {', '.join(Algorithm)}.") from None


def _path(value: object) -> Path | str:
    if not isinstance(value, Path | str):
        raise ValueError("Give a Path or a str.")  # noqa: TRY004
    return value


def _function(value: object) -> object:
    if not callable(value):
        raise ValueError("Give a function.")  # noqa: TRY004
    return value


def _or_none(reader: Reader) -> Reader:
    return lambda value: None if value is None else reader(value)


_BY_TYPE: Mapping[Any, Reader] = {
    timedelta: read_duration,
    bool: _flag,
    int: read_number,
    int | None: _or_none(read_number),
    str: read_text,
    str | None: _or_none(read_text),
    tuple[str, ...]: _texts,
    Secret | None: _or_none(_secret),
    Mapping[str, tuple[str, ...]]: _texts_by_name,
    Algorithm: _algorithm,
}

_OF_ARGUMENTS: Mapping[str, Reader] = {
    "database": read_text,
    "secret": _or_none(_secrets),
    "memcached": _or_none(read_text),
    "redis": _or_none(_secret),
    "geo_database": _or_none(_path),
    "on_sign_up": _or_none(_function),
}

_OTHERS = ("blocking", "makes_keys", "clock", "ticks", "entropy")

NAMES = (*_OF_ARGUMENTS, *(each.name for each in fields(Options)))
"""What an application's settings can set, by the names that ``Doorward`` takes."""

_KEYWORDS = (*NAMES, *_OTHERS)
