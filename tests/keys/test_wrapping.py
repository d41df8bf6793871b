from __future__ import annotations

import json
from base64 import urlsafe_b64decode

import pytest

from doorward.errors import DoorwardError
from doorward.keys.model import Algorithm, generate_signing_key
from doorward.keys.wrapping import WrongSecret, unwrap, wrap

KEY = b"w" * 32


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_a_wrapped_key_is_unwrapped_with_the_same_secret(algorithm: Algorithm) -> None:
    key = generate_signing_key(algorithm)
    again = unwrap(wrap(key, KEY), KEY, key.kid)
    assert again == key
    assert again.private_jwk_json().matches(key.private_jwk_json())


@pytest.mark.rfc("7518", "4.5")
def test_a_wrapped_key_names_itself_and_shows_nothing_else() -> None:
    key = generate_signing_key(Algorithm.ES256)
    header, encrypted_key, *_ = wrap(key, KEY).split(".")
    assert json.loads(urlsafe_b64decode(header + "==")) == {"alg": "dir", "enc": "A256GCM", "kid": key.kid}
    assert encrypted_key == ""
    assert wrap(key, KEY) != wrap(key, KEY)


def test_another_secret_is_the_wrong_one_and_the_error_names_the_remedy() -> None:
    key = generate_signing_key(Algorithm.ES256)
    with pytest.raises(WrongSecret, match="DOORWARD_SECRET") as refusal:
        unwrap(wrap(key, KEY), b"v" * 32, key.kid)
    assert isinstance(refusal.value, DoorwardError)
    assert refusal.value.__cause__ is None


def test_one_row_cannot_be_put_in_the_place_of_another() -> None:
    key = generate_signing_key(Algorithm.ES256)
    with pytest.raises(WrongSecret):
        unwrap(wrap(key, KEY), KEY, "another")


def test_a_wrapped_key_that_was_changed_is_refused() -> None:
    key = generate_signing_key(Algorithm.ES256)
    parts = wrap(key, KEY).split(".")
    for number, part in enumerate(parts):
        changed = [*parts]
        changed[number] = ("B" if part[:1] == "A" else "A") + part[1:]
        with pytest.raises(WrongSecret):
            unwrap(".".join(changed), KEY, key.kid)


@pytest.mark.parametrize("text", ["", ".", "....", "x", "a.b.c.d.e", "\u00e9....", "{}", "\ud800"])
def test_what_is_no_wrapped_key_is_refused(text: str) -> None:
    with pytest.raises(WrongSecret):
        unwrap(text, KEY, "k")


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_wrapping_key_has_32_bytes(length: int) -> None:
    key = generate_signing_key(Algorithm.HS256)
    with pytest.raises(ValueError, match="32"):
        wrap(key, b"w" * length)
    with pytest.raises(ValueError, match="32"):
        unwrap(wrap(key, KEY), b"w" * length, key.kid)
