"""The credential by which a verifier reads the revocation feed.

    dwv_ base64url( id: 6 bytes | secret: 24 bytes )

44 characters, the first 8 after the prefix being the id.  The store holds SHA-256 of the secret.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from doorward.secret import Secret
from doorward.wire import base64url
from doorward.wire.handle import hash_secret

PREFIX = "dwv_"
_ID_BYTES, _SECRET_BYTES = 6, 24
_ID_LENGTH = 4 * _ID_BYTES // 3
_LENGTH = len(PREFIX) + 4 * (_ID_BYTES + _SECRET_BYTES) // 3


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierCredential:
    """A parsed credential: not yet known to be anybody's."""

    id: str
    secret: bytes = field(repr=False)

    @property
    def secret_hash(self) -> bytes:
        return hash_secret(self.secret)


def new_verifier_credential(entropy: Callable[[int], bytes]) -> VerifierCredential:
    return VerifierCredential(id=base64url.encode(entropy(_ID_BYTES)), secret=entropy(_SECRET_BYTES))


def write_verifier_credential(credential: VerifierCredential) -> Secret:
    return Secret(PREFIX + credential.id + base64url.encode(credential.secret))


def parse_verifier_credential(text: str) -> VerifierCredential | None:
    """The credential, or None for anything that we never wrote."""
    if len(text) != _LENGTH or not text.startswith(PREFIX):
        return None
    try:
        data = base64url.decode(text.removeprefix(PREFIX))
    except ValueError:
        return None
    return VerifierCredential(id=text[len(PREFIX) :][:_ID_LENGTH], secret=data[_ID_BYTES:])
