"""Django's user of an account."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import FieldDoesNotExist
from django.db import DatabaseError, IntegrityError, models, transaction
from django.utils.module_loading import import_string

from doorward.accounts.model import Account
from doorward.errors import ConfigurationError, NotFound, Problem
from doorward.principal import Principal
from doorward.web.django.conf import given, run, spelt
from doorward.web.django.models import LinkedAccount

SHORTEST_NAME = 22
"""Characters of an account's id, which is the name of the users that Doorward makes."""

_log = logging.getLogger(__name__)


def user_of(principal: Principal, loaded: AbstractBaseUser | None = None) -> AbstractBaseUser | None:
    """The user that the account of a principal is, made when it is first seen; None where there may be none.

    Args:
        principal: of whom.
        loaded: the user, where it has been read in this request already.

    Raises:
        ConfigurationError: a user cannot be made; names the fields.
    """
    user = loaded
    if user is None:
        link = _link(principal.subject)
        if link is not None:
            user = link.user
        else:
            try:
                account = run(lambda auth: auth.account(principal.subject))
            except NotFound:
                return None
            user = _made(account)
    return _with_roles(user, principal.roles) if user is not None and user.is_active else None


def user_of_account(account: Account) -> AbstractBaseUser | None:
    """The user that an account is, made when it is first seen.

    None where the user has been deleted, and where a user has that name already and is not linked: whoever signs up
    with somebody's address must not become that user.
    """
    link = _link(account.id)
    user = link.user if link is not None else _made(account)
    # The admin's form asks for is_staff before anybody has signed in.
    return _with_roles(user, frozenset(account.roles)) if user is not None and user.is_active else user


def _link(account: str) -> LinkedAccount | None:
    return LinkedAccount.objects.select_related("user").filter(account=account).first()


def _made(account: Account) -> AbstractBaseUser | None:
    try:
        with transaction.atomic():
            user: Any = (maker() or plain_user)(account)
            if user is None:
                return None
            if user.pk is None:
                user.save()
            LinkedAccount.objects.create(user=user, account=account.id)
    except (DatabaseError, TypeError, ValueError) as error:
        # Another request was first; or somebody else has the name.
        link = _link(account.id)
        if link is not None:
            linked: AbstractBaseUser | None = link.user
            return linked
        if not isinstance(error, IntegrityError) or not _is_name_taken(account):
            raise ConfigurationError([_cannot_be_made(error)]) from error
        _log.warning(
            "account %s has no user: one of its name exists; link them with: manage.py doorward_link", account.id
        )
        return None
    return user  # type: ignore[no-any-return]  # what the project makes is of its own model


def plain_user(account: Account) -> Any:
    """A user that knows of its account what the project's model has fields for, not yet saved."""
    model: Any = get_user_model()
    name = model.USERNAME_FIELD
    # The id, which nobody can choose; the address where users are known by nothing else.
    fields = {name: account.email if name == model.get_email_field_name() else account.id}
    if has_field(model.get_email_field_name()):
        fields.setdefault(model.get_email_field_name(), account.email)
    user = model(**fields)
    user.set_unusable_password()
    return user


def maker() -> Callable[[Account], Any] | None:
    """What the project makes users with, or None.

    Raises:
        ConfigurationError: the setting names nothing that can be called.
    """
    found = given().get("make_user")
    try:
        made = import_string(found) if isinstance(found, str) else found
    except ImportError as error:
        raise ConfigurationError([_NO_MAKER]) from error
    if made is not None and not callable(made):
        raise ConfigurationError([_NO_MAKER])
    return made


_NO_MAKER = Problem(
    id="DW114",
    message=f"{spelt('make_user')} names nothing that can be called.",
    remedy="Give a function of one argument, the account, or the dotted path of one; it returns a user.",
)
_GIVE_MAKER = f"Give them defaults, or a function that makes users: {spelt('make_user')} = 'people.users.make_user'."


def _cannot_be_made(error: Exception) -> Problem:
    fields = ", ".join(unfilled()) or "the database and its log say which field"
    kind = type(error).__name__
    label = get_user_model()._meta.label  # noqa: SLF001 -- Django's, as documented
    return Problem(
        id="DW113",
        message=f"Django's user of an account cannot be made ({kind}). Of {label} Doorward cannot fill: {fields}.",
        remedy=_GIVE_MAKER,
    )


def has_field(name: str) -> bool:
    """Whether the project's users have a field."""
    try:
        get_user_model()._meta.get_field(name)  # noqa: SLF001 -- Django's, as documented
    except FieldDoesNotExist:
        return False
    return True


def unfilled() -> Sequence[str]:
    """The fields of the project's users that Doorward has nothing for, and that the database does not leave empty."""
    return [each.name for each in _fields() if not _may_be_empty(each)] + list(_unusable_name())


def left_empty() -> Sequence[str]:
    """The fields that Doorward leaves empty, though a form would not."""
    return [each.name for each in _fields() if _may_be_empty(each) and not each.blank]


def _fields() -> Sequence[Any]:
    """The fields that have no value unless they are given one, without those that are."""
    model: Any = get_user_model()
    filled = {model.USERNAME_FIELD, model.get_email_field_name(), "password"}
    return [
        each
        for each in model._meta.concrete_fields  # noqa: SLF001 -- Django's, as documented
        if each.name not in filled
        and not (each.null or each.has_default() or getattr(each, "generated", False))
        and getattr(each, "db_default", models.NOT_PROVIDED) is models.NOT_PROVIDED
        and not (isinstance(each, models.AutoField) or getattr(each, "auto_now", False))
        and not getattr(each, "auto_now_add", False)
        and not (each.remote_field and getattr(each.remote_field, "parent_link", False))
    ]


def _may_be_empty(field: Any) -> bool:
    return bool(field.empty_strings_allowed) and not field.unique


def _unusable_name() -> Sequence[str]:
    """The field by which users are known, where it cannot hold what Doorward writes into it."""
    model: Any = get_user_model()
    field = model._meta.get_field(model.USERNAME_FIELD)  # noqa: SLF001 -- Django's, as documented
    fits = isinstance(field, models.CharField | models.TextField)
    return () if fits and (field.max_length or SHORTEST_NAME) >= SHORTEST_NAME else (field.name,)


def _is_name_taken(account: Account) -> bool:
    model: Any = get_user_model()
    name = getattr(plain_user(account), model.USERNAME_FIELD)
    taken: bool = model._default_manager.filter(**{model.USERNAME_FIELD: name}).exists()  # noqa: SLF001 -- likewise
    return taken


def _with_roles(user: AbstractBaseUser, roles: frozenset[str]) -> AbstractBaseUser:
    """The user, staff and superuser by the roles of the account where the project says by which."""
    settings = given()
    wanted = {
        flag: settings[setting] in roles
        for flag, setting in (("is_staff", "staff_role"), ("is_superuser", "superuser_role"))
        if settings.get(setting) is not None and has_field(flag)
    }
    changed = [flag for flag, value in wanted.items() if getattr(user, flag) != value]
    if changed:
        for flag in changed:
            setattr(user, flag, wanted[flag])
        user.save(update_fields=changed)
    return user
