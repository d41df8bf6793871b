"""Which keys of a set are taken, and when the set is fetched."""

from __future__ import annotations

import json
from typing import Any

import pytest

from doorward.verifier.keyset import KeySchedule, UnusableKeySet, parse_key_set
from tests.tokens.minting import EDDSA, ES256, HS256, RS256


def jwk(key: Any = ES256, **changes: Any) -> dict[str, Any]:
    members = {**key.verification_key().public_jwk(), **changes}
    return {name: value for name, value in members.items() if value is not ...}


def a_set(*keys: Any) -> bytes:
    return json.dumps({"keys": keys}).encode()


def symmetric() -> dict[str, Any]:
    members: dict[str, Any] = json.loads(HS256.private_jwk_json().reveal())
    return members


def test_every_key_of_a_set_is_known_by_its_kid() -> None:
    keys = parse_key_set(a_set(jwk(ES256), jwk(RS256), jwk(EDDSA)))
    assert keys == {key.kid: key.verification_key() for key in (ES256, RS256, EDDSA)}


@pytest.mark.rfc("7517", "5")
@pytest.mark.parametrize(
    "unusable",
    [
        {"kty": "oct", "k": "x" * 43, "kid": "x"},
        {"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "weak"},
        {"kty": ["EC"]},
        {"kty": "unheard of"},
        {},
        "no object",
        None,
        jwk(EDDSA, use="enc"),
        jwk(EDDSA, alg="ES256"),
    ],
    ids=lambda each: json.dumps(each)[:30],
)
def test_a_key_that_cannot_be_used_is_passed_over(unusable: Any) -> None:
    assert list(parse_key_set(a_set(unusable, jwk(ES256)))) == [ES256.kid]


def test_a_symmetric_key_has_no_business_in_public() -> None:
    assert HS256.kid not in parse_key_set(a_set(symmetric(), jwk(ES256)))
    with pytest.raises(UnusableKeySet):
        parse_key_set(a_set(symmetric()))


def test_a_kid_of_two_keys_is_that_of_none() -> None:
    keys = parse_key_set(a_set(jwk(ES256), jwk(RS256), jwk(EDDSA, kid=RS256.kid), jwk(EDDSA, kid=RS256.kid)))
    assert list(keys) == [ES256.kid]


@pytest.mark.parametrize(
    "body",
    [b"", b"garbage", b"[]", b"null", b"{}", b'{"keys":{}}', b'{"keys":[]}', b"[" * 100_000, a_set(*[jwk()] * 101)],
    ids=lambda body: body[:20],
)
def test_what_holds_no_key_is_refused(body: bytes) -> None:
    with pytest.raises(UnusableKeySet):
        parse_key_set(body)


def a_schedule() -> KeySchedule:
    return KeySchedule(chance=lambda: 1.0)


def test_the_keys_are_fetched_at_once_and_then_now_and_then() -> None:
    schedule = a_schedule()
    assert schedule.fetch_at == 0
    schedule.fetching(at=100)
    assert schedule.fetch_at == 400


def test_they_are_fetched_sooner_where_somebody_wants_them_and_not_before_the_cool_down() -> None:
    schedule = a_schedule()
    schedule.fetching(at=100)
    assert schedule.want(at=101)
    assert not schedule.want(at=102)
    assert schedule.fetch_at == 110
    schedule.fetching(at=110)
    assert schedule.want(at=150)
    assert schedule.fetch_at == 150


@pytest.mark.parametrize(("known", "longest"), [(False, 10), (True, 60)])
def test_what_fails_is_tried_again_ever_more_slowly_but_not_so_slowly_while_nobody_is_let_in(
    longest: float, *, known: bool
) -> None:
    schedule, at, waits = a_schedule(), 0.0, []
    for _ in range(12):
        schedule.fetching(at=at)
        schedule.failed(at=at, known=known)
        waits.append(schedule.fetch_at - at)
        at = schedule.fetch_at
    assert waits[:4] == pytest.approx([10] * 4 if known else [0.2, 0.4, 0.8, 1.6])
    assert waits[-1] == pytest.approx(longest)
    schedule.fetched()
    schedule.failed(at=at, known=True)
    assert schedule.fetch_at - at == pytest.approx(0.2)


def test_where_keys_are_known_the_cool_down_holds_for_failures_too() -> None:
    schedule = a_schedule()
    schedule.fetching(at=0)
    schedule.failed(at=0, known=True)
    assert schedule.fetch_at == 10
