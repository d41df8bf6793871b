"""Which keys and secrets that people choose are too easily guessed."""

from __future__ import annotations

import re
from itertools import pairwise

LONGEST_PERIOD = 8
"""Characters: what is a shorter text repeated is as good as that text."""

_PLACEHOLDERS = (
    "changeme",
    "changethis",
    "changeit",
    "replaceme",
    "replacethis",
    "insertyour",
    "putyour",
    "enteryour",
    "youradmin",
    "yourapi",
    "yourkey",
    "yoursecret",
    "yoursuper",
    "yourvery",
    "yourlong",
    "yourrandom",
    "supersecret",
    "topsecret",
    "verysecret",
    "mysecret",
    "mysupersecret",
    "notsecure",
    "notsecret",
    "donotuse",
    "placeholder",
    "examplesecret",
    "password",
    "passw0rd",
    "qwerty",
    "letmein",
)
"""What examples say where a key should be, without case and separators.  A random key begins with none of them."""


def weakness_of(text: str, *, least: int) -> str | None:
    """Decide whether a key could be guessed; the reason, or None.

    Args:
        text: the key.
        least: characters that it must have.
    """
    if len(text) < least:
        return f"is shorter than {least} characters"
    if any(text[period:] == text[:-period] for period in range(1, LONGEST_PERIOD + 1)):
        return "repeats a few characters"
    if len({ord(after) - ord(before) for before, after in pairwise(text)}) == 1:
        return "is a sequence of characters"
    if re.sub(r"[\W_]", "", text).lower().startswith(_PLACEHOLDERS):
        return "begins like a placeholder of an example"
    return None
