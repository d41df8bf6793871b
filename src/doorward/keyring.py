"""The keys that a deployment derives from its secret, one for each purpose.

A list of secrets is taken: the first makes, all check, so a secret can be replaced without signing anybody out.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from hashlib import sha256

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from doorward.errors import ConfigurationError, Problem
from doorward.key_strength import weakness_of
from doorward.secret import Secret

LEAST_SECRET_LENGTH = 32


def problems_of_secrets(secrets: Sequence[Secret]) -> list[Problem]:
    """What makes these unusable as the secrets of a deployment."""
    found = (weakness_of(secret.reveal(), least=LEAST_SECRET_LENGTH) for secret in secrets)
    weakness = next(filter(None, found), None) if secrets else "is missing"
    if weakness is None:
        return []
    remedy = "Make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'."
    return [Problem(id="DW003", message=f"A secret {weakness}.", remedy=remedy)]


class Keyring:
    """What the deployment's secret is used for.

    Args:
        secrets: the current one first, then those that it replaced.

    Raises:
        ConfigurationError: there is none, or one can be guessed.
    """

    __slots__ = ("_csrf", "_refresh", "cache_key", "fingerprints", "wrapping_keys")

    def __init__(self, secrets: Sequence[Secret]) -> None:
        problems = problems_of_secrets(secrets)
        if problems:
            raise ConfigurationError(problems)
        self._refresh = {key_id(key): key for key in (_derive(secret, "refresh token") for secret in secrets)}
        self._csrf = tuple(_derive(secret, "csrf token") for secret in secrets)
        self.wrapping_keys = tuple(_derive(secret, "key wrapping") for secret in secrets)
        # Only the first: what was kept under another secret is read from the store again.
        self.cache_key = _derive(secrets[0], "session cache")
        self.fingerprints = tuple(_derive(secret, "fingerprint").hex()[:32] for secret in secrets)

    @property
    def refresh_key_id(self) -> bytes:
        """Four bytes that name today's MAC key."""
        return next(iter(self._refresh))

    def refresh_mac(self, message: bytes) -> bytes:
        """The MAC of a refresh token by today's key."""
        return hmac.digest(self._refresh[self.refresh_key_id], message, sha256)

    def is_refresh_mac(self, name: bytes, message: bytes, mac: bytes) -> bool:
        """Whether the MAC was made by the key of that id, compared in constant time."""
        key = self._refresh.get(name)
        return key is not None and hmac.compare_digest(hmac.digest(key, message, sha256), mac)

    def csrf_token(self, session_id: str) -> str:
        """The token that a page of this session sends back in ``X-CSRF-Token``."""
        return hmac.digest(self._csrf[0], session_id.encode(), sha256).hex()

    def is_csrf_token(self, session_id: str, token: str) -> bool:
        """Whether the token belongs to the session."""
        made = (hmac.digest(key, session_id.encode(), sha256).hex() for key in self._csrf)
        return any(hmac.compare_digest(each.encode(), token.encode(errors="surrogatepass")) for each in made)


def key_id(key: bytes) -> bytes:
    """Four bytes that tell keys apart and say nothing about them."""
    return sha256(b"doorward key id\0" + key).digest()[:4]


def _derive(secret: Secret, purpose: str) -> bytes:
    """RFC 5869; the purpose is what keeps a key for one use from serving another."""
    derivation = HKDF(algorithm=SHA256(), length=32, salt=None, info=f"doorward v1 {purpose}".encode())
    return derivation.derive(secret.reveal().encode())
