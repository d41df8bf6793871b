"""``manage.py doorward_link EMAIL USERNAME``."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import IntegrityError, transaction

from doorward.accounts.rules import parse_email
from doorward.web.django.conf import run
from doorward.web.django.models import LinkedAccount


class Command(BaseCommand):
    """Says that an account and a user are one person."""

    help = "Let whoever signs in to an account be a user that Django has already."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which."""
        parser.add_argument("email", help="The address that the account signs in with.")
        parser.add_argument("username", help="What Django calls the user.")

    def handle(self, *_: Any, email: str, username: str, **__: Any) -> None:
        """Link them."""
        key = parse_email(email).key
        account = run(lambda auth: auth.deployment.store.account_by_email(key))
        if account is None:
            raise CommandError("No account has this e-mail address.")
        model: Any = get_user_model()
        try:
            user = model._default_manager.get_by_natural_key(username)  # noqa: SLF001 -- Django's name for it
            with transaction.atomic():
                # Where the account had a user that was deleted, the row is still there.
                if not LinkedAccount.objects.filter(account=account.id, user=None).update(user=user):
                    LinkedAccount.objects.create(user=user, account=account.id)
        except model.DoesNotExist:
            raise CommandError("No user is called that.") from None
        except IntegrityError:
            raise CommandError("The account or the user is linked already.") from None
        self.stdout.write(f"Account {account.id} is {username}.")
