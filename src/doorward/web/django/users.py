"""Django's user of an account."""

from __future__ import annotations

import logging
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction

from doorward.accounts.model import Account
from doorward.errors import NotFound
from doorward.principal import Principal
from doorward.web.django.conf import given, run
from doorward.web.django.models import LinkedAccount

_log = logging.getLogger(__name__)


def user_of(principal: Principal) -> AbstractBaseUser | None:
    """The user that the account of a principal is, made when it is first seen; None where there may be none."""
    linked = _linked(principal.subject)
    if linked is None:
        try:
            account = run(lambda auth: auth.account(principal.subject))
        except NotFound:
            return None
        linked = user_of_account(account)
    return _with_roles(linked, principal.roles) if linked is not None and linked.is_active else None


def user_of_account(account: Account) -> AbstractBaseUser | None:
    """The user that an account is, made when it is first seen.

    None where a user has that name already and is not linked: whoever signs up with somebody's address must not become
    that user.
    """
    return _linked(account.id) or _made(account)


def _linked(account: str) -> AbstractBaseUser | None:
    found = LinkedAccount.objects.select_related("user").filter(account=account).first()
    return found.user if found is not None else None


def _made(account: Account) -> AbstractBaseUser | None:
    model: Any = get_user_model()
    name: str = model.USERNAME_FIELD
    # The id, which nobody can choose; the address where users are known by nothing else.
    fields = {name: account.email if name == model.get_email_field_name() else account.id}
    fields.setdefault(model.get_email_field_name(), account.email)
    try:
        with transaction.atomic():
            user: AbstractBaseUser = model(**fields)
            user.set_unusable_password()
            user.save()
            LinkedAccount.objects.create(user=user, account=account.id)
    except IntegrityError:
        # Another request was first; or somebody else has the name.
        linked = _linked(account.id)
        if linked is None:
            _log.warning(
                "account %s has no user: one of its name exists; link them with: manage.py doorward_link", account.id
            )
        return linked
    return user


def _with_roles(user: AbstractBaseUser, roles: frozenset[str]) -> AbstractBaseUser:
    """The user, staff and superuser by the roles of the account where the project says by which."""
    settings = given()
    wanted = {
        flag: settings[setting] in roles
        for flag, setting in (("is_staff", "staff_role"), ("is_superuser", "superuser_role"))
        if settings.get(setting) is not None
    }
    changed = [flag for flag, value in wanted.items() if getattr(user, flag) != value]
    if changed:
        for flag in changed:
            setattr(user, flag, wanted[flag])
        user.save(update_fields=changed)
    return user
