"""The catalogue: what the pages say, in each language, and which language a visitor is answered in."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

FALLBACK = "en"
_MOST_WISHES = 20

_WISH = re.compile(r"\s*([A-Za-z]{2,3})(?:-[A-Za-z0-9-]+)?\s*(?:;\s*q=([01](?:\.[0-9]{0,3})?)\s*)?")
_NUMBER = re.compile("[0-9]+")
_UNITS = (("days", timedelta(days=1)), ("hours", timedelta(hours=1)), ("minutes", timedelta(minutes=1)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """One language of the catalogue; a call looks a text up.

    Args:
        code: such as ``en``.
        texts: by key.
        sentences: translations of what the operations say in English: advice on passwords, mistakes in a field.
    """

    code: str
    texts: Mapping[str, str]
    sentences: Mapping[str, str]

    def __call__(self, key: str, **values: object) -> str:
        """The text of a key, with values in the place of ``{name}``."""
        return self.texts[key].format(**values)

    def count(self, key: str, number: int) -> str:
        """The text for a number of things: ``key_one`` or ``key_other``."""
        return self(f"{key}_{'one' if number == 1 else 'other'}", number=number)

    def sentence(self, english: str) -> str:
        """What an operation said, in this language where the catalogue has it."""
        if english in self.sentences:
            return self.sentences[english]
        # A sentence with numbers is in the catalogue once, with {} in the place of each.
        found = self.sentences.get(_NUMBER.sub("{}", english), english)
        for number in _NUMBER.findall(english):
            found = found.replace("{}", number, 1)
        return found

    def ago(self, passed: timedelta) -> str:
        """How long ago something was: in days, hours or minutes."""
        for name, unit in _UNITS:
            if passed >= unit:
                return self.count(f"{name}_ago", passed // unit)
        return self("just_now")

    def wait(self, seconds: int) -> str:
        """For how long to wait: in seconds, or in minutes from one on."""
        return self.count("wait_seconds", seconds) if seconds < 60 else self.count("wait_minutes", -(-seconds // 60))


def read_language(code: str, *texts: str) -> Language:
    """A language from its files in TOML, a later one over an earlier one.

    Raises:
        ValueError: a file is no TOML, or has other values than texts.
    """
    found: dict[str, str] = {}
    sentences: dict[str, str] = {}
    for text in texts:
        tables = tomllib.loads(text)
        said = tables.pop("sentences", {})
        if not isinstance(said, dict) or not all(isinstance(each, str) for each in (*tables.values(), *said.values())):
            raise ValueError("every value is a text, and the only table is [sentences]")
        found |= tables
        sentences |= said
    return Language(code=code, texts=found, sentences=sentences)


def choose_language(asked: str | None, accepted: str | None, languages: Mapping[str, Language]) -> Language:
    """The language to answer in: what the address asks for, else what the browser likes best, else English.

    Args:
        asked: ``lang`` of the query, or None.
        accepted: the ``Accept-Language`` header, or None.
        languages: those that there are.

    RFC 9110 section 12.5.4, by the primary subtag alone.
    """
    if asked is not None and asked in languages:
        return languages[asked]
    wishes = []
    for wish in (accepted or "").split(",")[:_MOST_WISHES]:
        found = _WISH.fullmatch(wish)
        if found is not None and found[1].lower() in languages:
            wishes.append((float(found[2] or 1), found[1].lower()))
    # The first of those that are liked best: sorting keeps their order.
    wishes.sort(key=lambda wish: -wish[0])
    return languages[wishes[0][1] if wishes and wishes[0][0] > 0 else FALLBACK]
