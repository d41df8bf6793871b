"""The JWS compact form, read strictly: one spelling of one token, and nothing in it that we do not know.

RFC 7515 lets a reader be generous; each generosity has been an attack.  So a token here has at most 8 KiB in three
parts of canonical base64url, a header of ``alg``, ``kid``, ``typ`` and ``cty`` alone, and JSON objects in UTF-8 without
duplicate members, NaN, integers beyond 2^53 or depth.  Header members that ask for something (``crit``, ``b64``,
``zip``, ``jwk``, ``jku``, ``x5c``, ``x5u``) are refused by not being in that list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NoReturn

import msgspec

from doorward.errors import InvalidToken

MAX_TOKEN_BYTES = 8192
MAX_DEPTH = 8
MAX_INTEGER = 2**53  # beyond it, readers that keep numbers as doubles see another number (RFC 8259 section 6)
MAX_KID_LENGTH = 128
HEADER_MEMBERS = frozenset({"alg", "kid", "typ", "cty"})

_HEADERS_REMEMBERED = 64


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What the header says, unverified.

    Args:
        media_type: ``typ`` in lower case without ``application/`` (RFC 7515 section 4.1.9), or None.
    """

    alg: str
    kid: str | None
    media_type: str | None


class Compact:
    """A token taken apart, unverified; the payload is not even read."""

    __slots__ = ("header", "payload", "signature", "signing_input")

    def __init__(self, header: Header, payload: bytes, signature: bytes, signing_input: bytes) -> None:
        self.header = header
        self.payload = payload
        self.signature = signature
        self.signing_input = signing_input


def parse_compact(token: str) -> Compact:
    """Take a token apart.

    Args:
        token: what was presented, anything at all.

    Raises:
        InvalidToken: it is not a JWS in compact form, in its one spelling, with a header that we know.

    RFC 7515 section 7.1; RFC 8725 section 3.
    """
    header, payload, signature, signing_input = _parts_of(token)
    return Compact(_parse_header(header), parse_base64url(payload), parse_base64url(signature), signing_input)


def read_unverified_parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read header and payload, whatever members they have.  NOTHING has been verified.

    Raises:
        InvalidToken: it is not a JWS in compact form, in its one spelling, of two JSON objects.
    """
    header, payload, _, _ = _parts_of(token)
    return parse_object(parse_base64url(header)), parse_object(parse_base64url(payload))


def _parts_of(token: str) -> tuple[bytes, bytes, bytes, bytes]:
    if len(token) > MAX_TOKEN_BYTES:
        raise InvalidToken("the token is longer than 8 KiB")
    try:
        text = token.encode("ascii")
    except UnicodeEncodeError:
        raise InvalidToken("the token is not ASCII") from None
    signing_input, _, signature = text.rpartition(b".")
    header, _, payload = signing_input.partition(b".")
    if not (header and payload and signature):
        raise InvalidToken("the token has not three parts")
    return header, payload, signature, signing_input


# base64url by msgspec's reader of base64, which is strict and takes less than half of binascii's time.  It reads a JSON
# string, so everything that is not of our alphabet (quotes, backslashes, "+", "/", "=") becomes "!", which it refuses.
# It passes over the bits that the last character has too many: so that one must be a character without them.
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_TO_BASE64 = bytes((code if code in _ALPHABET else ord("!")) for code in range(256)).translate(
    bytes.maketrans(b"-_", b"+/")
)
_END = (b'"', b'==="', b'=="', b'="')
_LAST = (frozenset(_ALPHABET), frozenset(b""), frozenset(_ALPHABET[::16]), frozenset(_ALPHABET[::4]))
_read_base64 = msgspec.json.Decoder(bytes).decode


def parse_base64url(part: bytes) -> bytes:
    """Decode base64url in its one canonical spelling: no padding, white space or stray bits.

    Args:
        part: at least one byte.

    Raises:
        InvalidToken: it is another spelling, or none.

    RFC 7515 section 2; RFC 4648 sections 3.5 and 5.
    """
    surplus = len(part) % 4
    if part[-1] not in _LAST[surplus]:
        raise InvalidToken("a part of the token is not canonical base64url")
    try:
        return _read_base64(b'"' + part.translate(_TO_BASE64) + _END[surplus])
    except msgspec.MsgspecError:
        raise InvalidToken("a part of the token is not base64url") from None


# A key signs under one header, so its few bytes are read once.  Only headers that parsed are remembered.
@lru_cache(maxsize=_HEADERS_REMEMBERED)
def _parse_header(part: bytes) -> Header:
    members = parse_object(parse_base64url(part))
    if not members.keys() <= HEADER_MEMBERS:
        raise InvalidToken("the header has a member other than alg, kid, typ and cty")
    if not all(type(value) is str for value in members.values()):
        raise InvalidToken("the header has a member that is not a string")
    if "alg" not in members:
        raise InvalidToken("the header has no alg")
    kid, typ = members.get("kid"), members.get("typ")
    if kid is not None and len(kid) > MAX_KID_LENGTH:
        raise InvalidToken(f"the kid is longer than {MAX_KID_LENGTH} characters")
    return Header(
        alg=members["alg"], kid=kid, media_type=None if typ is None else typ.lower().removeprefix("application/")
    )


# JSON

_read_object = msgspec.json.Decoder(dict[str, Any]).decode
_write = msgspec.json.Encoder().encode
_BRACKETS = re.compile(rb"[][{}]")
# The closing quote may be missing: otherwise a text of opening quotes alone would be searched over and over.
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)


def parse_object(raw: bytes) -> dict[str, Any]:
    """Read a JSON object of which no two readers can see two versions.

    Raises:
        InvalidToken: it is not a JSON object in UTF-8, is deeper than 8, has duplicate members at any depth, NaN, an
            infinity, or an integer beyond 2^53.

    RFC 7515 section 4 (duplicate members); RFC 8259 sections 4, 6 and 8; RFC 7493 section 2.
    """
    _refuse_depth(raw)
    try:
        members = _read_object(raw)
    except (msgspec.MsgspecError, ValueError):
        raise InvalidToken("a part of the token is not a JSON object") from None
    if _write(members) != raw:
        # Written again it would be the same, had it been written compactly and nothing in it twice.  It may only have
        # been written otherwise: the slower reader tells.
        _refuse_duplicates(raw)
    _refuse_big_integers(members.values())
    return members


def _refuse_depth(raw: bytes) -> None:
    """Refuse what is nested deeper than 8, before a reader that recurses sees it."""
    if raw.count(b"{") + raw.count(b"[") <= MAX_DEPTH:
        return
    depth = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub(b"", raw)):
        depth += 1 if bracket in b"{[" else -1
        if depth > MAX_DEPTH:
            raise InvalidToken("a part of the token is nested too deeply")


def _refuse_big_integers(values: Iterable[Any]) -> None:
    """Refuse an integer beyond 2^53 anywhere.  The depth is bounded, so this may recurse."""
    for value in values:
        kind = type(value)
        if kind is int and not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise InvalidToken("a part of the token has an integer beyond 2^53")
        if kind is dict:
            _refuse_big_integers(value.values())
        elif kind is list:
            _refuse_big_integers(value)


def _refuse_duplicates(raw: bytes) -> None:
    try:
        _read_pairs(raw.decode())
    except ValueError:
        raise InvalidToken("a part of the token is not JSON, or has duplicate members") from None


def _unique(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("duplicate members")


def _no_constant(_name: str) -> NoReturn:
    raise ValueError("NaN and infinities are not JSON")


_read_pairs = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant).decode
