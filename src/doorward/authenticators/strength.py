"""How easily a password is guessed: by a list of common ones, and by zxcvbn with what is known of its owner."""

from __future__ import annotations

import math
import re
import threading
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from doorward.authenticators.blocklist import is_common
from doorward.authenticators.password import prepare_password
from doorward.errors import WeakPassword
from doorward.secret import Secret

FEWEST_GUESSES = 10**8
"""A password that is guessed in fewer is weak.

It is the edge of zxcvbn's score 3, "safely unguessable where hashing is slow", the edge included: eight characters
drawn at random, for which zxcvbn counts 10^8, are enough; what stands in its lists of common passwords, with a digit or
a capital more, is not.
"""

JUDGED = 64
"""Characters that are judged, from the first: zxcvbn's work grows with their square."""

_MOST_SUBSTITUTIONS = 8
"""Ways to read symbols as letters that are tried; see ``_judged``."""

_SERVICE = "doorward"
_MOST_WORDS = 64
_BREAKS = re.compile(r"[\W_]+")

# What zxcvbn reads as a letter, from its own table: letter by letter, so that the readings can be counted.
_LOOKALIKES = ("4@", "8", "({[<", "3", "69", "1!|", "1|7", "0", "$5", "+7", "%", "2")
_SYMBOLS = str.maketrans({symbol: chr(0xE000 + ord(symbol)) for symbol in "@({[<!|$+%"})

# zxcvbn keeps the words about the owner in a dictionary of its module: two at once would judge by each other's.
_one_at_a_time = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Weak:
    """The password is guessed too easily.

    Args:
        advice: sentences for the person who chooses it.
    """

    advice: tuple[str, ...]


def judge_strength(password: Secret, *, about: Sequence[str], minimum: int, field: str = "password") -> None:
    """Refuse a password that will not do.  Takes tens of milliseconds: run it where passwords are hashed.

    Args:
        password: as it was typed.
        about: what is known of its owner: the e-mail address, the name.
        minimum: the fewest characters.
        field: what the password is called in the request.

    Raises:
        WeakPassword: it is too short, or guessed too easily.
        ValidationFailed: it is too long, or no text.
    """
    weak = decide_strength(prepare_password(password, minimum=minimum, field=field), about=about)
    if weak is not None:
        raise WeakPassword(weak.advice)


def decide_strength(password: Secret, *, about: Sequence[str]) -> Weak | None:
    """Decide whether a password is too easily guessed; None where it is not.

    The whole is compared with a list of common passwords.  Then zxcvbn judges the first 64 characters: those after them
    make no password easier to guess.

    Args:
        password: prepared.
        about: what is known of its owner: the e-mail address, the name.

    NIST SP 800-63B-4 section 3.1.1.2 (a blocklist with context-specific words; no composition rules).
    """
    if is_common(password.reveal()):
        return Weak(advice=(_BY_DICTIONARY["passwords"], _ALWAYS))
    # Half of its import is reading word lists.
    from zxcvbn import zxcvbn

    with _one_at_a_time:
        found = zxcvbn(_judged(password.reveal()), user_inputs=list(_words(about)), max_length=JUDGED)
    if found["guesses"] >= FEWEST_GUESSES:
        return None
    return Weak(advice=_advice(found["sequence"]))


def _judged(text: str) -> str:
    """What zxcvbn is given, so that its work is bounded.

    It tries every combination of letters that symbols and digits may stand for, which takes seconds for a text of many
    different ones.  Where there are more than eight combinations, the symbols are put out of its sight.  They count as
    unknown characters then; a password of so many is no common one.
    """
    # zxcvbn fails on a date before the end of a line, and misses what follows the one character that is two in lower
    # case.
    text = text[:JUDGED].replace("\u0130", "I").replace("\n", " ")
    readings = math.prod(max(1, sum(sign in text for sign in signs)) for signs in _LOOKALIKES)
    return text.translate(_SYMBOLS) if readings > _MOST_SUBSTITUTIONS else text


def _words(about: Sequence[str]) -> Iterator[str]:
    """The words that make a password of this owner easier to guess, the whole first."""
    yield _SERVICE
    for known in about:
        text = unicodedata.normalize("NFKC", known).lower()
        local, _, _ = text.partition("@")
        for word in [text, local, *re.split(r"[\s@.]+", text)[:_MOST_WORDS], *_BREAKS.split(text)[:_MOST_WORDS]]:
            yield word[:JUDGED]


# Advice

_ALWAYS = "Use three or four uncommon words, or a password manager; symbols and capitals are not needed."
_BY_PATTERN = {
    "spatial": "Rows of keys on a keyboard are guessed early.",
    "repeat": "Repeating characters or words adds little.",
    "sequence": "Sequences such as abc or 6543 are guessed early.",
    "regex": "Years are guessed early.",
    "date": "Dates are guessed early.",
}
_BY_DICTIONARY = {
    "user_inputs": "Leave out your name, your e-mail address and the name of this service.",
    "passwords": "It is a common password, or close to one.",
}
_ANY_WORD = "A word or a name alone is guessed early."
_LOOKALIKE = "Writing @ for a or 0 for o adds little."


def _advice(sequence: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """What to tell of the parts that zxcvbn took a password apart into, the longest first; each sentence once."""
    longest_first = sorted(sequence, key=lambda part: -len(part["token"]))
    sentences = [sentence for part in longest_first for sentence in _sentences(part)]
    return tuple(dict.fromkeys([*sentences, _ALWAYS]))


def _sentences(part: Mapping[str, Any]) -> Iterator[str]:
    if part["pattern"] == "dictionary":
        yield _BY_DICTIONARY.get(part["dictionary_name"], _ANY_WORD)
        if part["l33t"]:
            yield _LOOKALIKE
    elif part["pattern"] in _BY_PATTERN:
        yield _BY_PATTERN[part["pattern"]]
