from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from doorward.errors import InvalidToken
from doorward.keys.model import Algorithm, SigningKey, generate_signing_key
from doorward.tokens.access import read_unverified_access_token, sign_access_token
from tests.tokens.minting import (
    ALL_KEYS,
    AUDIENCE,
    CLAIMS,
    ES256,
    NOW,
    RS256,
    T,
    a_header,
    a_payload,
    a_token,
    a_verifier,
    some_claims,
)

TICK = timedelta(microseconds=1)
SKEW = timedelta(seconds=60)


@pytest.mark.rfc("9068", "2")
@pytest.mark.parametrize("key", ALL_KEYS, ids=lambda key: key.algorithm)
def test_what_is_minted_is_verified_with_the_same_claims(key: SigningKey) -> None:
    token = sign_access_token(some_claims(), key)
    assert a_verifier().verify(token, now=NOW) == some_claims()
    assert read_unverified_access_token(token) == (a_header(key), CLAIMS)


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_a_key_just_made_signs_and_verifies(algorithm: Algorithm) -> None:
    key = generate_signing_key(algorithm)
    verifier = a_verifier(keys={key.kid: key.verification_key()})
    assert verifier.verify(sign_access_token(some_claims(), key), now=NOW) == some_claims()


@pytest.mark.parametrize(
    "changes",
    [
        {"gen": None},
        {"nbf": T},
        {"aud": (AUDIENCE, "https://other.example.com")},
        {"roles": ()},
        {"scope": ""},
        {"sub": 'Zo\u00eb "\u65e5\u672c" \U0001f600\n'},
        {"extra": {"https://example.com/tenant": {"id": 7, "on": True, "of": [None, 1.5]}}},
    ],
)
def test_claims_of_every_shape_survive_the_way(changes: dict[str, Any]) -> None:
    claims = some_claims(**changes)
    assert a_verifier().verify(sign_access_token(claims, ES256), now=NOW) == claims


@pytest.mark.parametrize("name", ["sub", "roles", "nbf", "extra"])
def test_an_added_claim_cannot_take_the_name_of_one_of_ours(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        sign_access_token(some_claims(extra={name: "admin"}), ES256)


# Times: one tick before, at and after.


@pytest.mark.parametrize(("now", "alive"), [(SKEW - TICK, True), (SKEW, False), (SKEW + TICK, False)])
def test_a_token_lives_until_exp_and_the_skew(now: timedelta, alive: bool) -> None:  # noqa: FBT001  # a table's column
    assert_alive(a_payload(exp=T, iat=T - 900), NOW + now, alive=alive)


@pytest.mark.parametrize("claim", ["iat", "nbf"])
@pytest.mark.parametrize(("now", "alive"), [(-SKEW - TICK, False), (-SKEW, True), (-SKEW + TICK, True)])
def test_a_token_lives_from_iat_and_nbf_less_the_skew(claim: str, now: timedelta, alive: bool) -> None:  # noqa: FBT001
    assert_alive(a_payload(**{claim: T}), NOW + now, alive=alive)


@pytest.mark.parametrize(("now", "alive"), [(-TICK, True), (timedelta(), False)])
def test_without_skew_a_token_dies_at_exp(now: timedelta, alive: bool) -> None:  # noqa: FBT001
    assert_alive(a_payload(exp=T, iat=T - 900), NOW + now, alive=alive, clock_skew=timedelta())


def assert_alive(payload: dict[str, Any], now: datetime, *, alive: bool, **options: Any) -> None:
    verifier, token = a_verifier(**options), a_token(payload=payload)
    if alive:
        assert verifier.verify(token, now=now).sub == CLAIMS["sub"]
    else:
        with pytest.raises(InvalidToken):
            verifier.verify(token, now=now)


def test_the_offset_of_now_does_not_matter_but_that_it_has_one_does() -> None:
    east = NOW.astimezone(timezone(timedelta(hours=9)))
    assert a_verifier().verify(a_token(), now=east) == some_claims()
    with pytest.raises(ValueError, match="aware"):
        a_verifier().verify(a_token(), now=NOW.replace(tzinfo=None))


# Keys


def test_replacing_the_keys_takes_effect_at_once() -> None:
    verifier, token = a_verifier(), a_token()
    assert verifier.verify(token, now=NOW) == some_claims()
    verifier.keys = {RS256.kid: RS256.verification_key()}
    with pytest.raises(InvalidToken):
        verifier.verify(token, now=NOW)
    verifier.keys = {ES256.kid: ES256.verification_key()}
    assert verifier.verify(token, now=NOW) == some_claims()


def test_a_token_of_another_key_with_our_kid_is_refused() -> None:
    impostor = generate_signing_key(Algorithm.ES256)
    with pytest.raises(InvalidToken, match="signature"):
        a_verifier().verify(a_token(a_header(), key=impostor), now=NOW)


@pytest.mark.rfc("8725", "3.10")
def test_nothing_of_the_payload_is_read_before_its_signature_is_known_to_be_right() -> None:
    with pytest.raises(InvalidToken, match="signature"):
        a_verifier().verify(a_token(payload=b"[" * 4000, signature=bytes(64)), now=NOW)


@pytest.mark.rfc("8725", "3.9")
@pytest.mark.parametrize("options", [{"issuer": ""}, {"audience": ""}, {"clock_skew": -SKEW}])
def test_a_verifier_that_would_take_any_token_is_not_made(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"needs|negative"):
        a_verifier(**options)


def test_reading_without_verifying_shows_a_token_that_is_not_ours() -> None:
    header, claims = read_unverified_access_token(a_token({"alg": "none", "jku": "https://evil.example"}, {"n": 1}))
    assert (header, claims) == ({"alg": "none", "jku": "https://evil.example"}, {"n": 1})
