"""Keys that sign access tokens: their algorithms, their states, and how strong they must be.

A key has one algorithm, chosen when it was made (RFC 8725 section 3.1): no token can talk it into another.
"""

from __future__ import annotations

import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, cast

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa_private_key

from doorward.errors import DoorwardError
from doorward.secret import Secret

if TYPE_CHECKING:
    from joserfc.jwk import ECKey, OKPKey, RSAKey

PublicMaterial = EllipticCurvePublicKey | RSAPublicKey | Ed25519PublicKey | bytes
PrivateMaterial = EllipticCurvePrivateKey | RSAPrivateKey | Ed25519PrivateKey | bytes

MIN_RSA_BITS = 2048  # RFC 7518 section 3.3
MAX_RSA_BITS = 8192  # checking a signature takes time with the square of it
MIN_RSA_EXPONENT = 65537
MIN_HMAC_BYTES = 32  # RFC 7518 section 3.2: as long as the hash
MAX_KID_LENGTH = 128


class Algorithm(StrEnum):
    """What signs access tokens.  ``EdDSA`` is Ed25519, by the name of RFC 8037, which every verifier in use knows."""

    ES256 = "ES256"
    RS256 = "RS256"
    EDDSA = "EdDSA"
    HS256 = "HS256"


class KeyState(StrEnum):
    """Where a key is in its life.  It is published before it signs, and verifies after it has signed."""

    PENDING = "pending"
    ACTIVE = "active"
    RETIRING = "retiring"
    RETIRED = "retired"


class InvalidKey(DoorwardError, ValueError):
    """A key that cannot be used; ``detail`` names the remedy and nothing of the key."""

    code = "invalid_key"
    public = "The key cannot be used."


class WeakKey(InvalidKey):
    """A key that is too easily guessed, factored or forged with."""

    code = "weak_key"
    public = "The key is too weak."


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationKey:
    """What checks signatures made with one key.

    Args:
        material: the public key; for HS256 the shared secret itself, which is why it is never shown.
    """

    kid: str
    algorithm: Algorithm
    material: PublicMaterial = field(repr=False, compare=False)

    def public_jwk(self) -> dict[str, str] | None:
        """The key as it is published (RFC 7517), or None where there is no public part: HS256."""
        if isinstance(self.material, bytes):
            return None
        jwk = cast("dict[str, str]", _as_jose(self.material).as_dict(private=False))
        return {**jwk, "kid": self.kid, "alg": str(self.algorithm), "use": "sig"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """What signs."""

    kid: str
    algorithm: Algorithm
    material: PrivateMaterial = field(repr=False, compare=False)

    def verification_key(self) -> VerificationKey:
        material = self.material if isinstance(self.material, bytes) else self.material.public_key()
        return VerificationKey(kid=self.kid, algorithm=self.algorithm, material=material)

    def private_jwk_json(self) -> Secret:
        """The whole key as the JSON text of a JWK, for wrapping and for export on demand."""
        if isinstance(self.material, bytes):
            jwk: dict[str, Any] = {"kty": "oct", "k": _base64url(self.material)}
        else:
            jwk = dict(_as_jose(self.material).as_dict(private=True))
        return Secret(json.dumps({**jwk, "kid": self.kid, "alg": str(self.algorithm), "use": "sig"}))


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """A signing key at rest, and when it does what.

    Args:
        wrapped: the private JWK as a compact JWE under the deployment's secret.
        public: the JWK as it is published, or None for HS256.
        activates_at: when it begins to sign.
        retiring_at: when it stops signing; None while that is not known.
        retired_at: when it stops verifying; None while that is not known.
    """

    kid: str
    algorithm: Algorithm
    wrapped: str = field(repr=False)
    public: Mapping[str, str] | None
    created_at: datetime
    activates_at: datetime
    retiring_at: datetime | None = None
    retired_at: datetime | None = None


def generate_signing_key(algorithm: Algorithm) -> SigningKey:
    """Make a key of the algorithm.

    Its ``kid`` is the thumbprint (RFC 7638) of the public part.  An HS256 key has none, and a hash of the secret would
    let anyone test guesses of it, so that ``kid`` is random.
    """
    while True:
        key = _a_signing_key(algorithm)
        # One of 64 begins with a dash, and would be taken for an option by `doorward keys revoke KID`.
        if not key.kid.startswith("-"):
            return key


def _a_signing_key(algorithm: Algorithm) -> SigningKey:
    if algorithm is Algorithm.HS256:
        return SigningKey(
            kid=secrets.token_urlsafe(16), algorithm=algorithm, material=secrets.token_bytes(MIN_HMAC_BYTES)
        )
    material = _generate(algorithm)
    return SigningKey(kid=_thumbprint(material.public_key()), algorithm=algorithm, material=material)


def import_signing_key(jwk: Mapping[str, Any] | Secret) -> SigningKey:
    """Take a private or symmetric JWK that may sign.

    Args:
        jwk: its members, or their JSON text as a Secret.

    Raises:
        WeakKey: it is too short for its algorithm.
        InvalidKey: it is no JWK that signs by one of our algorithms.

    RFC 7517 section 4; RFC 8725 sections 3.1 and 3.5.
    """
    members = _members(jwk)
    algorithm = _algorithm(members)
    _check_purpose(members, "sign")
    material = _private_material(members, algorithm)
    public = material if isinstance(material, bytes) else material.public_key()
    return SigningKey(kid=_kid(members, public), algorithm=algorithm, material=material)


def import_verification_key(jwk: Mapping[str, Any] | Secret) -> VerificationKey:
    """Take a public JWK, or a symmetric one, that may verify.

    Args:
        jwk: its members, or their JSON text as a Secret.

    Raises:
        WeakKey: it is too short for its algorithm.
        InvalidKey: it is no JWK that verifies one of our algorithms, or it carries a private part, which has no
            business where tokens are only checked.

    RFC 7517 section 4; RFC 8725 sections 3.1 and 3.5.
    """
    members = _members(jwk)
    algorithm = _algorithm(members)
    _check_purpose(members, "verify")
    if "d" in members:
        raise InvalidKey("The key has a private part. Give the public key alone, and treat the private one as leaked.")
    material = _public_material(members, algorithm)
    return VerificationKey(kid=_kid(members, material), algorithm=algorithm, material=material)


# JWK members

_KTY = {Algorithm.ES256: "EC", Algorithm.RS256: "RSA", Algorithm.EDDSA: "OKP", Algorithm.HS256: "oct"}
_CRV = {Algorithm.ES256: "P-256", Algorithm.EDDSA: "Ed25519"}
_ALGORITHM_OF_KTY = {kty: algorithm for algorithm, kty in _KTY.items()}
# RFC 9864 names the algorithm of a key by its curve.  On a key it is unambiguous; in a token's header we keep to one.
_ALGORITHM_OF_ALG = {str(algorithm): algorithm for algorithm in Algorithm} | {"Ed25519": Algorithm.EDDSA}


def _members(jwk: Mapping[str, Any] | Secret) -> Mapping[str, Any]:
    if not isinstance(jwk, Secret):
        return jwk
    try:
        members = json.loads(jwk.reveal())
    except (ValueError, RecursionError):
        raise InvalidKey("The key is not JSON. Give a JWK (RFC 7517).") from None
    if not isinstance(members, dict):
        raise InvalidKey("The key is not a JSON object. Give a JWK (RFC 7517).")
    return members


def _algorithm(members: Mapping[str, Any]) -> Algorithm:
    kty, alg = members.get("kty"), members.get("alg")
    by_kty = _ALGORITHM_OF_KTY.get(kty) if isinstance(kty, str) else None
    if by_kty is None:
        raise InvalidKey("The key's kty is none of EC, RSA, OKP, oct.")
    if alg is not None and (not isinstance(alg, str) or _ALGORITHM_OF_ALG.get(alg) is not by_kty):
        # Here HMAC with a public key begins: a key that may be read under two algorithms.
        raise InvalidKey(f"The key's alg does not go with its kty, or is not supported. For {kty} it is {by_kty}.")
    if by_kty in _CRV and members.get("crv") != _CRV[by_kty]:
        raise InvalidKey(f"The key's crv is not the one that {by_kty} uses: {_CRV[by_kty]}.")
    return by_kty


def _check_purpose(members: Mapping[str, Any], operation: str) -> None:
    """RFC 7517 sections 4.2 and 4.3."""
    if members.get("use", "sig") != "sig":
        raise InvalidKey("The key's use is not sig.")
    operations = members.get("key_ops")
    if operations is not None and not (isinstance(operations, list | tuple) and operation in operations):
        raise InvalidKey(f"The key's key_ops do not allow it to {operation}.")


def _kid(members: Mapping[str, Any], public: PublicMaterial) -> str:
    kid = members.get("kid")
    if kid is None and not isinstance(public, bytes):
        return _thumbprint(public)
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID_LENGTH:
        raise InvalidKey(f"The key's kid is not a string of 1 to {MAX_KID_LENGTH} characters.")
    return kid


def _check_rsa_strength(members: Mapping[str, Any]) -> None:
    modulus, exponent = (int.from_bytes(_decoded(members, name)) for name in ("n", "e"))
    if modulus.bit_length() < MIN_RSA_BITS or exponent < MIN_RSA_EXPONENT:
        raise WeakKey(f"An RSA key has at least {MIN_RSA_BITS} bits and the exponent 65537. Generate a new one.")
    if modulus.bit_length() > MAX_RSA_BITS:
        raise InvalidKey(f"An RSA key has at most {MAX_RSA_BITS} bits.")


def _decoded(members: Mapping[str, Any], name: str) -> bytes:
    text = members.get(name)
    if isinstance(text, str) and text.isascii() and len(text) % 4 != 1:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        if _base64url(raw) == text:
            return raw
    raise InvalidKey(f"The key's {name} is not base64url.")


# Key material.  joserfc takes long to import, so it is imported where it is used.


def _generate(algorithm: Algorithm) -> EllipticCurvePrivateKey | RSAPrivateKey | Ed25519PrivateKey:
    if algorithm is Algorithm.ES256:
        return generate_private_key(SECP256R1())
    if algorithm is Algorithm.EDDSA:
        return Ed25519PrivateKey.generate()
    return generate_rsa_private_key(MIN_RSA_EXPONENT, MIN_RSA_BITS)


def _as_jose(material: PrivateMaterial | PublicMaterial) -> ECKey | RSAKey | OKPKey:
    from joserfc.jwk import ECKey, OKPKey, RSAKey

    if isinstance(material, EllipticCurvePrivateKey | EllipticCurvePublicKey):
        return ECKey.import_key(material)
    if isinstance(material, RSAPrivateKey | RSAPublicKey):
        return RSAKey.import_key(material)
    return OKPKey.import_key(cast("Ed25519PrivateKey | Ed25519PublicKey", material))


def _thumbprint(material: PublicMaterial) -> str:
    return _as_jose(material).thumbprint()


def _imported(members: Mapping[str, Any], algorithm: Algorithm) -> ECKey | RSAKey | OKPKey:
    from joserfc.jwk import ECKey, OKPKey, RSAKey

    if algorithm is Algorithm.RS256:
        _check_rsa_strength(members)
    kinds: dict[Algorithm, type[ECKey | RSAKey | OKPKey]] = {
        Algorithm.ES256: ECKey,
        Algorithm.RS256: RSAKey,
        Algorithm.EDDSA: OKPKey,
    }
    # Only what makes the key: joserfc need not judge members that were judged here.
    numbers = {name: members[name] for name in ("kty", "crv", "x", "y", "d", "n", "e", *_RSA_CRT) if name in members}
    try:
        return kinds[algorithm].import_key(numbers)
    except Exception:  # noqa: BLE001  # joserfc, cryptography and binascii each have errors of their own for that
        raise InvalidKey(f"The key's numbers are not those of an {algorithm} key.") from None


_RSA_CRT = ("p", "q", "dp", "dq", "qi")


def _public_material(members: Mapping[str, Any], algorithm: Algorithm) -> PublicMaterial:
    if algorithm is Algorithm.HS256:
        return _shared_secret(members)
    material = _imported(members, algorithm).public_key
    return cast("EllipticCurvePublicKey | RSAPublicKey | Ed25519PublicKey", material)


def _private_material(members: Mapping[str, Any], algorithm: Algorithm) -> PrivateMaterial:
    if algorithm is Algorithm.HS256:
        return _shared_secret(members)
    if "d" not in members:
        raise InvalidKey("The key has no private part. Give the private JWK to sign with.")
    jose = _imported(members, algorithm)
    material = cast("EllipticCurvePrivateKey | RSAPrivateKey | Ed25519PrivateKey", jose.private_key)
    if any(members.get(name) != value for name, value in _as_jose(material.public_key()).as_dict().items()):
        # Ed25519 signs with both parts: a public part of somebody else's choice gives the private one away.
        raise InvalidKey("The key's public part is not that of its private part.")
    return material


def _shared_secret(members: Mapping[str, Any]) -> bytes:
    secret = _decoded(members, "k")
    if len(secret) < MIN_HMAC_BYTES:
        raise WeakKey(f"An HS256 key has at least {MIN_HMAC_BYTES} random bytes. Generate one; a passphrase is none.")
    return secret


def _base64url(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
