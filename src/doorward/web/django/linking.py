"""Users that are there already, and their accounts: opened, kept in step, and never brought back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models.signals import post_delete, post_save, pre_delete

from doorward.accounts.model import Account, ImportedAccount
from doorward.accounts.rules import parse_email
from doorward.audit.model import Action
from doorward.errors import EmailTaken, FieldError, ValidationFailed
from doorward.ports import Page
from doorward.secret import Secret
from doorward.web.django import standing
from doorward.web.django.conf import given, run
from doorward.web.django.models import LinkedAccount
from doorward.web.django.passwords import take_password
from doorward.web.django.users import has_field

_UID = "doorward"


def open_account(user: Any, *, needs_password: bool = True) -> LinkedAccount:
    """Open an account for a user, with the password and the roles that the user has in Django, and link the two.

    Args:
        user: saved, and without an account.
        needs_password: refuse a user whose password is hashed in a way that Doorward does not check.  Otherwise the
            account has no password until the user signs in by ``authenticate``, which takes it over.

    Raises:
        EmailTaken: the address has an account already.  It may be somebody else's, so nothing is linked.
        ValidationFailed: the user has no address, or something that an account cannot have.
    """
    email = email_of(user)
    if not email:
        raise ValidationFailed([FieldError(field="email", message="The user has no e-mail address.")])
    settings = given()
    roles = {
        settings[setting]
        for flag, setting in (("is_staff", "staff_role"), ("is_superuser", "superuser_role"))
        if settings.get(setting) is not None and getattr(user, flag, False)
    }
    name = user.get_full_name() if hasattr(user, "get_full_name") else ""
    imported = ImportedAccount(
        email=email,
        password_hash=Secret(user.password) if has_password(user) else None,
        name=name or None,
        roles=tuple(roles),
    )
    try:
        opened = _open(imported, email)
    except ValidationFailed as error:
        if needs_password or [each.field for each in error.errors] != ["password_hash"]:
            raise
        opened = _open(replace(imported, password_hash=None), email)
    return LinkedAccount.objects.create(user=user, account=opened.id)


def has_password(user: Any) -> bool:
    """Whether a user can sign in by a password of Django's.  One that was never set is empty."""
    return bool(user.password) and user.has_usable_password()


def _open(imported: ImportedAccount, email: str) -> Account:
    try:
        return run(lambda auth: auth.import_account(imported, actor=standing.ACTOR))
    except EmailTaken as taken:
        orphan = _orphan(email)
        if orphan is None:
            hint = "an account with this e-mail address exists; if it is the same person's: manage.py doorward_link"
            raise EmailTaken(hint) from taken
        return run(lambda auth: auth.import_again(orphan, imported, actor=standing.ACTOR))


def _orphan(email: str) -> str | None:
    """The id of the account that was opened for a user in a transaction that was then rolled back, or None.

    Django's transactions do not include Doorward's tables.  Such an account was opened here, by nobody else, and no
    link is left, as one is where a user was deleted.  So it never belonged to anybody.
    """
    key = parse_email(email).key
    account = run(lambda auth: auth.deployment.store.account_by_email(key))
    if account is None or account.disabled_at is not None:
        return None
    if LinkedAccount.objects.filter(account=account.id).exists():
        return None
    return account.id if _is_all_ours(account.id) else None


def _is_all_ours(account: str) -> bool:
    """Whether nobody but this project opened an account and set its password."""
    page, ours = Page(limit=1), standing.ACTOR.name
    opened = run(lambda auth: auth.trail(page, account=account, action=Action.ACCOUNT_CREATED))
    changed = run(lambda auth: auth.trail(page, account=account, action=Action.PASSWORD_CHANGED))
    return bool(opened) and all(event.actor.name == ours for event in (*opened, *changed))


def email_of(user: Any) -> str:
    """The address of a user: the e-mail field; where the model has none, the name if that is an address; or empty."""
    field = type(user).get_email_field_name()
    if has_field(field):
        return str(getattr(user, field) or "")
    name = str(user.get_username() or "")
    return name if "@" in name else ""


# Receivers


def connect() -> None:
    """Follow what becomes of users, whichever of the project's classes they are.

    Only of these: a receiver for every model would make Django load what it otherwise deletes by one statement.
    """
    for model in apps.get_models(include_auto_created=True):
        if issubclass(model, get_user_model()):
            post_save.connect(_saved, sender=model, dispatch_uid=_UID)
            pre_delete.connect(_is_deleted, sender=model, dispatch_uid=_UID)
    post_delete.connect(_unlinked, sender=LinkedAccount, dispatch_uid=_UID)


def _saved(*, instance: Any, created: bool, raw: bool, using: str, **_: object) -> None:
    password = getattr(instance, "_password", None)
    if created or raw or (instance.is_active and password is None):
        return
    link = LinkedAccount.objects.filter(user=instance).first()
    if link is None:
        return
    if password is not None:
        take_password(link.account, Secret(password))
    if not instance.is_active:
        _end_after_commit(link.account, using)


def _is_deleted(*, instance: Any, using: str, **_: object) -> None:
    link = LinkedAccount.objects.filter(user=instance).first()
    if link is not None:
        _end_after_commit(link.account, using)


def _unlinked(*, instance: LinkedAccount, using: str, **_: object) -> None:
    """Keep that the account had a user: by itself it never gets another one."""
    LinkedAccount.objects.using(using).create(user=None, account=instance.account)
    _end_after_commit(instance.account, using)


def _end_after_commit(account: str, using: str) -> None:
    transaction.on_commit(lambda: standing.end_sessions(account), using=using)
