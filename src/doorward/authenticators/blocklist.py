"""Common passwords, compared as a whole: the blocklist of NIST SP 800-63B-4 section 3.1.1.2.

zxcvbn has lists of its own and judges what a password is made of; a common password of several words that it rates
high ("friend of emily") is found here alone.  ``word_lists/README.md`` says where the list comes from.
"""

from __future__ import annotations

import gzip
import unicodedata
from functools import cache
from importlib.resources import files


def is_common(text: str) -> bool:
    """Whether this is a common password, without regard to case, compatibility and spaces around it.

    Reads the list at the first call; run it where passwords are hashed.
    """
    word = _folded(text.strip())
    # The list is one text: a search takes microseconds, a set of its lines would take ten times the memory.
    return word != "" and "\n" not in word and f"\n{word}\n".encode() in _list()


@cache
def _list() -> bytes:
    packed = files("doorward.authenticators").joinpath("word_lists", "common-passwords.txt.gz").read_bytes()
    words = gzip.decompress(packed).decode().split("\n")
    return "\n".join(["", *(_folded(word.strip()) for word in words), ""]).encode()


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text.casefold())
