"""Listings: how long a page is, where it begins, and what a search finds; the same in every store."""

from __future__ import annotations

import unicodedata

from doorward.accounts.model import Account
from doorward.errors import FieldError, ValidationFailed
from doorward.ports import Page

LONGEST_PAGE = 200
LONGEST_QUERY = 1000
"""No e-mail address and no name is that long: what is longer finds nothing, and SQL is spared the pattern."""

_DIGITS_OF_AN_ID = 18


def limit_of(page: Page) -> int:
    return max(1, min(page.limit, LONGEST_PAGE))


def event_before(page: Page) -> int | None:
    """The id of the audit event that the page before ended with.

    Raises:
        ValidationFailed: the cursor is none that a listing has given.
    """
    if page.after is None:
        return None
    if not (page.after.isascii() and page.after.isdecimal() and len(page.after) <= _DIGITS_OF_AN_ID):
        raise ValidationFailed([FieldError(field="cursor", message="Use the cursor that the page before ended with.")])
    return int(page.after)


def folded(text: str) -> str:
    """Text without regard to case, in any script."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def searchable(account: Account) -> str:
    """What a search looks through, folded."""
    return folded(f"{account.email}\n{account.name or ''}")
