"""What is derived from the deployment's secret, and how the secret is replaced."""

from __future__ import annotations

import hmac
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.errors import ConfigurationError
from doorward.keyring import LEAST_SECRET_LENGTH, Keyring, key_id
from doorward.secret import Secret

NEW, OLD, FOREIGN = (Secret(f"{name} secret of thirty-two characters or more") for name in ("new", "old", "foreign"))
MESSAGE = b"a message"


def derived(secret: Secret, purpose: str) -> bytes:
    """RFC 5869 by hand: one block, no salt."""
    extracted = hmac.digest(bytes(32), secret.reveal().encode(), sha256)
    return hmac.digest(extracted, f"doorward v1 {purpose}".encode() + b"\x01", sha256)


@pytest.mark.rfc("5869", "2")
def test_each_purpose_has_a_key_of_its_own() -> None:
    keyring = Keyring([NEW])
    assert keyring.refresh_mac(MESSAGE) == hmac.digest(derived(NEW, "refresh token"), MESSAGE, sha256)
    assert keyring.csrf_token("sid") == hmac.digest(derived(NEW, "csrf token"), b"sid", sha256).hex()
    assert keyring.wrapping_keys == (derived(NEW, "key wrapping"),)
    assert keyring.fingerprints == (derived(NEW, "fingerprint").hex()[:32],)
    assert keyring.cache_key == derived(NEW, "session cache")
    purposes = ("refresh token", "csrf token", "key wrapping", "fingerprint", "session cache")
    assert len({derived(NEW, purpose) for purpose in purposes}) == len(purposes)


def test_a_mac_is_known_by_the_key_that_made_it() -> None:
    keyring = Keyring([NEW, OLD])
    mac = keyring.refresh_mac(MESSAGE)
    assert keyring.is_refresh_mac(keyring.refresh_key_id, MESSAGE, mac)
    assert not keyring.is_refresh_mac(keyring.refresh_key_id, b"another message", mac)
    assert not keyring.is_refresh_mac(Keyring([OLD]).refresh_key_id, MESSAGE, mac)
    assert not keyring.is_refresh_mac(b"\0\0\0\0", MESSAGE, mac)
    assert not keyring.is_refresh_mac(b"", MESSAGE, mac)
    assert not keyring.is_refresh_mac(keyring.refresh_key_id, MESSAGE, mac[:-1])
    assert not keyring.is_refresh_mac(keyring.refresh_key_id, MESSAGE, b"")


@given(st.integers(0, 255))
def test_no_bit_of_a_mac_can_be_flipped(bit: int) -> None:
    keyring = Keyring([NEW])
    mac = bytearray(keyring.refresh_mac(MESSAGE))
    mac[bit // 8] ^= 1 << bit % 8
    assert not keyring.is_refresh_mac(keyring.refresh_key_id, MESSAGE, bytes(mac))


def test_a_replaced_secret_checks_and_does_not_make() -> None:
    before, replaced, after = Keyring([OLD]), Keyring([NEW, OLD]), Keyring([NEW])
    made = before.refresh_mac(MESSAGE)
    assert replaced.is_refresh_mac(before.refresh_key_id, MESSAGE, made)
    assert not after.is_refresh_mac(before.refresh_key_id, MESSAGE, made)
    assert replaced.refresh_mac(MESSAGE) == after.refresh_mac(MESSAGE)
    assert replaced.refresh_key_id == after.refresh_key_id
    assert replaced.csrf_token("sid") == after.csrf_token("sid")
    assert replaced.is_csrf_token("sid", before.csrf_token("sid"))
    assert not after.is_csrf_token("sid", before.csrf_token("sid"))
    assert replaced.fingerprints == after.fingerprints + before.fingerprints
    assert replaced.wrapping_keys == after.wrapping_keys + before.wrapping_keys


def test_a_csrf_token_belongs_to_one_session_of_one_deployment() -> None:
    keyring = Keyring([NEW])
    assert keyring.is_csrf_token("sid", keyring.csrf_token("sid"))
    for wrong in (keyring.csrf_token("other"), Keyring([FOREIGN]).csrf_token("sid"), "", "ä", "0" * 64, "\ud800"):
        assert not keyring.is_csrf_token("sid", wrong)


@pytest.mark.parametrize("text", ["", "x" * (LEAST_SECRET_LENGTH - 1)])
def test_a_short_secret_is_refused_even_among_long_ones(text: str) -> None:
    for secrets in ([Secret(text)], [NEW, Secret(text)], [Secret(text), NEW]):
        with pytest.raises(ConfigurationError) as refused:
            Keyring(secrets)
        assert [problem.id for problem in refused.value.problems] == ["DW003"]


def test_a_secret_of_the_least_length_is_taken_and_none_is_not() -> None:
    assert Keyring([Secret("one secret of the least length.."[:LEAST_SECRET_LENGTH])])
    with pytest.raises(ConfigurationError):
        Keyring([])


def test_a_key_id_tells_keys_apart_and_is_no_part_of_the_key() -> None:
    key = derived(NEW, "refresh token")
    assert Keyring([NEW]).refresh_key_id == key_id(key) == sha256(b"doorward key id\0" + key).digest()[:4]
    assert key_id(key) != key_id(derived(OLD, "refresh token"))
    assert key_id(key) not in key
