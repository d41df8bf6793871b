from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc.jwk import ECKey

from doorward.errors import DoorwardError
from doorward.keys.model import (
    Algorithm,
    InvalidKey,
    WeakKey,
    generate_signing_key,
    import_signing_key,
    import_verification_key,
)
from doorward.secret import Secret
from tests.tokens.minting import base64url
from tests.tokens.rfc_keys import EDDSA_JWK, ES256_JWK, HS256_JWK, RS256_JWK

BY_ALGORITHM = {
    Algorithm.ES256: ES256_JWK,
    Algorithm.RS256: RS256_JWK,
    Algorithm.EDDSA: EDDSA_JWK,
    Algorithm.HS256: HS256_JWK,
}
each_algorithm = pytest.mark.parametrize("algorithm", list(Algorithm))


def a_private_jwk(algorithm: Algorithm = Algorithm.ES256, **changes: Any) -> dict[str, Any]:
    jwk = BY_ALGORITHM[algorithm] | {"kid": "k"} | changes
    return {name: value for name, value in jwk.items() if value is not ...}


def a_public_jwk(algorithm: Algorithm = Algorithm.ES256, **changes: Any) -> dict[str, Any]:
    return a_private_jwk(algorithm, **{"d": ..., **changes})


def base64url_of(number: int) -> str:
    return base64url(number.to_bytes((number.bit_length() + 7) // 8))


@each_algorithm
def test_a_generated_key_survives_export_and_import(algorithm: Algorithm) -> None:
    key = generate_signing_key(algorithm)
    again = import_signing_key(key.private_jwk_json())
    assert (again.kid, again.algorithm) == (key.kid, algorithm)
    assert again.private_jwk_json().matches(key.private_jwk_json())
    assert again.verification_key().public_jwk() == key.verification_key().public_jwk()


@pytest.mark.rfc("7638", "3")
@pytest.mark.rfc("8037", "A.3")
def test_the_kid_is_the_thumbprint() -> None:
    key = import_verification_key(a_public_jwk(Algorithm.EDDSA, kid=...))
    assert key.kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


@each_algorithm
def test_two_generated_keys_have_different_kids(algorithm: Algorithm) -> None:
    assert generate_signing_key(algorithm).kid != generate_signing_key(algorithm).kid


def test_the_kid_of_a_shared_secret_says_nothing_about_it() -> None:
    key = generate_signing_key(Algorithm.HS256)
    again = import_signing_key(json.loads(key.private_jwk_json().reveal()) | {"kid": "other"})
    assert again.kid == "other"
    with pytest.raises(InvalidKey, match="kid"):
        import_signing_key(a_private_jwk(Algorithm.HS256, kid=...))


@each_algorithm
def test_no_key_shows_its_secret_when_printed(algorithm: Algorithm) -> None:
    key = generate_signing_key(algorithm)
    jwk = json.loads(key.private_jwk_json().reveal())
    shown = f"{key!r} {key.verification_key()!r} {key.private_jwk_json()!r}"
    assert not any(value in shown for name, value in jwk.items() if name in {"d", "k", "p", "q", "n", "x", "y"})
    assert repr(key.material) not in shown


@pytest.mark.rfc("7517", "4")
@each_algorithm
def test_what_is_published_has_no_private_part(algorithm: Algorithm) -> None:
    jwk = generate_signing_key(algorithm).verification_key().public_jwk()
    if algorithm is Algorithm.HS256:
        assert jwk is None
    else:
        assert jwk is not None
        assert (jwk["alg"], jwk["use"]) == (algorithm, "sig")
        assert set(jwk) <= {"kty", "crv", "x", "y", "n", "e", "kid", "alg", "use"}


# Strength and agreement


@pytest.mark.rfc("7518", "3.2")
@pytest.mark.parametrize(("length", "taken"), [(31, False), (32, True), (33, True)])
def test_a_shared_secret_has_32_bytes(length: int, taken: bool) -> None:  # noqa: FBT001  # a table's column
    from joserfc.jwk import OctKey

    jwk = {**OctKey.import_key(b"x" * length).as_dict(private=True), "kid": "k"}
    if taken:
        assert import_signing_key(jwk).material == import_verification_key(jwk).material == b"x" * length
    else:
        for take in (import_signing_key, import_verification_key):
            with pytest.raises(WeakKey, match="32"):
                take(jwk)


@pytest.mark.rfc("7518", "3.3")
@pytest.mark.parametrize(("bits", "exponent"), [(1024, 65537), (2040, 65537), (2048, 3)])
def test_a_weak_rsa_key_is_refused(bits: int, exponent: int) -> None:
    numbers = rsa.generate_private_key(exponent, bits).private_numbers()
    public, private = numbers.public_numbers, {"d": base64url_of(numbers.d)}
    jwk = {"kty": "RSA", "n": base64url_of(public.n), "e": base64url_of(public.e)}
    with pytest.raises(WeakKey):
        import_signing_key(jwk | private)
    with pytest.raises(WeakKey):
        import_verification_key(jwk)


def test_an_rsa_key_that_would_keep_us_busy_is_refused() -> None:
    with pytest.raises(InvalidKey, match="8192"):
        import_verification_key({"kty": "RSA", "n": base64url_of(2**8200 + 1), "e": "AQAB"})


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1(), ec.SECP256K1()])
def test_es256_is_on_p_256_alone(curve: ec.EllipticCurve) -> None:
    jwk = ECKey.import_key(ec.generate_private_key(curve)).as_dict(private=True)
    for changes in ({}, {"alg": "ES256"}, {"crv": "P-256"}):
        with pytest.raises(InvalidKey):
            import_signing_key(jwk | changes)


@pytest.mark.rfc("8725", "3.4")
def test_a_point_beside_the_curve_is_refused() -> None:
    with pytest.raises(InvalidKey, match="numbers"):
        import_verification_key(a_public_jwk(y=ES256_JWK["x"]))


@pytest.mark.rfc("8725", "3.1")
@pytest.mark.parametrize("algorithm", list(Algorithm))
@pytest.mark.parametrize("alg", ["ES256", "RS256", "EdDSA", "HS256", "none", "", "ES384", "RSA-OAEP", 1, None])
def test_a_key_has_the_one_algorithm_of_its_kind(algorithm: Algorithm, alg: Any) -> None:
    jwk = a_private_jwk(algorithm, alg=alg)
    if alg in {algorithm, None}:
        assert import_signing_key(jwk).algorithm is algorithm
    else:
        with pytest.raises(InvalidKey, match="alg"):
            import_signing_key(jwk)


@pytest.mark.rfc("9864", "2.2")
def test_a_key_for_ed25519_by_its_new_name_is_the_same() -> None:
    assert import_verification_key(a_public_jwk(Algorithm.EDDSA, alg="Ed25519")).algorithm is Algorithm.EDDSA


@pytest.mark.rfc("7517", "4.2")
@pytest.mark.parametrize("changes", [{"use": "enc"}, {"use": ""}, {"use": None}, {"key_ops": []}, {"key_ops": "sign"}])
@each_algorithm
def test_a_key_for_something_else_does_not_sign(algorithm: Algorithm, changes: dict[str, Any]) -> None:
    for take, jwk in ((import_signing_key, a_private_jwk), (import_verification_key, a_public_jwk)):
        with pytest.raises(InvalidKey):
            take(jwk(algorithm, **changes))


@pytest.mark.rfc("7517", "4.3")
def test_key_ops_say_what_a_key_does() -> None:
    assert import_signing_key(a_private_jwk(key_ops=["sign"])).kid == "k"
    assert import_verification_key(a_public_jwk(key_ops=["verify"], use="sig")).kid == "k"
    with pytest.raises(InvalidKey, match="sign"):
        import_signing_key(a_private_jwk(key_ops=["verify"]))
    with pytest.raises(InvalidKey, match="verify"):
        import_verification_key(a_public_jwk(key_ops=["sign"]))


@pytest.mark.parametrize("algorithm", [Algorithm.ES256, Algorithm.RS256, Algorithm.EDDSA])
def test_private_and_public_are_not_taken_for_each_other(algorithm: Algorithm) -> None:
    with pytest.raises(InvalidKey, match="private"):
        import_verification_key(a_private_jwk(algorithm))
    with pytest.raises(InvalidKey, match="private"):
        import_signing_key(a_public_jwk(algorithm))


@pytest.mark.parametrize("algorithm", [Algorithm.ES256, Algorithm.EDDSA])
def test_a_public_part_that_is_not_that_of_the_private_one_is_refused(algorithm: Algorithm) -> None:
    other = generate_signing_key(algorithm).verification_key().public_jwk()
    assert other is not None
    numbers = {name: other[name] for name in ("x", "y") if name in other}
    with pytest.raises(InvalidKey):
        import_signing_key(a_private_jwk(algorithm, **numbers))


@pytest.mark.parametrize(
    ("kid", "taken"), [("k" * 127, True), ("k" * 128, True), ("k" * 129, False), ("", False), (1, False)]
)
def test_a_kid_has_at_most_128_characters(kid: Any, taken: bool) -> None:  # noqa: FBT001  # a table's column
    if taken:
        assert import_signing_key(a_private_jwk(kid=kid)).kid == kid
    else:
        with pytest.raises(InvalidKey, match="kid"):
            import_signing_key(a_private_jwk(kid=kid))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "1", '"x"', "[" * 100_000, "\ud800", "{}"])
def test_what_is_no_jwk_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(InvalidKey) as refusal:
        import_signing_key(Secret(text))
    assert len(refusal.value.detail) < 100
    assert isinstance(refusal.value, DoorwardError)


@pytest.mark.parametrize("value", [None, 1, "", "!", "=", "AAAA=", "A", "\u00e9", [], {}, True])
@pytest.mark.parametrize(("algorithm", "name"), [
    (Algorithm.ES256, "x"), (Algorithm.ES256, "d"), (Algorithm.RS256, "n"), (Algorithm.RS256, "d"),
    (Algorithm.RS256, "e"), (Algorithm.EDDSA, "x"), (Algorithm.EDDSA, "d"), (Algorithm.HS256, "k"),
    (Algorithm.ES256, "kty"), (Algorithm.ES256, "crv"),
])  # fmt: skip
def test_a_member_of_any_other_shape_is_refused(algorithm: Algorithm, name: str, value: Any) -> None:
    with pytest.raises(InvalidKey):
        import_signing_key(a_private_jwk(algorithm, **{name: value}))


def test_no_kid_can_be_taken_for_an_option_of_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    kids = iter(["-dash", "-another", "kid"])
    monkeypatch.setattr("doorward.keys.model._thumbprint", lambda _: next(kids))
    assert generate_signing_key(Algorithm.ES256).kid == "kid"
