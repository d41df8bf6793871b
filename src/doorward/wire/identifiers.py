"""Identifiers that people and other systems see: 80 random bits, 16 characters of a-z and 2-7."""

from __future__ import annotations

import re
from base64 import b32encode

from doorward.ports import Entropy

_IDENTIFIER = re.compile(r"[a-z2-7]{16}", re.ASCII)


def new_identifier(entropy: Entropy) -> str:
    return b32encode(entropy(10)).decode("ascii").lower()


def is_identifier(text: str) -> bool:
    return _IDENTIFIER.fullmatch(text) is not None
