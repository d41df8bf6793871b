"""Tokens of any shape, made byte by byte and the same at every run."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from doorward.keys.model import SigningKey, import_signing_key
from doorward.tokens.access import AccessClaims, AccessTokenVerifier
from doorward.tokens.signature import sign
from tests.tokens.rfc_keys import EDDSA_JWK, ES256_JWK, HS256_JWK, RS256_JWK

ISSUER: Final = "https://auth.example.com"
AUDIENCE: Final = "https://api.example.com"
NOW: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)
T: Final = int(NOW.timestamp())

ES256: Final = import_signing_key(ES256_JWK | {"kid": "es256"})
RS256: Final = import_signing_key(RS256_JWK | {"kid": "rs256"})
EDDSA: Final = import_signing_key(EDDSA_JWK | {"kid": "eddsa"})
HS256: Final = import_signing_key(HS256_JWK | {"kid": "hs256"})
ALL_KEYS: Final = (ES256, RS256, EDDSA, HS256)

CLAIMS: Final[dict[str, Any]] = {
    "iss": ISSUER,
    "sub": "acc_7Xk2",
    "aud": AUDIENCE,
    "exp": T + 900,
    "iat": T,
    "jti": "tok_9QmB",
    "client_id": "doorward",
    "sid": "ses_4TzR",
    "gen": 3,
    "ver": 1,
    "auth_time": T - 60,
    "amr": ["pwd"],
    "roles": ["editor"],
    "scope": "read write",
}


def some_claims(**changes: Any) -> AccessClaims:
    return AccessClaims(**{**CLAIMS, "amr": ("pwd",), "roles": ("editor",), **changes})


def a_verifier(**changes: Any) -> AccessTokenVerifier:
    keys = {key.kid: key.verification_key() for key in ALL_KEYS}
    return AccessTokenVerifier(**{"issuer": ISSUER, "audience": AUDIENCE, "keys": keys, **changes})


def base64url(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def to_json(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()


def a_header(key: SigningKey = ES256, /, **changes: Any) -> dict[str, Any]:
    header = {"alg": str(key.algorithm), "kid": key.kid, "typ": "at+jwt"} | changes
    return {name: value for name, value in header.items() if value is not ...}


def a_payload(**changes: Any) -> dict[str, Any]:
    """Claims with changes; ``...`` leaves one out."""
    return {name: value for name, value in (CLAIMS | changes).items() if value is not ...}


def nested_lists(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def signed(signing_input: bytes, key: SigningKey) -> bytes:
    if key.algorithm != "ES256":
        return sign(signing_input, key)
    material: Any = key.material
    r, s = decode_dss_signature(material.sign(signing_input, ECDSA(SHA256(), deterministic_signing=True)))
    return r.to_bytes(32) + s.to_bytes(32)


def a_token(header: Any = None, payload: Any = None, *, key: SigningKey = ES256, signature: bytes | None = None) -> str:
    """A token of this header and payload: objects, or bytes as they are.

    Args:
        signature: instead of the right one.
    """
    header = to_json(a_header(key) if header is None else header)
    return a_token_of_parts(
        base64url(header), base64url(to_json(CLAIMS if payload is None else payload)), key, signature
    )


def a_token_of_parts(header: str, payload: str, key: SigningKey = ES256, signature: bytes | None = None) -> str:
    signing_input = f"{header}.{payload}"
    return f"{signing_input}.{base64url(signed(signing_input.encode(), key) if signature is None else signature)}"
