"""Signing and checking, one function an algorithm.  Which one is used is the key's matter, never the token's."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from doorward.errors import InvalidToken
from doorward.keys.model import SigningKey, VerificationKey
from doorward.tokens.compact import Compact

_SHA256: Final = SHA256()
_ECDSA: Final = ECDSA(_SHA256)
_PKCS1: Final = PKCS1v15()
_COORDINATE_BYTES = 32


def verify_signature(compact: Compact, key: VerificationKey) -> None:
    """Check that the key signed the token, by the key's own algorithm.

    Raises:
        InvalidToken: it did not, or the header names another algorithm.

    RFC 8725 sections 3.1 and 3.2.
    """
    if compact.header.alg != key.algorithm:
        raise InvalidToken("the header's alg is not the key's algorithm")
    try:
        # By the header's string and not by the enum member: they are equal here, and it is found faster.
        _CHECKS[compact.header.alg](key.material, compact.signature, compact.signing_input)
    except InvalidSignature:
        raise InvalidToken("the signature is wrong") from None


def sign(signing_input: bytes, key: SigningKey) -> bytes:
    """Sign by the key's algorithm, in the form that JWS gives signatures (RFC 7518 section 3, RFC 8037 section 3.1)."""
    return _SIGNERS[key.algorithm](key.material, signing_input)


def _check_es256(material: Any, signature: bytes, signing_input: bytes) -> None:
    # r and s side by side, never DER.  r or s of 0 or beyond the order are refused by the primitive (CVE-2022-21449).
    if len(signature) != 2 * _COORDINATE_BYTES:
        raise InvalidSignature
    r, s = int.from_bytes(signature[:_COORDINATE_BYTES]), int.from_bytes(signature[_COORDINATE_BYTES:])
    material.verify(encode_dss_signature(r, s), signing_input, _ECDSA)


def _check_rs256(material: Any, signature: bytes, signing_input: bytes) -> None:
    material.verify(signature, signing_input, _PKCS1, _SHA256)


def _check_eddsa(material: Any, signature: bytes, signing_input: bytes) -> None:
    material.verify(signature, signing_input)


def _check_hs256(material: Any, signature: bytes, signing_input: bytes) -> None:
    if not hmac.compare_digest(hmac.digest(material, signing_input, "sha256"), signature):
        raise InvalidSignature


def _sign_es256(material: Any, signing_input: bytes) -> bytes:
    r, s = decode_dss_signature(material.sign(signing_input, _ECDSA))
    return r.to_bytes(_COORDINATE_BYTES) + s.to_bytes(_COORDINATE_BYTES)


def _sign_rs256(material: Any, signing_input: bytes) -> bytes:
    signature: bytes = material.sign(signing_input, _PKCS1, _SHA256)
    return signature


def _sign_eddsa(material: Any, signing_input: bytes) -> bytes:
    signature: bytes = material.sign(signing_input)
    return signature


def _sign_hs256(material: Any, signing_input: bytes) -> bytes:
    return hmac.digest(material, signing_input, "sha256")


_CHECKS: Final[dict[str, Callable[[Any, bytes, bytes], None]]] = {
    "ES256": _check_es256,
    "RS256": _check_rs256,
    "EdDSA": _check_eddsa,
    "HS256": _check_hs256,
}
_SIGNERS: Final[dict[str, Callable[[Any, bytes], bytes]]] = {
    "ES256": _sign_es256,
    "RS256": _sign_rs256,
    "EdDSA": _sign_eddsa,
    "HS256": _sign_hs256,
}
