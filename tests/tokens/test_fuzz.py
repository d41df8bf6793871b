"""A token that is changed in any way is refused, and refused as a token."""

from __future__ import annotations

import contextlib
import string
from typing import Final

from hypothesis import example, given
from hypothesis import strategies as st

from doorward.errors import InvalidToken
from doorward.tokens.access import AccessTokenVerifier, read_unverified_access_token
from tests.tokens.minting import ALL_KEYS, CLAIMS, NOW, a_token, a_verifier

VALID: Final = {str(key.algorithm): a_token(key=key) for key in ALL_KEYS}
VERIFIER: Final = a_verifier()
OF_TOKENS: Final = st.sampled_from(string.ascii_letters + string.digits + "-_.")
ANY: Final = st.one_of(OF_TOKENS, st.characters(codec=None), st.sampled_from('=+/ \n\0"\\{}[]\ud800'))


def assert_only_itself(token: str, verifier: AccessTokenVerifier = VERIFIER) -> None:
    try:
        claims = verifier.verify(token, now=NOW)
    except InvalidToken:
        assert token not in VALID.values()
    else:
        assert token in VALID.values()
        assert claims.sub == CLAIMS["sub"]


@given(st.sampled_from(sorted(VALID)), st.data())
def test_a_token_with_characters_replaced_is_refused(algorithm: str, data: st.DataObject) -> None:
    characters = list(VALID[algorithm])
    for _ in range(data.draw(st.integers(1, 3))):
        characters[data.draw(st.integers(0, len(characters) - 1))] = data.draw(ANY)
    assert_only_itself("".join(characters))


@given(st.sampled_from(sorted(VALID)), st.data())
def test_a_token_with_a_stretch_cut_out_or_put_in_is_refused(algorithm: str, data: st.DataObject) -> None:
    token = VALID[algorithm]
    start = data.draw(st.integers(0, len(token)))
    end = data.draw(st.integers(start, len(token)))
    assert_only_itself(token[:start] + data.draw(st.text(ANY, max_size=8)) + token[end:])


@given(st.lists(st.sampled_from([part for token in VALID.values() for part in token.split(".")]), max_size=5))
def test_parts_of_tokens_put_together_otherwise_are_refused(parts: list[str]) -> None:
    assert_only_itself(".".join(parts))


@given(st.one_of(st.text(max_size=64), st.text(OF_TOKENS, max_size=64)))
@example("\ud800")
@example("a.b.c")
@example("e30.e30.AA")
def test_any_text_is_refused(token: str) -> None:
    assert_only_itself(token)


@given(st.text(st.one_of(OF_TOKENS, st.characters(codec=None)), max_size=64))
def test_any_text_is_read_or_refused(token: str) -> None:
    with contextlib.suppress(InvalidToken):
        read_unverified_access_token(token)
