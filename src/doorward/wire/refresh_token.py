"""The refresh token (docs/concepts/rotation.md).

    dwr_ base64url( key: 8 | generation: 4 | secret: 16 | MAC key id: 4 | MAC: 32 )

90 characters; numbers are big-endian.  The MAC is HMAC-SHA256 over everything before it and the client, by a key that
comes from the deployment's secret.  The store holds SHA-256 of the secret, which is the same for all generations of a
session: so neither a stolen database nor a leaked deployment secret alone can mint a token, and the server can make
any successor again from what is presented, without having stored one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from doorward.keyring import Keyring
from doorward.secret import Secret
from doorward.wire import base64url
from doorward.wire.handle import hash_secret

PREFIX = "dwr_"
_KEY, _GENERATION, _SECRET, _MAC_KEY_ID, _MAC = 8, 4, 16, 4, 32
_SIGNED = _KEY + _GENERATION + _SECRET + _MAC_KEY_ID
_LENGTH = len(PREFIX) + -(-4 * (_SIGNED + _MAC) // 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshToken:
    """A refresh token that is known to be ours.

    Args:
        key: of the session.
        generation: counts from 0.
        secret: 128 random bits made at sign-in.
    """

    key: int = field(repr=False)
    generation: int
    secret: bytes = field(repr=False)

    @property
    def secret_hash(self) -> bytes:
        return hash_secret(self.secret)


def write_refresh_token(token: RefreshToken, *, client: str, keyring: Keyring) -> Secret:
    """The text of a token, always the same for the same generation."""
    signed = token.key.to_bytes(_KEY) + token.generation.to_bytes(_GENERATION) + token.secret + keyring.refresh_key_id
    return Secret(PREFIX + base64url.encode(signed + keyring.refresh_mac(_message(signed, client))))


def parse_refresh_token(text: str, *, client: str, keyring: Keyring) -> RefreshToken | None:
    """The token, if we made it for this client; None otherwise, whatever the cause."""
    if len(text) != _LENGTH or not text.startswith(PREFIX):
        return None
    try:
        data = base64url.decode(text.removeprefix(PREFIX))
    except ValueError:
        return None
    signed, mac = data[:_SIGNED], data[_SIGNED:]
    if not keyring.is_refresh_mac(signed[-_MAC_KEY_ID:], _message(signed, client), mac):
        return None
    return RefreshToken(
        key=int.from_bytes(signed[:_KEY]),
        generation=int.from_bytes(signed[_KEY : _KEY + _GENERATION]),
        secret=signed[_KEY + _GENERATION : _KEY + _GENERATION + _SECRET],
    )


def _message(signed: bytes, client: str) -> bytes:
    return b"doorward refresh token v1\0" + signed + client.encode()
