"""Encoded hashes: one text that names its scheme, parameters, salt and digest.  ``_READERS`` lists the formats.

    $argon2id$…                                                                            ours
    pbkdf2_sha256$…  pbkdf2_sha1$…  scrypt$…  argon2$argon2…  bcrypt$…  bcrypt_sha256$…    Django
    pbkdf2:sha256:…  pbkdf2:sha1:…  scrypt:…                                              Werkzeug (Flask)
    $2b$…  $argon2id$…                                                         passlib, pwdlib (fastapi-users)
    $pbkdf2-sha256$…  $pbkdf2-sha512$…  $pbkdf2$…  $scrypt$…  $bcrypt-sha256$…            passlib
    $fbscrypt$…                                            Firebase, with its parameters, as Supabase Auth writes it
    better-auth$…                                                                          Better Auth

An imported ``$argon2…`` or ``$2…`` is stored with ``argon2`` or ``bcrypt`` before it, as Django does: a stored hash
that begins with ``$argon2`` is ours, of a password that was normalised first.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from unicodedata import normalize

from doorward.authenticators.derivation import (
    Argon2,
    Bcrypt,
    Derivation,
    FirebaseScrypt,
    Pbkdf2,
    Scrypt,
    UnusableHash,
)
from doorward.secret import Secret

_LONGEST = 1024
_LONGEST_TYPED = 1024
"""Characters of a password that an imported hash is checked with."""

Prepare = Callable[[str], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedHash:
    """A hash whose scheme is known and whose work is bounded.

    Args:
        derivation: what is computed.
        salt: as the derivation takes it.
        digest: what it should give.
        prepare: the bytes that are hashed for a password.
        is_ours: whether it is of a normalised password.
    """

    derivation: Derivation
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)
    prepare: Prepare = field(default=str.encode, repr=False)
    is_ours: bool = False

    def matches(self, text: str | None) -> bool:
        """Whether it is the hash of this text.  Slow, and equally slow for None, which matches nothing.

        Raises:
            MemoryError: this machine has no memory or no thread for it now.
            Unavailable: a package is missing.
        """
        found = hmac.compare_digest(self.derivation.derive(self.prepare(text or ""), self.salt), self.digest)
        return found and text is not None


def read_hash(stored: Secret) -> EncodedHash:
    """What a stored hash asks for; nothing is computed.

    Raises:
        UnusableHash: its scheme is unknown, it is malformed, or it asks for too much work.
    """
    text = stored.reveal()
    if not text.isascii() or len(text) > _LONGEST:
        raise UnusableHash("it is malformed: it has more than 1,024 characters, or some that are not ASCII")
    reader = _READERS.get(re.split(r"[$:]", text.removeprefix("$"), maxsplit=1)[0])
    if reader is None:
        raise UnusableHash("its scheme is not supported")
    try:
        return reader(text)
    except UnusableHash:
        raise
    except ValueError:
        raise UnusableHash("it is malformed") from None


def encode_firebase(*, config: FirebaseScrypt, salt: bytes, digest: bytes) -> str:
    """Firebase's hash with the parameters that Firebase keeps beside it."""
    n = config.scrypt.n.bit_length() - 1
    separator, key, salted, made = (
        b64encode(each).decode() for each in (config.salt_separator, config.signer_key, salt, digest)
    )
    return f"$fbscrypt$v=1,n={n},r={config.scrypt.r},p={config.scrypt.p},ss={separator},sk={key}${salted}${made}"


def encode_pbkdf2(algorithm: str, iterations: int, *, salt: bytes, digest: bytes) -> str:
    """As passlib writes it."""
    name = {"sha1": "pbkdf2", "sha256": "pbkdf2-sha256", "sha512": "pbkdf2-sha512"}[algorithm]
    salted, made = (b64encode(each).decode().rstrip("=").replace("+", ".") for each in (salt, digest))
    return f"${name}${iterations}${salted}${made}"


def encode_argon2(derivation: Argon2, *, salt: bytes, digest: bytes) -> str:
    """As the reference implementation writes it."""
    salted, made = (b64encode(each).decode().rstrip("=") for each in (salt, digest))
    cost = f"m={derivation.memory_kib},t={derivation.passes},p={derivation.lanes}"
    return f"$argon2{derivation.variant}$v={derivation.version}${cost}${salted}${made}"


# What is hashed


def typed(password: Secret) -> str | None:
    """A password as it was typed, which is what other systems hash; None where it can be nobody's.

    A NUL is in nobody's: HMAC, so PBKDF2 and scrypt, and bcrypt too have one hash for "a" and for "a" with a NUL after
    it.  What was typed would become the password of the account.
    """
    text = password.reveal()
    is_text = 0 < len(text) <= _LONGEST_TYPED and not any(sign == "\0" or "\ud800" <= sign <= "\udfff" for sign in text)
    return text if is_text else None


def _prehashed(text: str) -> bytes:
    return sha256(text.encode()).hexdigest().encode()


def _compatible(text: str) -> bytes:
    return normalize("NFKC", text).encode()


# Readers of one format each.  ValueError: it is malformed.


def _django_pbkdf2(text: str) -> EncodedHash:
    name, iterations, salt, encoded = text.split("$")
    digest = _base64(encoded)
    algorithm = name.removeprefix("pbkdf2_")
    derivation = Pbkdf2(algorithm=algorithm, iterations=_number(iterations), size=len(digest))
    return EncodedHash(derivation=derivation, salt=salt.encode(), digest=digest)


def _werkzeug_pbkdf2(text: str) -> EncodedHash:
    method, salt, encoded = text.split("$")
    _, algorithm, iterations = method.split(":")
    digest = bytes.fromhex(encoded)
    derivation = Pbkdf2(algorithm=algorithm, iterations=_number(iterations), size=len(digest))
    return EncodedHash(derivation=derivation, salt=salt.encode(), digest=digest)


def _passlib_pbkdf2(text: str) -> EncodedHash:
    _, name, iterations, salt, encoded = text.split("$")
    digest = _base64(encoded.replace(".", "+"))
    algorithm = name.removeprefix("pbkdf2-") if "-" in name else "sha1"
    derivation = Pbkdf2(algorithm=algorithm, iterations=_number(iterations), size=len(digest))
    return EncodedHash(derivation=derivation, salt=_base64(salt.replace(".", "+")), digest=digest)


def _pbkdf2(text: str) -> EncodedHash:
    return _passlib_pbkdf2(text) if text.startswith("$") else _werkzeug_pbkdf2(text)


_SCRYPT_COST = re.compile(r"ln=([0-9]{1,2}),r=([0-9]{1,4}),p=([0-9]{1,4})")


def _scrypt(text: str) -> EncodedHash:
    if text.startswith("scrypt:"):
        method, salt, encoded = text.split("$")
        n, r, p = (_number(each) for each in method.split(":")[1:])
        salted, digest = salt.encode(), bytes.fromhex(encoded)
    elif text.startswith("scrypt$"):
        _, work, salt, block, lanes, encoded = text.split("$")
        n, r, p = _number(work), _number(block), _number(lanes)
        salted, digest = salt.encode(), _base64(encoded)
    else:  # passlib's
        _, _, parameters, salt, encoded = text.split("$")
        exponent, r, p = (int(each) for each in _matched(_SCRYPT_COST, parameters).groups())
        n, salted, digest = 1 << exponent, _base64(salt), _base64(encoded)
    return EncodedHash(derivation=Scrypt(n=n, r=r, p=p, size=len(digest)), salt=salted, digest=digest)


_FIREBASE = re.compile(
    r"\$fbscrypt\$v=1,n=([0-9]{1,2}),r=([0-9]{1,4}),p=([0-9]{1,4}),ss=([^,$]*),sk=([^,$]+)\$([^$]+)\$([^$]+)"
)


def _firebase(text: str) -> EncodedHash:
    found = _matched(_FIREBASE, text)
    n, r, p = (int(each) for each in found.groups()[:3])
    separator, key, salt, digest = (_base64(each) for each in found.groups()[3:])
    if len(digest) != len(key):
        raise ValueError
    derivation = FirebaseScrypt(scrypt=Scrypt(n=1 << n, r=r, p=p, size=64), signer_key=key, salt_separator=separator)
    return EncodedHash(derivation=derivation, salt=salt, digest=digest)


def _better_auth(text: str) -> EncodedHash:
    _, salt, encoded = re.split(r"[$:]", text)
    # The salt is the text of its hexadecimal digits, not what they stand for.
    return EncodedHash(
        derivation=Scrypt(n=16384, r=16, p=1, size=64),
        salt=salt.encode(),
        digest=bytes.fromhex(encoded),
        prepare=_compatible,
    )


_ARGON2 = re.compile(
    r"\$argon2(i|d|id)\$(?:v=([0-9]{1,3})\$)?m=([0-9]{1,10}),t=([0-9]{1,10}),p=([0-9]{1,10})\$([^$]+)\$([^$]+)"
)


def _argon2(text: str) -> EncodedHash:
    found = _matched(_ARGON2, text.removeprefix("argon2"))
    variant, version, memory, passes, lanes, salt, encoded = found.groups()
    digest = _base64(encoded)
    derivation = Argon2(
        variant=variant,
        version=int(version or 16),
        memory_kib=int(memory),
        passes=int(passes),
        lanes=int(lanes),
        size=len(digest),
    )
    salted = _base64(salt)
    if len(salted) < 8:
        raise ValueError
    return EncodedHash(derivation=derivation, salt=salted, digest=digest, is_ours=text.startswith("$"))


_BCRYPT_TAIL = r"([./A-Za-z0-9]{22})\$?([./A-Za-z0-9]{31})"
"""Salt and digest."""
_BCRYPT_ALPHABET = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_BCRYPT = re.compile(r"\$2[aby]\$([0-9]{2})\$" + _BCRYPT_TAIL)


def _bcrypt_salt(text: str) -> bytes:
    # Two bits of the last character count.  Some implementations set the other four, and the package refuses them.
    return (text[:-1] + ".Oeu"[_BCRYPT_ALPHABET.index(text[-1]) // 16]).encode()


def _bcrypt(text: str) -> EncodedHash:
    name, _, inner = text.partition("$")
    cost, salt, digest = _matched(_BCRYPT, "$" + inner.removeprefix("$")).groups()
    return EncodedHash(
        derivation=Bcrypt(cost=int(cost)),
        salt=_bcrypt_salt(salt),
        digest=digest.encode(),
        prepare=_prehashed if name == "bcrypt_sha256" else str.encode,
    )


_BCRYPT_SHA256 = re.compile(r"\$bcrypt-sha256\$(?:v=2,t=2b,r=|2[ab],)([0-9]{1,2})\$" + _BCRYPT_TAIL)


def _passlib_bcrypt_sha256(text: str) -> EncodedHash:
    cost, salt, digest = _matched(_BCRYPT_SHA256, text).groups()
    is_keyed = text.startswith("$bcrypt-sha256$v=2,")

    def prepare(password: str) -> bytes:
        raw = password.encode()
        return b64encode(hmac.digest(salt.encode(), raw, "sha256") if is_keyed else sha256(raw).digest())

    return EncodedHash(
        derivation=Bcrypt(cost=int(cost)), salt=_bcrypt_salt(salt), digest=digest.encode(), prepare=prepare
    )


def _matched(pattern: re.Pattern[str], text: str) -> re.Match[str]:
    found = pattern.fullmatch(text)
    if found is None:
        raise ValueError
    return found


def _number(text: str) -> int:
    if not (text.isdigit() and len(text) <= 10):
        raise ValueError
    return int(text)


def _base64(text: str) -> bytes:
    """With or without its padding, and nothing else left out."""
    return b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)


_READERS: dict[str, Callable[[str], EncodedHash]] = {
    "2a": _bcrypt,
    "2b": _bcrypt,
    "2y": _bcrypt,
    "argon2": _argon2,
    "argon2d": _argon2,
    "argon2i": _argon2,
    "argon2id": _argon2,
    "bcrypt": _bcrypt,
    "bcrypt-sha256": _passlib_bcrypt_sha256,
    "bcrypt_sha256": _bcrypt,
    "better-auth": _better_auth,
    "fbscrypt": _firebase,
    "pbkdf2": _pbkdf2,
    "pbkdf2-sha256": _passlib_pbkdf2,
    "pbkdf2-sha512": _passlib_pbkdf2,
    "pbkdf2_sha1": _django_pbkdf2,
    "pbkdf2_sha256": _django_pbkdf2,
    "scrypt": _scrypt,
}
