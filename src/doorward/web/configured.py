"""A deployment from the settings of an application: Flask's ``app.config``, Django's ``settings``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from doorward.doorward import Doorward
from doorward.errors import ConfigurationError
from doorward.option_values import NAMES, read_values, unknown_name


def configured(values: Mapping[str, Any], *, spelt: Callable[[str], str], known: Iterable[str] = NAMES) -> Doorward:
    """A deployment for a synchronous host.

    Args:
        values: by their names; see ``doorward.option_values`` for what is converted.
        spelt: how a name is written where the values come from, for messages.
        known: names that may be there.

    Raises:
        ConfigurationError: a name is unknown, or the options cannot be honoured; every problem at once.
    """
    names = tuple(known)
    unknown = [unknown_name(name, names, spelt=spelt) for name in values if name not in names]
    given, unreadable = read_values({name: value for name, value in values.items() if name in NAMES}, spelt=spelt)
    try:
        auth = Doorward(**given, blocking=True)
    except ConfigurationError as refused:
        raise ConfigurationError([*unknown, *unreadable, *refused.problems]) from None
    if unknown or unreadable:
        raise ConfigurationError([*unknown, *unreadable])
    return auth
