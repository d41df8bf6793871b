"""Which of Django's users an account is."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db import models


class LinkedAccount(models.Model):
    """One account of Doorward's and one user of Django's, whatever the model of that is.

    Made when an account is first seen, or by ``manage.py doorward_link``; never by comparing e-mail addresses, which
    anybody may sign up with.  It stays without a user when the user is deleted, or the link itself: such an account is
    nobody in this project until ``manage.py doorward_link`` gives it a user.
    """

    user: models.OneToOneField[Any, Any] = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="doorward_account",
    )
    account: models.CharField[str, str] = models.CharField(max_length=64, unique=True)

    objects: ClassVar[models.Manager[LinkedAccount]] = models.Manager()

    class Meta:
        verbose_name = "linked account"

    def __str__(self) -> str:
        return self.account
