"""Doorward's own tables, brought up to date with Django's where they share a database."""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS

from doorward.stores import migrate as bring_up_to_date
from doorward.web.django.conf import deployment, shares_database


def migrate(*, using: str = DEFAULT_DB_ALIAS, **_: object) -> None:
    """After ``manage.py migrate``.  What is elsewhere is migrated by ``manage.py doorward migrate``."""
    if using == DEFAULT_DB_ALIAS and shares_database():
        database = deployment().database
        if database != "memory:":
            bring_up_to_date(database)
