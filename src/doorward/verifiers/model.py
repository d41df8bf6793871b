"""What is kept of a verifier: a service that verifies tokens, and reads the revocation feed for it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime

from doorward.errors import FieldError, ValidationFailed

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVerifier:
    """One row of the table.

    Args:
        id: public; the first part of the credential.
        name: what the operator calls it; no other is called so.
        secret_hash: SHA-256 of the credential's secret part.
        created_at: when it was added.
    """

    id: str
    name: str
    secret_hash: bytes = field(repr=False)
    created_at: datetime


def parse_verifier_name(text: str) -> str:
    """A name that can be typed, listed and told apart.  Raises ValidationFailed."""
    if _NAME.fullmatch(text) is None:
        message = "is of 1 to 64 letters, digits, dots, dashes and underscores, and begins with a letter or digit"
        raise ValidationFailed([FieldError(field="name", message=message)])
    return text
