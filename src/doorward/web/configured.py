"""A deployment from the settings of an application: Flask's ``app.config``, Django's ``settings``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from datetime import timedelta
from difflib import get_close_matches
from typing import Any

from doorward.doorward import Doorward
from doorward.errors import ConfigurationError, Problem
from doorward.keys.model import Algorithm
from doorward.options import Options
from doorward.secret import Secret

_DEFAULTS = {field.name: getattr(Options(), field.name) for field in fields(Options)}
_OTHERS = ("database", "secret", "memcached", "redis", "geo_database", "on_sign_up")

NAMES = (*_OTHERS, *_DEFAULTS)
"""What can be set, by the names that ``Doorward`` takes."""


def configured(values: Mapping[str, Any], *, spelt: Callable[[str], str], known: Iterable[str] = NAMES) -> Doorward:
    """A deployment for a synchronous host.

    Args:
        values: by their names; durations may be whole seconds, secrets plain text.
        spelt: how a name is written where the values come from, for messages.
        known: names that may be there.

    Raises:
        ConfigurationError: a name is unknown, or the options cannot be honoured; every problem at once.
    """
    unknown = [_unknown(name, spelt, tuple(known)) for name in values if name not in known]
    given, unreadable = _read({name: value for name, value in values.items() if name in NAMES}, spelt)
    if unknown or unreadable:
        raise ConfigurationError([*unknown, *unreadable])
    return Doorward(**given, blocking=True)


def _unknown(name: str, spelt: Callable[[str], str], known: tuple[str, ...]) -> Problem:
    nearest = get_close_matches(name, known, n=1, cutoff=0.6)
    remedy = f"Did you mean {spelt(nearest[0])}?" if nearest else "Leave it out."
    return Problem(id="DW060", message=f"{spelt(name)} is no setting of Doorward.", remedy=remedy)


def _read(values: Mapping[str, Any], spelt: Callable[[str], str]) -> tuple[dict[str, Any], list[Problem]]:
    read: dict[str, Any] = {}
    problems = []
    for name, value in values.items():
        try:
            read[name] = _one(name, value)
        except (TypeError, ValueError):
            # Without the value, which may be a secret in the wrong place.
            kind = type(_DEFAULTS.get(name, "")).__name__
            remedy = f"Give a {kind}, as the documentation of Options says."
            problems.append(Problem(id="DW061", message=f"{spelt(name)} cannot be read.", remedy=remedy))
    return read, problems


def _one(name: str, value: Any) -> Any:
    default = _DEFAULTS.get(name)
    if isinstance(default, timedelta) and not isinstance(value, timedelta):
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError
        return timedelta(seconds=value)
    if isinstance(default, bool) and not isinstance(value, bool):
        # The text "off" would be true.
        raise TypeError
    match name:
        case "signing_algorithm":
            return Algorithm(value)
        case "admin_key" | "secret" | "redis" if isinstance(value, str):
            return Secret(value)
        case "secret" if value is not None and not isinstance(value, Secret):
            return [each if isinstance(each, Secret) else Secret(each) for each in value]
        case "cors_origins":
            if isinstance(value, str):
                raise TypeError
            return tuple(value)
    return value
