from __future__ import annotations

import binascii
import contextlib
import json
import string
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from doorward.errors import InvalidToken
from doorward.tokens.compact import (
    MAX_DEPTH,
    MAX_INTEGER,
    MAX_KID_LENGTH,
    MAX_TOKEN_BYTES,
    parse_base64url,
    parse_compact,
    parse_object,
)
from tests.tokens.minting import a_header, a_payload, a_token, nested_lists

# base64url


@given(st.binary(min_size=1))
def test_base64url_gives_back_what_was_encoded(raw: bytes) -> None:
    assert parse_base64url(urlsafe_b64encode(raw).rstrip(b"=")) == raw


@pytest.mark.rfc("4648", "3.5")
@given(st.one_of(st.binary(min_size=1), st.text(string.ascii_letters + '-_+/=!\\"u0 \n', min_size=1).map(str.encode)))
@example(b"QR")
@example(b"QUJ")
@example(b'"QUJD"')
@example(b"\\u0041")
def test_base64url_has_one_spelling(part: bytes) -> None:
    try:
        canonical = urlsafe_b64encode(urlsafe_b64decode(part + b"=" * (-len(part) % 4))).rstrip(b"=") == part
    except binascii.Error:
        canonical = False
    if canonical:
        parse_base64url(part)
    else:
        with pytest.raises(InvalidToken):
            parse_base64url(part)


# JSON


ORDINARY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def depth_of(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth_of, inner), default=0)


@given(st.dictionaries(st.text(), ORDINARY, max_size=4), st.sampled_from([None, 1]), st.booleans())
def test_an_ordinary_object_is_read_however_it_is_spaced_and_escaped(
    members: dict[str, Any],
    indent: int | None,
    ascii_only: bool,  # noqa: FBT001  # drawn
) -> None:
    try:
        raw = json.dumps(members, indent=indent, ensure_ascii=ascii_only).encode()
    except UnicodeEncodeError:
        return  # a lone surrogate
    if depth_of(members) <= MAX_DEPTH and "\\ud8" not in raw.decode().lower():
        assert parse_object(raw) == members


@pytest.mark.rfc("7515", "4")
@given(st.dictionaries(st.text('ab\\"{:', max_size=3), st.integers(0, 9), min_size=1, max_size=4), st.data())
def test_a_member_that_stands_twice_is_seen_wherever_it_stands(members: dict[str, int], data: st.DataObject) -> None:
    pairs = [
        json.dumps(name) + data.draw(st.sampled_from([":", " :", ": ", "\t:\n"])) + str(n)
        for name, n in members.items()
    ]
    again = json.dumps(data.draw(st.sampled_from(sorted(members)))) + ":0"
    once = "{" + ",".join(pairs) + "}"
    pairs.insert(data.draw(st.integers(0, len(pairs))), again)
    twice = "{" + ",".join(pairs) + "}"
    for frame in ("%s", '{"x":%s}', '{"x":[1,%s]}', '{"a":"}{","x":{"y":%s},"b":"\\"%%"}'):
        assert parse_object((frame % once).encode())
        with pytest.raises(InvalidToken):
            parse_object((frame % twice).encode())


@given(st.one_of(st.binary(), st.text('{}[]":,\\ 01eE+-.nulltruefas\ufeff').map(str.encode)))
def test_any_bytes_are_an_object_or_refused(raw: bytes) -> None:
    with contextlib.suppress(InvalidToken):
        assert type(parse_object(raw)) is dict


@pytest.mark.parametrize(("depth", "taken"), [(7, True), (8, True), (9, False)])
def test_depth_ends_at_8(depth: int, taken: bool) -> None:  # noqa: FBT001  # a table's column
    raw = json.dumps({"x": nested_lists(depth - 1)}).encode()
    assert_taken(raw, taken=taken)


@pytest.mark.parametrize("text", ["[" * 50, '"' + "{" * 50, "\\" + "[" * 50, '\\"[' * 20])
def test_brackets_in_a_string_are_no_depth(text: str) -> None:
    assert parse_object(json.dumps({"x": text, "y": [text]}).encode()) == {"x": text, "y": [text]}


def test_many_brackets_beside_each_other_are_no_depth() -> None:
    assert parse_object(b'{"x":[' + b"[]," * 50 + b"{}]}")


@pytest.mark.parametrize("value", [MAX_INTEGER, -MAX_INTEGER])
def test_integers_end_at_2_to_the_53(value: int) -> None:
    for frame in ('{"x":%d}', '{"x":[{"y":%d}]}', '{"x" : %d}'):
        assert_taken((frame % value).encode(), taken=True)
        assert_taken((frame % (value + (1 if value > 0 else -1))).encode(), taken=False)


def assert_taken(raw: bytes, *, taken: bool) -> None:
    if taken:
        assert parse_object(raw) == json.loads(raw)
    else:
        with pytest.raises(InvalidToken):
            parse_object(raw)


# Sizes: one before, at and after.


@pytest.mark.parametrize("length", [MAX_TOKEN_BYTES - 1, MAX_TOKEN_BYTES, MAX_TOKEN_BYTES + 1])
def test_a_token_has_at_most_8_kib(length: int) -> None:
    head = "".join(a_token().rpartition(".")[:2])
    filled = head + "A" * (length - len(head))
    if length > MAX_TOKEN_BYTES:
        with pytest.raises(InvalidToken, match="8 KiB"):
            parse_compact(filled)
    elif (length - len(head)) % 4 != 1:
        assert len(parse_compact(filled).signature) == (length - len(head)) * 3 // 4
    else:
        with pytest.raises(InvalidToken, match="canonical"):
            parse_compact(filled)


@pytest.mark.parametrize("length", [MAX_KID_LENGTH - 1, MAX_KID_LENGTH, MAX_KID_LENGTH + 1])
def test_a_kid_has_at_most_128_characters(length: int) -> None:
    token = a_token(a_header(kid="k" * length))
    if length > MAX_KID_LENGTH:
        with pytest.raises(InvalidToken, match="128"):
            parse_compact(token)
    else:
        assert parse_compact(token).header.kid == "k" * length


def test_a_header_is_refused_every_time_it_comes() -> None:
    # Headers are remembered: only those that were right.
    for _ in range(3):
        with pytest.raises(InvalidToken, match="member other"):
            parse_compact(a_token(a_header(jku="https://evil.example")))


def test_a_token_taken_apart_shows_nothing_of_itself_when_printed() -> None:
    compact = parse_compact(a_token(payload=a_payload(sub="acc_secret")))
    assert "acc_secret" not in repr(compact)
    assert "eyJ" not in repr(compact)
