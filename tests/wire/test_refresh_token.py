"""The refresh token: what we wrote is read, and nothing else is."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from doorward.keyring import Keyring
from doorward.secret import Secret
from doorward.wire import base64url
from doorward.wire.refresh_token import PREFIX, RefreshToken, parse_refresh_token, write_refresh_token

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "refresh_token.json").read_text())
TODAY, BEFORE = (Secret(VECTORS["secrets"][name]) for name in ("today", "before"))
KEYRING = Keyring([TODAY, BEFORE])
CLIENT = "first-party"

tokens = st.builds(
    RefreshToken,
    key=st.integers(0, 2**63 - 1),
    generation=st.integers(0, 2**32 - 1),
    secret=st.binary(min_size=16, max_size=16),
)
clients = st.text(max_size=40)
flaws = pytest.mark.parametrize("flaw", VECTORS["refused"], ids=lambda flaw: flaw["name"])


def write(token: RefreshToken, *, client: str = CLIENT, keyring: Keyring = KEYRING) -> str:
    return write_refresh_token(token, client=client, keyring=keyring).reveal()


def parse(text: str, *, client: str = CLIENT, keyring: Keyring = KEYRING) -> RefreshToken | None:
    return parse_refresh_token(text, client=client, keyring=keyring)


@pytest.mark.parametrize("vector", VECTORS["honoured"], ids=lambda vector: vector["name"])
def test_a_vector_is_read_and_written_as_it_says(vector: dict[str, Any]) -> None:
    token = RefreshToken(
        key=int(vector["key"]), generation=vector["generation"], secret=bytes.fromhex(vector["secret"])
    )
    made_with = Keyring([Secret(VECTORS["secrets"][vector["made_with"]])])
    assert write(token, client=vector["client"], keyring=made_with) == vector["text"]
    assert parse(vector["text"], client=vector["client"]) == token
    assert token.secret_hash.hex() == vector["secret_hash"]


@flaws
def test_a_malformed_or_forged_vector_is_refused(flaw: dict[str, str]) -> None:
    assert parse(flaw["text"], client=flaw["client"]) is None


def test_the_vectors_that_must_fail_are_told_from_each_other_and_from_those_that_must_not() -> None:
    refused = {(flaw["text"], flaw["client"]) for flaw in VECTORS["refused"]}
    assert len(refused) == len(VECTORS["refused"]) == len({flaw["name"] for flaw in VECTORS["refused"]})
    assert refused.isdisjoint((vector["text"], vector["client"]) for vector in VECTORS["honoured"])


@given(tokens, clients)
def test_what_was_written_for_a_client_is_read_for_it(token: RefreshToken, client: str) -> None:
    assume(is_encodable(client))
    text = write(token, client=client)
    assert parse(text, client=client) == token
    assert write(token, client=client) == text
    assert len(text) == 90


def is_encodable(text: str) -> bool:
    return text == text.encode(errors="replace").decode()


@given(tokens, clients, clients)
def test_a_token_of_one_client_is_nothing_to_another(token: RefreshToken, client: str, other: str) -> None:
    assume(client != other and is_encodable(client) and is_encodable(other))
    assert parse(write(token, client=client), client=other) is None


@given(tokens, st.integers(0, 64 * 8 - 1))
def test_no_bit_can_be_flipped(token: RefreshToken, bit: int) -> None:
    data = bytearray(base64url.decode(write(token).removeprefix(PREFIX)))
    data[bit // 8] ^= 1 << bit % 8
    assert parse(PREFIX + base64url.encode(bytes(data))) is None


@given(tokens, st.integers(0, 89), st.characters(codec="utf-8"))
def test_no_character_can_be_replaced(token: RefreshToken, place: int, other: str) -> None:
    text = write(token)
    assume(text[place] != other)
    assert parse(text[:place] + other + text[place + 1 :]) is None


@given(tokens, st.integers(0, 90))
def test_a_token_cut_short_is_refused(token: RefreshToken, length: int) -> None:
    assert (parse(write(token)[:length]) is not None) is (length == 90)


@given(st.one_of(st.text(max_size=120), st.text(min_size=86, max_size=86).map(PREFIX.__add__)))
def test_whatever_else_arrives_is_refused_and_nothing_is_raised(text: str) -> None:
    assert parse(text) is None


@given(st.binary(min_size=64, max_size=64))
def test_bytes_of_the_right_shape_are_nothing_without_the_mac(data: bytes) -> None:
    assert parse(PREFIX + base64url.encode(data)) is None
    assert parse(PREFIX + base64url.encode(data[:28] + KEYRING.refresh_key_id + data[32:])) is None


# The secret replaced


@given(tokens)
def test_a_token_made_under_the_old_secret_is_honoured_while_the_new_one_is_listed_first(token: RefreshToken) -> None:
    text = write(token, keyring=Keyring([BEFORE]))
    assert parse(text, keyring=Keyring([TODAY, BEFORE])) == token
    assert parse(text, keyring=Keyring([TODAY])) is None


@given(tokens)
def test_once_the_secret_is_replaced_tokens_are_made_under_the_new_one_alone(token: RefreshToken) -> None:
    text = write(token, keyring=Keyring([TODAY, BEFORE]))
    assert text == write(token, keyring=Keyring([TODAY]))
    assert parse(text, keyring=Keyring([TODAY])) == token
    assert parse(text, keyring=Keyring([BEFORE])) is None


def test_the_repr_of_a_token_shows_neither_its_key_nor_its_secret() -> None:
    token = RefreshToken(key=123_456_789, generation=1, secret=b"sixteen secrets!")
    shown = repr(token)
    assert "123456789" not in shown
    assert "sixteen" not in shown
    assert {field.name for field in fields(token) if field.repr} == {"generation"}
