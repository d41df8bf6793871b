"""System checks: what would not work is said at start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 -- Django's names
from django.db import DEFAULT_DB_ALIAS, connections

from doorward.errors import ConfigurationError
from doorward.web.django.conf import deployment, shares_database, spelt
from doorward.web.django.signing_in import BACKEND

_MIDDLEWARE = "doorward.web.django.middleware.DoorwardMiddleware"
_BEFORE = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
)
_MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"


def check_settings(**_: Any) -> Sequence[CheckMessage]:
    """Every problem of the settings, by its id: ``doorward.DW010`` and so on."""
    try:
        deployment()
    except ConfigurationError as refused:
        return [Error(each.message, hint=each.remedy, id=f"doorward.{each.id}") for each in refused.problems]
    return []


def check_middleware(**_: Any) -> Sequence[CheckMessage]:
    """That requests are authenticated, and by us last."""
    order = list(settings.MIDDLEWARE)
    if _MIDDLEWARE not in order:
        message = "MIDDLEWARE has no DoorwardMiddleware: nobody would ever be signed in."
        hint = f"Add {_MIDDLEWARE!r} after Django's AuthenticationMiddleware."
        return [Error(message, hint=hint, id="doorward.E001")]
    late = [name for name in _BEFORE if name in order and order.index(name) > order.index(_MIDDLEWARE)]
    if late:
        message = "DoorwardMiddleware comes too early: request.user is set anew after it."
        return [Error(message, hint=f"Move {_MIDDLEWARE!r} below {late[-1]!r}.", id="doorward.E002")]
    return []


def check_database(**_: Any) -> Sequence[CheckMessage]:
    """That no request holds the lock that Doorward then waits for."""
    django = connections[DEFAULT_DB_ALIAS].settings_dict
    if not (shares_database() and django.get("ATOMIC_REQUESTS") and django["ENGINE"].endswith(".sqlite3")):
        return []
    message = "ATOMIC_REQUESTS on a SQLite file that Doorward shares: a view that has written keeps it from writing."
    hint = f"Give Doorward a file of its own in {spelt('database')}, or use PostgreSQL."
    return [Error(message, hint=hint, id="doorward.E003")]


def check_backends(**_: Any) -> Sequence[CheckMessage]:
    """That what ``login`` does is what the settings promise."""
    found: list[CheckMessage] = []
    if BACKEND not in settings.AUTHENTICATION_BACKENDS:
        message = "AUTHENTICATION_BACKENDS has no DoorwardBackend: Django's own sign-in pages know no account."
        return [Warning(message, hint=f"Add {BACKEND!r}.", id="doorward.W001")]
    if _MODEL_BACKEND in settings.AUTHENTICATION_BACKENDS:
        message = "ModelBackend signs in beside Doorward: such a session is Django's, and nothing that Doorward ends."
        hint = "Remove it once all users are linked; until then silence this check."
        found.append(Warning(message, hint=hint, id="doorward.W002"))
    try:
        strategy = deployment().options.strategy
    except ConfigurationError:
        return found
    if strategy != "session":
        message = f"The strategy {strategy} gives no cookie that Django's pages are read with: login() would fail."
        hint = "Use DOORWARD = {'STRATEGY': 'session'}, or sign in by POST /v1/sessions alone."
        found.append(Warning(message, hint=hint, id="doorward.W003"))
    return found
