"""Cursors of long listings: opaque, so that nobody builds on what is in them."""

from __future__ import annotations

from typing import Literal

from msgspec import UnsetType

from doorward.errors import FieldError, ValidationFailed
from doorward.ports import Page
from doorward.wire import base64url

Listing = Literal["accounts", "audit"]


def write_cursor(listing: Listing, last: str) -> str:
    """The cursor of a page that ended with this id."""
    return base64url.encode(f"{listing}:{last}".encode())


def parse_page(listing: Listing, *, limit: int, cursor: str | UnsetType) -> Page:
    """The page that a client asks for.

    Raises:
        ValidationFailed: the cursor is none of this listing.
    """
    return Page(limit=limit, after=None if isinstance(cursor, UnsetType) else _parse(listing, cursor))


def _parse(listing: Listing, cursor: str) -> str:
    try:
        name, _, last = base64url.decode(cursor).decode("ascii").partition(":")
    except ValueError:
        name, last = "", ""
    if name != listing or not last:
        raise ValidationFailed([FieldError(field="cursor", message="Use the next_cursor of the page before.")])
    return last
