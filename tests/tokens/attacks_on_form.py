"""Attacks on how a token is written: its parts, its base64url, its JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.tokens.minting import (
    CLAIMS,
    a_header,
    a_payload,
    a_token,
    a_token_of_parts,
    base64url,
    nested_lists,
    to_json,
)
from tests.tokens.vector import Vector
from tests.tokens.vector import vector as _v


def json_forms() -> Iterator[Vector]:
    """RFC 7515 section 4, RFC 8259, RFC 7493 section 2; RFC 8725 section 3.7."""
    header, payload = to_json(a_header()), to_json(CLAIMS)
    for name, part in (
        ("alg twice", header.replace(b"{", b'{"alg":"none",', 1)),
        ("alg twice, the same", header.replace(b"{", b'{"alg":"ES256",', 1)),
        ("kid twice", header.replace(b"}", b',"kid":"rs256"}')),
        ("alg twice, once escaped", header.replace(b"{", b'{"\\u0061lg":"none",', 1)),
    ):
        yield _v(f"header with {name}", "header", a_token(part))
    for name, part in (
        ("sub twice", payload.replace(b"{", b'{"sub":"admin",', 1)),
        ("sub twice, with a space before the colon", payload.replace(b"}", b',"sub" :"admin"}')),
        ("sub twice, once escaped", payload.replace(b"{", b'{"s\\u0075b":"admin",', 1)),
        ("an added claim twice", payload.replace(b"{", b'{"x":1,"x":1,', 1)),
        ("duplicate members below", to_json(a_payload(x=0)).replace(b'"x":0', b'"x":{"a":1,"a":2}')),
        ("duplicate members in a list", to_json(a_payload(x=0)).replace(b'"x":0', b'"x":[[{"a":1,"a":1}]]')),
    ):
        yield _v(f"payload with {name}", "claims", a_token(payload=part))
    for name, part in malformed(header):
        yield _v(f"header with {name}", "header", a_token(part))
    for name, part in malformed(payload):
        yield _v(f"payload with {name}", "claims", a_token(payload=part))
    yield _v("nesting of depth 9", "claims", a_token(payload=a_payload(deep=nested_lists(8))))
    yield _v(
        "nesting, with brackets in strings",
        "claims",
        a_token(payload=a_payload(t='"]]]]]]]]\\"', deep=nested_lists(8))),
    )


def malformed(right: bytes) -> Iterator[tuple[str, bytes]]:
    def member(value: bytes) -> bytes:
        return right.replace(b"{", b'{"zz":' + value + b",", 1)

    yield "a BOM", b"\xef\xbb\xbf" + right
    yield "UTF-16", right.decode().encode("utf-16")
    yield "a NUL at the end", right + b"\0"
    yield "a NUL in a string", member(b'"\0"')
    yield "an unknown invalid string", member(b'"\xff"')
    yield "a lone surrogate", member(b'"\\ud800"')
    yield "NaN", member(b"NaN")
    yield "Infinity", member(b"-Infinity")
    yield "1e400", member(b"1e400")
    yield "2^53 + 1", member(b"9007199254740993")
    yield "-2^53 - 1", member(b"-9007199254740993")
    yield "an integer of 400 digits", member(b"9" * 400)
    yield "an integer of 3000 digits", member(b"9" * 3000)
    yield "a leading zero", member(b"01")
    yield "single quotes", right.replace(b'"', b"'")
    yield "a trailing comma", right[:-1] + b",}"
    yield "a comment", right[:-1] + b"/**/}"
    yield "something after it", right + b"{}"
    yield "its end missing", right[:-1]
    yield "1,000 nested lists", member(b"[" * 1000 + b"]" * 1000)
    yield "4,000 open lists", b"[" * 4000
    yield "900 nested objects", b'{"a":' * 900 + b"1" + b"}" * 900
    yield "a list in place of the object", b"[" + right + b"]"
    for scalar in (b"null", b"true", b"1", b'"x"', b"[]"):
        yield f"{scalar.decode()} in place of the object", scalar


def forms() -> Iterator[Vector]:
    """RFC 7515 sections 2 and 7; RFC 4648 section 3."""
    header, payload, signature = a_token().split(".")
    for name, token in (
        ("nothing", ""),
        ("a dot", "."),
        ("two dots", ".."),
        ("one part", header),
        ("two parts", f"{header}.{payload}"),
        ("the signature stripped", f"{header}.{payload}."),
        ("the payload detached", f"{header}..{signature}"),
        ("the header missing", f".{payload}.{signature}"),
        ("four parts", f"{header}.{payload}.{signature}.{signature}"),
        ("five parts, as a JWE", f"{header}.{payload}.{payload}.{payload}.{signature}"),
        ("a dot at the end", f"{header}.{payload}.{signature}."),
        ("a scheme before it", f"Bearer {header}.{payload}.{signature}"),
        ("a space before it", f" {header}.{payload}.{signature}"),
        ("a line break after it", f"{header}.{payload}.{signature}\n"),
        ("a line break in it", f"{header}.{payload[:9]}\n{payload[9:]}.{signature}"),
        ("a NUL after it", f"{header}.{payload}.{signature}\0"),
        ("padding", f"{header}.{payload}.{signature}=="),
        ("the standard alphabet", f"{header}.{payload}.{'+' + signature[1:]}"),
        ("an escaped character", f"{header}.{payload}.%41{signature[1:]}"),
        ("a JSON escape", f"{header}.{payload}.\\u0041{signature[1:]}"),
        ("a quote", f'{header}.{payload}."{signature[1:]}'),
        ("a character beyond ASCII", f"{header}.{payload}.{signature[:-1]}\u00e9"),
        ("a full-width character", f"{header}.{payload}.\uff21{signature[1:]}"),
        ("a lone surrogate", f"{header}.{payload}.\ud800{signature[1:]}"),
        ("20 KiB", "A" * 20480),
        ("20 KiB of brackets", "[" * 20480),
        ("8,193 dots", "." * 8193),
        ("one character more than 8 KiB", a_token(payload=a_payload(x="x" * 5565))[:8193].ljust(8193, "A")),
    ):
        yield _v(name, "form", token)
    yield _v("stray bits in the signature", "form", f"{header}.{payload}.{stray(signature)}")
    yield _v("stray bits in the header, signed so", "form", a_token_of_parts(stray(header), payload))
    for part in (base64url(to_json(a_payload(t=text))) for text in ("", "x", "xx")):
        if surplus := len(part) % 4:  # of three lengths in a row one leaves nothing over
            token = a_token_of_parts(header, stray(part))
            yield _v(f"stray bits in the payload, {surplus} characters over, signed so", "form", token)
    padded = a_token_of_parts(header, payload + "=" * (-len(payload) % 4 or 4))
    yield _v("padding in the payload, signed so", "form", padded)
    members = {"payload": payload, "protected": header, "signature": signature}
    yield _v("the flattened JSON form", "form", json.dumps(members))
    general = {"payload": payload, "signatures": [{"protected": header, "signature": signature}]}
    yield _v("the general JSON form", "form", json.dumps(general))


def stray(part: str) -> str:
    """The same bytes in another spelling, where the length leaves bits over."""
    assert len(part) % 4
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return part[:-1] + alphabet[alphabet.index(part[-1]) + 1]
