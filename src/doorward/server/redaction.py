"""Nothing that authenticates anybody reaches a log.

Twice: values are looked at where they still have names, then the finished line once more, whatever made it.  What
cannot be told from ordinary text, such as a password in the middle of a sentence, is never handed to a log in the
first place; this is the net under that rule.
"""

from __future__ import annotations

import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from json import dumps
from typing import Any
from urllib.parse import quote, quote_plus, unquote_plus

from doorward.secret import Secret

MASK = "***"

MOST_CHARACTERS = 16_384
MOST_ITEMS = 64
MOST_DEPTH = 8
_LEAST_LITERAL = 8
_LONGEST_KEPT = 40
_MOST_KEPT = 500

_NAMES = (
    r"(?:passw(?:or)?d|passphrase|secret|token|(?:api|admin|private)[\-_ ]?key|credential|authori[sz]ation|cookie|csrf"
    r"|assertion|jwt|bearer)"
)
_SENSITIVE_NAME = re.compile(_NAMES, re.IGNORECASE)
_PRIVATE_JWK_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "k", "oth"})

_CREDENTIALS = re.compile(
    r"dw[srv]_[A-Za-z0-9_\-]*"  # our handles, refresh tokens and verifiers' credentials
    r"|eyJ[A-Za-z0-9_\-]{6,}(?:\.[A-Za-z0-9_\-=]*){0,4}"  # anything of JOSE
    r"|\$argon2[a-z]{1,2}\$[^\s\"'\\]*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    re.DOTALL,
)
_SCHEMES = re.compile(r"\b((?:bearer|basic|dpop|digest|negotiate)\s+)([^\s\"',;\\]{8,})", re.IGNORECASE)
# What follows a name: text in quotes, escaped or not, closed or not; a bracket; or a bare word.
_QUOTED = (
    r"[bBrRuUfF]{0,2}(?:\"(?:[^\"\\]|\\.)*+\"?|'(?:[^'\\]|\\.)*+'?"
    r"|(?P<escape>\\+)(?P<quote>[\"'])(?:(?!(?<!\\)(?P=escape)(?P=quote))[^\r\n])*+)"
)
_BRACKET = r"[\[({][^\])}\r\n]*[\])}]?"
# A header by its name, as text, in a dictionary or as the pair of bytes that ASGI hands over: to the end of its value.
_HEADERS = re.compile(
    rf"((?:authorization|cookie|x-csrf-token)\\*[\"']?\s*[:=,]\s*)({_QUOTED}|{_BRACKET}|[^\s\"'][^\r\n\"']*)",
    re.IGNORECASE,
)
_PAIRS = re.compile(
    rf"({_NAMES}[\w\-]{{0,64}}(?:\\*[\"']?\s*[=:]>?\s*|\\*[\"']\s*,\s*(?=[bBrRuUfF]{{0,2}}\\*[\"'])))"
    rf"({_QUOTED}|{_BRACKET}|[^\s,;&)\]}}\"']+)",
    re.IGNORECASE,
)
_USER_INFO = re.compile(r"(://[^\s/:@\"']*):[^\s/@\"']+@")
_ESCAPED = re.compile(r"(?<![\w.~+=&\-])[\w.~+=&\-]*+(?:%[0-9A-Fa-f]{2}[\w.~+=&\-]*+)+", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")


class Redaction:
    """Masks what authenticates.

    Args:
        known: secrets of this deployment, found by what they are and not only by what they look like.
    """

    def __init__(self, known: Iterable[Secret] = ()) -> None:
        spellings = {spelling for secret in known for spelling in _spellings(secret.reveal())}
        # The longest first: one may be a part of another.
        self._known = tuple(sorted(spellings, key=len, reverse=True))
        self._harmless: set[str] = set()
        self._harmless_names: set[str] = set()

    def text(self, text: str) -> str:
        """The text with every credential in it masked."""
        text = self._plain(text)
        # What was escaped for an address, once or twice, is masked as a whole where a credential is behind it.
        return _ESCAPED.sub(self._unescaped, text) if "%" in text else text

    def unmistakable(self, text: str) -> str:
        """The text without what can be told by its form alone; quotes and escapes around it stay as they are."""
        for each in self._known:
            if each in text:
                text = text.replace(each, MASK)
        # Asked first what is a fraction of the work: nearly every text has none of it.
        if "dw" in text or "eyJ" in text or "$argon2" in text or "-----BEGIN " in text:
            return _CREDENTIALS.sub(MASK, text)
        return text

    def _plain(self, text: str) -> str:
        text = self.unmistakable(text)
        for pattern in (_HEADERS, _SCHEMES, _PAIRS):
            text = pattern.sub(_mask_value, text)
        return _USER_INFO.sub(rf"\1:{MASK}@", text)

    def _unescaped(self, match: re.Match[str]) -> str:
        text = match.group()
        for _ in range(3):
            unescaped = unquote_plus(text)
            if unescaped == text:
                break
            text = unescaped
            if self._plain(text) != text:
                return MASK
        return match.group()

    def value(self, value: Any, *, depth: int = 0) -> Any:
        """The value with every credential in it masked; whatever is no plain JSON value becomes text."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if depth >= MOST_DEPTH:
            return "…"
        if isinstance(value, Mapping):
            return self.mapping(value, depth=depth)
        if isinstance(value, list | tuple | set | frozenset):
            items = [self.value(item, depth=depth + 1) for item, _ in zip(value, range(MOST_ITEMS), strict=False)]
            return _mask_second(items)
        return self.line(_as_text(value))

    def line(self, text: str) -> str:
        """Text in one line and of bounded length: nobody forges a second entry by a line break in a user agent."""
        if text in self._harmless:
            return text
        masked = _CONTROL.sub(_escape, self.text(text[:MOST_CHARACTERS]))
        # Most of what is written are a few words, over and over; what was changed is not kept, whatever it is.
        if masked == text and len(text) <= _LONGEST_KEPT and len(self._harmless) < _MOST_KEPT:
            self._harmless.add(text)
        return masked

    def lines(self, text: str) -> str:
        """Text of several lines, such as a traceback; of a long one the end, where the error stands."""
        # More than is kept is masked: a token cut in two has lost what it is known by, but is shorter than the rest.
        masked = self.text(text[-4 * MOST_CHARACTERS :])
        return "\n".join(_CONTROL.sub(_escape, line) for line in masked[-MOST_CHARACTERS:].split("\n"))

    def mapping(self, mapping: Mapping[Any, Any], *, depth: int = 0) -> dict[str, Any]:
        """What has names: a value whose name says that it authenticates is masked, whatever it is."""
        masked: dict[str, Any] = {}
        is_jwk = "kty" in mapping
        for (name, value), _ in zip(mapping.items(), range(MOST_ITEMS), strict=False):
            if type(name) is str and name in self._harmless_names and not is_jwk:
                masked[name] = self.value(value, depth=depth + 1)
                continue
            text = self.line(_as_text(name))
            if value is None or isinstance(value, bool):
                masked[text] = value
            elif is_sensitive(_as_text(name)) or (is_jwk and text in _PRIVATE_JWK_MEMBERS):
                masked[text] = MASK
            else:
                masked[text] = self.value(value, depth=depth + 1)
                self._remember_name(name, text)
        return masked

    def _remember_name(self, name: Any, masked: str) -> None:
        """Entries have the same few names over and over."""
        if (
            type(name) is str
            and name == masked
            and len(name) <= _LONGEST_KEPT
            and len(self._harmless_names) < _MOST_KEPT
        ):
            self._harmless_names.add(name)


def is_sensitive(name: str) -> bool:
    """Whether what goes by this name is masked, whatever it looks like."""
    return _SENSITIVE_NAME.search(unquote_plus(name)) is not None


def _mask_second(pair: list[Any]) -> list[Any]:
    """A header as ASGI hands it over is a pair, whose first says what the second is."""
    if len(pair) == 2 and isinstance(pair[0], str) and len(pair[0]) < 64 and is_sensitive(pair[0]):
        return [pair[0], MASK]
    return pair


def _mask_value(match: re.Match[str]) -> str:
    name, value = match.group(1), match.group(2)
    if value in {"None", "null", "true", "false", "True", "False"}:
        return match.group()
    quote_mark = value[-1] if value[-1] in "\"'" else ""
    return f"{name}{quote_mark}{MASK}{quote_mark}"


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value[:MOST_CHARACTERS]).decode("utf-8", "backslashreplace")
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 -- whatever a foreign repr raises, a log entry must not fail by it
        return f"<{type(value).__name__}>"


def _escape(match: re.Match[str]) -> str:
    return {"\n": "\\n", "\r": "\\r"}.get(match.group(), f"\\x{ord(match.group()):02x}")


def _spellings(text: str) -> set[str]:
    """A secret as it is, and as it looks in an address, in JSON, in a repr, or in base64."""
    if len(text) < _LEAST_LITERAL:
        return set()
    raw = text.encode()
    plain = {text, quote(text), quote(text, safe=""), quote_plus(text), dumps(text)[1:-1], repr(text)[1:-1]}
    return plain | {encode(raw).decode().rstrip("=") for encode in (b64encode, urlsafe_b64encode)}
