"""``manage.py doorward_import_users``."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from doorward.accounts.model import ImportedAccount
from doorward.audit.model import Actor
from doorward.errors import EmailTaken, ValidationFailed
from doorward.secret import Secret
from doorward.web.django.conf import given, run
from doorward.web.django.models import LinkedAccount


class Command(BaseCommand):
    """Moves in: an account for each user that has none, with the password that the user has."""

    help = "Open an account for each of Django's users that has none, keep its password's hash, and link the two."

    def handle(self, *_: Any, **__: Any) -> None:
        """Import them.  Run again, it goes on where it was."""
        model: Any = get_user_model()
        imported, refused = 0, 0
        for user in model._default_manager.filter(doorward_account=None, is_active=True).order_by("pk"):  # noqa: SLF001
            try:
                self._import(user)
                imported += 1
            except (EmailTaken, ValidationFailed) as error:
                refused += 1
                self.stderr.write(f"{user.get_username()}: {error.detail or error.public}")
        self.stdout.write(f"Imported {imported} users.")
        if refused:
            raise CommandError(f"{refused} users were not imported, see above.")

    def _import(self, user: Any) -> None:
        settings = given()
        roles = {
            settings[setting]
            for flag, setting in (("is_staff", "staff_role"), ("is_superuser", "superuser_role"))
            if settings.get(setting) is not None and getattr(user, flag)
        }
        account = ImportedAccount(
            email=getattr(user, user.get_email_field_name()) or "",
            password_hash=Secret(user.password) if user.password and user.has_usable_password() else None,
            name=user.get_full_name() or None,
            roles=tuple(roles),
        )
        opened = run(lambda auth: auth.import_account(account, actor=Actor(name="command-line")))
        LinkedAccount.objects.create(user=user, account=opened.id)
