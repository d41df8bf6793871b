"""System checks: what would not work is said at start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 -- Django's names
from django.db import DEFAULT_DB_ALIAS, connections
from django.utils.module_loading import import_string

from doorward.errors import ConfigurationError
from doorward.web.django.backends import MODEL_BACKEND, OLD_SESSIONS, DoorwardBackend
from doorward.web.django.conf import deployment, given, shares_database, spelt
from doorward.web.django.signing_in import BACKEND
from doorward.web.django.users import has_field, left_empty, maker, unfilled

_MIDDLEWARE = "doorward.web.django.middleware.DoorwardMiddleware"
_BEFORE = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
)


def check_settings(**_: Any) -> Sequence[CheckMessage]:
    """Every problem of the settings, by its id: ``doorward.DW010`` and so on."""
    try:
        deployment()
    except ConfigurationError as refused:
        return [Error(each.message, hint=each.remedy, id=f"doorward.{each.id}") for each in refused.problems]
    return []


def check_middleware(**_: Any) -> Sequence[CheckMessage]:
    """That requests are authenticated, and by us last."""
    return misplaced()


def misplaced() -> list[CheckMessage]:
    """What is wrong with the place of the middleware."""
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
    if not any(_is_ours(path) for path in settings.AUTHENTICATION_BACKENDS):
        message = "AUTHENTICATION_BACKENDS has no DoorwardBackend: Django's own sign-in pages know no account."
        return [Warning(message, hint=f"Add {BACKEND!r}.", id="doorward.W001")]
    if MODEL_BACKEND in settings.AUTHENTICATION_BACKENDS:
        message = (
            "ModelBackend signs in beside Doorward, with the passwords in Django's table: an old password goes on"
            " working after it was changed, and so does that of a disabled account."
        )
        hint = f"Remove it, or replace it by {OLD_SESSIONS!r} while sessions of Django's are to go on."
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


def _is_ours(path: str) -> bool:
    try:
        kind = import_string(path)
    except ImportError:
        return False  # which Django says with the first sign-in
    return isinstance(kind, type) and issubclass(kind, DoorwardBackend)


def check_users(**_: Any) -> Sequence[CheckMessage]:
    """That Django's users can be made of accounts."""
    label = get_user_model()._meta.label  # noqa: SLF001 -- Django's, as documented
    found: list[CheckMessage] = []
    for setting, flag in (("staff_role", "is_staff"), ("superuser_role", "is_superuser")):
        if given().get(setting) is not None and not has_field(flag):
            message = f"{spelt(setting)} is set, and {label} has no field {flag}."
            found.append(Warning(message, hint="Leave it out, or add the field.", id="doorward.W005"))
    try:
        if maker() is not None:
            return found
    except ConfigurationError as refused:
        return [*found, *(Error(each.message, hint=each.remedy, id="doorward.E005") for each in refused.problems)]
    hint = f"Give them defaults, or a function that makes users in {spelt('make_user')}."
    missing, empty = unfilled(), left_empty()
    if missing:
        message = f"Doorward cannot make users: it has nothing for these fields of {label}: {', '.join(missing)}."
        found.append(Error(message, hint=hint, id="doorward.E004"))
    if empty:
        message = f"The users that Doorward makes have these fields of {label} empty: {', '.join(empty)}."
        found.append(Warning(message, hint=hint, id="doorward.W004"))
    return found
