"""``manage.py doorward_import_users``."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from doorward.errors import EmailTaken, ValidationFailed
from doorward.web.django.linking import has_password, open_account


class Command(BaseCommand):
    """Moves in: an account for each user that has none, with the password that the user has."""

    help = "Open an account for each of Django's users that has none, keep its password's hash, and link the two."

    def handle(self, *_: Any, **__: Any) -> None:
        """Import them.  Run again, it goes on where it was."""
        model: Any = get_user_model()
        imported = left_out = refused = 0
        # All of them, whatever the project's default manager hides.
        for user in model._base_manager.filter(doorward_account=None).order_by("pk"):  # noqa: SLF001 -- Django's name
            if not user.is_active:
                left_out += 1
                self.stderr.write(f"{user.get_username()}: left out, because the user is not active")
                continue
            try:
                open_account(user)
            except (EmailTaken, ValidationFailed) as error:
                refused += 1
                self.stderr.write(f"{user.get_username()}: not imported: {error.detail or error.public}")
                continue
            imported += 1
            if not has_password(user):
                self.stderr.write(f"{user.get_username()}: imported without a password, because the user has none")
        self.stdout.write(f"Imported {imported} users.")
        if left_out:
            self.stdout.write(f"Left out {left_out} users who are not active.")
        if refused:
            raise CommandError(f"{refused} users were not imported, see above.")
