"""Password hashes that other systems made: which of them are taken, and how they are stored.

They are checked as they were made, until their owner signs in and has a hash of ours.  ``encoded`` lists the formats.
"""

from __future__ import annotations

import re

from doorward.authenticators.derivation import UnusableHash, try_out
from doorward.authenticators.encoded import read_hash
from doorward.errors import FieldError, ValidationFailed
from doorward.secret import Secret

_BETTER_AUTH = re.compile(r"[0-9a-f]{32}:[0-9a-f]{128}")
_UNUSABLE = "!"
"""What Django's hash begins with where nobody can sign in by a password."""


def import_hash(text: str) -> Secret | None:
    """How a hash from elsewhere is stored; None where it says that the account has no password.

    One hash is computed for each set of parameters: run it where passwords are hashed.

    Raises:
        ValidationFailed: its scheme is unknown, it is malformed, it asks for too much work, or it took too much when it
            was tried.  The hash is not repeated.
    """
    if text.startswith(_UNUSABLE):
        return None
    kept = Secret(_stored(text))
    try:
        try_out(read_hash(kept).derivation)
    except UnusableHash as error:
        message = f"This password hash cannot be imported: {error}."
        raise ValidationFailed([FieldError(field="password_hash", message=message)]) from None
    return kept


def _stored(text: str) -> str:
    if text.startswith("$argon2"):
        return f"argon2{text}"
    return f"better-auth${text}" if _BETTER_AUTH.fullmatch(text) else text
