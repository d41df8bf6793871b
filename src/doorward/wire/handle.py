"""The handle: the secret in the session cookie.

    dws_ base64url( key: 8 bytes | secret: 16 bytes )

36 characters.  The key finds the row, the row holds SHA-256 of the secret.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256

from doorward.secret import Secret
from doorward.wire import base64url

PREFIX = "dws_"
SECRET_BYTES = 16
_KEY_BYTES = 8
_LENGTH = len(PREFIX) + 4 * (_KEY_BYTES + SECRET_BYTES) // 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Handle:
    """A parsed handle: not yet known to be anybody's."""

    key: int = field(repr=False)
    secret: bytes = field(repr=False)

    @property
    def secret_hash(self) -> bytes:
        return hash_secret(self.secret)


def hash_secret(secret: bytes) -> bytes:
    """What a store keeps of a secret.  128 random bits need no slow hash."""
    return sha256(secret).digest()


def write_handle(handle: Handle) -> Secret:
    return Secret(PREFIX + base64url.encode(handle.key.to_bytes(_KEY_BYTES) + handle.secret))


def parse_handle(text: str) -> Handle | None:
    """The handle, or None for anything that we never wrote."""
    if len(text) != _LENGTH or not text.startswith(PREFIX):
        return None
    try:
        data = base64url.decode(text.removeprefix(PREFIX))
    except ValueError:
        return None
    key = int.from_bytes(data[:_KEY_BYTES])
    return Handle(key=key, secret=data[_KEY_BYTES:]) if key < 1 << 63 else None
