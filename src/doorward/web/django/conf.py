"""The deployment that the settings of a project describe."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections

from doorward.blocking import run_blocking
from doorward.doorward import Doorward
from doorward.errors import ConfigurationError, Problem
from doorward.option_values import NAMES
from doorward.secret import Secret
from doorward.web.configured import configured
from doorward.web.wsgi import open_here

T = TypeVar("T")

ROLES = ("staff_role", "superuser_role")
"""Settings of the adapter alone: the roles that make a user one of the admin's."""

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
    if "database" not in values:
        values["database"] = database_of(connections[DEFAULT_DB_ALIAS].settings_dict)
    if "secret" not in values:
        # Whatever is made of it is made for one purpose alone, so it is in nobody's way.
        values["secret"] = [Secret(key) for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)]
    return configured(values, spelt=spelt, known=(*NAMES, *ROLES))


def shares_database() -> bool:
    """Whether Doorward's tables are in Django's own database."""
    return "database" not in given()


def database_of(django: Mapping[str, Any]) -> str:
    """The address of one of Django's databases.

    Args:
        django: its entry in ``DATABASES``.

    Raises:
        ConfigurationError: Doorward keeps nothing in such a database.
    """
    engine, name = str(django.get("ENGINE", "")), str(django.get("NAME", ""))
    if engine.endswith(".sqlite3"):
        # Django's own tests keep everything in memory.
        return "memory:" if ":memory:" in name or "mode=memory" in name else f"sqlite:///{name}"
    if engine.endswith((".postgresql", ".postgis")):
        return _postgres(django, name)
    remedy = f"Give an address in {spelt('database')}, such as sqlite:////var/lib/app/doorward.db or postgresql://..."
    raise ConfigurationError(
        [Problem(id="DW103", message=f"Doorward keeps nothing in a database of {engine}.", remedy=remedy)]
    )


def _postgres(django: Mapping[str, Any], name: str) -> str:
    user, password = (quote(str(django.get(part) or ""), safe="") for part in ("USER", "PASSWORD"))
    host, port = str(django.get("HOST") or ""), str(django.get("PORT") or "")
    options = {key: str(value) for key, value in django.get("OPTIONS", {}).items() if key.startswith("ssl")}
    if host.startswith("/"):
        host, options = "", {"host": host, **options}  # the folder of a socket
    who = f"{user}:{password}@" if password else f"{user}@" if user else ""
    query = f"?{urlencode(options)}" if options else ""
    return f"postgresql://{who}{host}{f':{port}' if port else ''}/{quote(name, safe='')}{query}"
