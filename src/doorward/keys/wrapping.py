"""A signing key at rest: a JWE (RFC 7516) that only the deployment's secret opens."""

from __future__ import annotations

from doorward.errors import DoorwardError
from doorward.keys.model import InvalidKey, SigningKey, import_signing_key
from doorward.secret import Secret

_MANAGEMENT, _ENCRYPTION = "dir", "A256GCM"
_WRAPPING_KEY_BYTES = 32


class WrongSecret(DoorwardError):
    """The deployment's secret does not open what was kept under it."""

    code = "wrong_secret"
    public = "The deployment's secret does not fit its database."


def wrap(key: SigningKey, wrapping_key: bytes) -> str:
    """Encrypt a signing key.

    Args:
        key: what to keep; its ``kid`` stands in the protected header, so that one row cannot be put in another's place.
        wrapping_key: 32 bytes, derived from the deployment's secret for this and nothing else.

    RFC 7516; RFC 7518 sections 4.5 and 5.3.
    """
    from joserfc import jwe
    from joserfc.jwk import OctKey

    _check_length(wrapping_key)
    header = {"alg": _MANAGEMENT, "enc": _ENCRYPTION, "kid": key.kid}
    plaintext = key.private_jwk_json().reveal().encode()
    return jwe.encrypt_compact(header, plaintext, OctKey.import_key(wrapping_key), [_MANAGEMENT, _ENCRYPTION])


def unwrap(text: str, wrapping_key: bytes, kid: str) -> SigningKey:
    """Decrypt a signing key.

    Args:
        text: what `wrap` gave.
        wrapping_key: the 32 bytes it was wrapped with.
        kid: the key that the row says it is.

    Raises:
        WrongSecret: it was wrapped with another secret, or was changed.
    """
    from joserfc import jwe
    from joserfc.jwk import OctKey

    _check_length(wrapping_key)
    try:
        opened = jwe.decrypt_compact(text, OctKey.import_key(wrapping_key), [_MANAGEMENT, _ENCRYPTION])
        key = import_signing_key(Secret((opened.plaintext or b"").decode()))
    except InvalidKey:
        raise
    except Exception:  # noqa: BLE001  # joserfc and cryptography each have errors of their own for that
        raise _wrong_secret() from None
    if (opened.headers().get("kid"), key.kid) != (kid, kid):
        raise _wrong_secret()
    return key


def _wrong_secret() -> WrongSecret:
    return WrongSecret(
        "A signing key cannot be opened with this secret. Start with the secret that the database was made with "
        "(DOORWARD_SECRET, or the file beside the database), or retire the key and make a new one."
    )


def _check_length(wrapping_key: bytes) -> None:
    if len(wrapping_key) != _WRAPPING_KEY_BYTES:
        raise ValueError(f"a wrapping key has {_WRAPPING_KEY_BYTES} bytes")
