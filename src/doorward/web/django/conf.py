"""The deployment that the settings of a project describe."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections

from doorward.blocking import run_blocking
from doorward.doorward import Doorward
from doorward.errors import ConfigurationError, Problem
from doorward.option_values import NAMES
from doorward.secret import Secret
from doorward.web.configured import configured
from doorward.web.django.databases import address_of
from doorward.web.wsgi import open_here

T = TypeVar("T")

OWN = ("staff_role", "superuser_role", "make_user")
"""Settings of the adapter alone: the roles that make a user one of the admin's, and what makes a user."""

_lock = threading.Lock()
_known: Doorward | None = None


def spelt(name: str) -> str:
    """How a setting is written, for messages."""
    return f"DOORWARD[{name.upper()!r}]"


def given() -> dict[str, Any]:
    """The dictionary ``settings.DOORWARD``, by the names of the options."""
    values: Mapping[str, Any] = getattr(settings, "DOORWARD", {})
    return {name.lower(): value for name, value in values.items()}


def deployment() -> Doorward:
    """The deployment of this project: made with the first call, opened with the first request.

    Raises:
        ConfigurationError: the settings cannot be used.
    """
    global _known  # noqa: PLW0603 -- one a process, as the settings are
    if _known is None:
        with _lock:
            if _known is None:
                _known = _made()
    return _known


def forget(*, setting: str = "DOORWARD", **_: object) -> None:
    """Close the deployment; the next one is made of the settings as they are then.  Tests override settings."""
    global _known
    if setting in {"DOORWARD", "DATABASES", "SECRET_KEY"}:
        with _lock:
            known, _known = _known, None
        if known is not None:
            run_blocking(known.close())


def run(operation: Callable[[Doorward], Coroutine[Any, Any, T]]) -> T:
    """Run one operation on the deployment of this project: ``run(lambda doorward: doorward.sessions(account))``."""
    auth = deployment()
    open_here(auth)
    return run_blocking(operation(auth))


def _made() -> Doorward:
    values = given()
    translated = shares_database()
    if translated:
        django = connections[DEFAULT_DB_ALIAS].settings_dict
        values["database"] = address_of(django, setting=spelt("database"))
    if "secret" not in values:
        # Whatever is made of it is made for one purpose alone, so it is in nobody's way.
        values["secret"] = [Secret(key) for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)]
    try:
        return configured(values, spelt=spelt, known=(*NAMES, *OWN))
    except ConfigurationError as refused:
        raise ConfigurationError([_of_django(each) if translated else each for each in refused.problems]) from None


def _of_django(problem: Problem) -> Problem:
    """Where an address is from that the project has written nowhere."""
    if problem.id != "DW051":
        return problem
    remedy = f"{problem.remedy} It is made from DATABASES['default']; another can be given in {spelt('database')}."
    return replace(problem, remedy=remedy)


def shares_database() -> bool:
    """Whether Doorward's tables are in Django's own database."""
    return "database" not in given()
