from __future__ import annotations

import json
from typing import Final

import pytest

from doorward.errors import InvalidToken
from doorward.tokens.access import read_unverified_access_token
from tests.tokens.attacks import VECTORS, document, vectors
from tests.tokens.minting import NOW, a_verifier
from tests.tokens.vector import Vector

_JSON = {"header", "claims"}
WHAT_IS_WRONG: Final[dict[str, set[str]]] = {
    "the token is longer than 8 KiB": {"form"},
    "the token is not ASCII": {"form"},
    "the token has not three parts": {"form"},
    "a part of the token is not base64url": {"form"},
    "a part of the token is not canonical base64url": {"form"},
    "a part of the token is not a JSON object": _JSON,
    "a part of the token is not JSON, or has duplicate members": _JSON,
    "a part of the token is nested too deeply": _JSON,
    "a part of the token has an integer beyond 2^53": _JSON,
    "the header has a member other than alg, kid, typ and cty": {"header"},
    "the header has a member that is not a string": {"header"},
    "the header has no alg": {"header"},
    "the kid is longer than 128 characters": {"header"},
    "the kid names no key of the issuer": {"kid"},
    "the header's alg is not the key's algorithm": {"alg"},
    "the signature is wrong": {"signature"},
    "the typ is not at+jwt": {"typ"},
    "the payload is no JSON object, or a claim is missing or of the wrong type": {"claims"},
    "a claim is null": {"claims"},
    "no claim may be named extra": {"claims"},
    "the iss is not our issuer": {"iss"},
    "the aud does not name us": {"aud"},
    "the token has expired": {"time"},
    "the token was issued in the future": {"time"},
    "the token is not valid yet": {"time"},
}
ALL: Final = vectors()
REFUSED: Final = [pytest.param(vector, id=vector.name) for vector in ALL if vector.refused is not None]
ACCEPTED: Final = [pytest.param(vector, id=vector.name) for vector in ALL if vector.refused is None]


@pytest.mark.rfc("8725", "3")
@pytest.mark.parametrize("vector", REFUSED)
def test_an_attack_is_refused_as_an_invalid_token_and_for_the_reason_that_it_is_one(vector: Vector) -> None:
    with pytest.raises(InvalidToken) as refusal:
        a_verifier().verify(vector.token, now=NOW)
    assert vector.refused in WHAT_IS_WRONG[refusal.value.detail]


@pytest.mark.parametrize("vector", ACCEPTED)
def test_what_the_attacks_were_made_from_is_accepted(vector: Vector) -> None:
    assert a_verifier().verify(vector.token, now=NOW).sub == "acc_7Xk2"


def test_every_reason_to_refuse_has_an_attack() -> None:
    verifier, met = a_verifier(), set()
    for vector in ALL:
        if vector.refused is not None:
            with pytest.raises(InvalidToken) as refusal:
                verifier.verify(vector.token, now=NOW)
            met.add(refusal.value.detail)
    assert met == set(WHAT_IS_WRONG)


def test_every_attack_has_a_name_of_its_own() -> None:
    assert len({vector.name for vector in ALL}) == len(ALL)


@pytest.mark.parametrize("vector", REFUSED)
def test_reading_without_verifying_answers_or_refuses_and_never_breaks(vector: Vector) -> None:
    try:
        header, claims = read_unverified_access_token(vector.token)
    except InvalidToken:
        return
    assert {type(header), type(claims)} == {dict}


@pytest.mark.parametrize("vector", REFUSED)
def test_a_refusal_says_nothing_of_the_token(vector: Vector) -> None:
    # What an attacker writes would otherwise stand in the log, line breaks and all.
    with pytest.raises(InvalidToken) as refusal:
        a_verifier().verify(vector.token, now=NOW)
    assert refusal.value.__cause__ is None
    assert refusal.value.detail in WHAT_IS_WRONG


def test_the_vectors_for_other_languages_are_these() -> None:
    assert json.loads(VECTORS.read_text()) == json.loads(document()), "run: python -m tests.tokens.attacks"
