from __future__ import annotations

from typing import Any

import pytest

from doorward.errors import InvalidToken
from doorward.keys.model import import_signing_key, import_verification_key
from doorward.tokens.compact import parse_compact
from doorward.tokens.signature import sign, verify_signature
from tests.tokens.rfc_keys import EXAMPLES

MESSAGES = [b"", b"x", b"x" * 8192]
each_example = pytest.mark.parametrize(("jwk", "token"), [pytest.param(jwk, token, id=s) for s, jwk, token in EXAMPLES])


@pytest.mark.rfc("7515", "A")
@pytest.mark.rfc("8037", "A.4")
@each_example
def test_the_examples_of_the_rfcs_verify(jwk: dict[str, Any], token: str) -> None:
    public = {name: value for name, value in jwk.items() if name != "d"}
    verify_signature(parse_compact(token), import_verification_key(public | {"kid": "example"}))


@each_example
def test_the_examples_of_the_rfcs_are_signed_again(jwk: dict[str, Any], token: str) -> None:
    key, compact = import_signing_key(jwk | {"kid": "example"}), parse_compact(token)
    if key.algorithm != "ES256":  # the one that draws a random number
        assert sign(compact.signing_input, key) == compact.signature


@each_example
def test_no_bit_of_an_example_can_be_changed(jwk: dict[str, Any], token: str) -> None:
    key, compact = import_signing_key(jwk | {"kid": "example"}).verification_key(), parse_compact(token)
    right = compact.signature
    for position in range(0, len(right) * 8, 7):
        flipped = bytearray(right)
        flipped[position // 8] ^= 1 << position % 8
        compact.signature = bytes(flipped)
        with pytest.raises(InvalidToken, match="signature"):
            verify_signature(compact, key)
