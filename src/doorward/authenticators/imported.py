"""Password hashes that other frameworks made: checked as they were made, until their owner signs in and has ours.

They are kept as they come, and their own beginning says what they are:

    pbkdf2_sha256$…  pbkdf2_sha1$…  scrypt$…  argon2$argon2…  bcrypt$…  bcrypt_sha256$…    Django
    pbkdf2:sha256:…  pbkdf2:sha1:…  scrypt:…                                              Werkzeug (Flask)
    $2b$…  $argon2id$…                                                         passlib, pwdlib (fastapi-users)

The last two are kept with ``bcrypt`` or ``argon2`` before them: a hash that begins with ``$argon2`` is ours, of a
password that was normalised first, and theirs is of what was typed.  How much work a hash may ask for is bounded when
it is imported and again when it is checked: one of absurd cost would take the server down.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable
from dataclasses import dataclass, field

from doorward.errors import FieldError, Unavailable, ValidationFailed
from doorward.secret import Secret

MOST_ITERATIONS = 5_000_000
"""Of PBKDF2: four times what the newest Django asks for, a second or two."""

MOST_SCRYPT_MEMORY = 256 * 1024 * 1024
MOST_SCRYPT_WORK = 4 * MOST_SCRYPT_MEMORY
"""Bytes that scrypt fills, and goes over."""

MOST_BCRYPT_COST = 15
"""Two to the power of it: some two seconds."""

LONGEST_PASSWORD = 1024
"""Characters that are hashed at all."""

_LONGEST_HASH = 1024
_BCRYPT_BYTES = 72
"""What bcrypt looks at.  Older versions of the package left the rest out; newer ones refuse it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedHash:
    """A hash whose scheme is known and whose work is bounded.

    Args:
        scheme: such as ``pbkdf2_sha256``.
        stored: as it is kept.
        check: whether a password, as it was typed, goes with it; slow.
    """

    scheme: str
    stored: Secret
    check: Callable[[str], bool] = field(repr=False)

    def matches(self, password: Secret) -> bool:
        """Whether they go together, in the calling thread.  Raises Unavailable where a package is missing."""
        text = password.reveal()
        if len(text) > LONGEST_PASSWORD or any("\ud800" <= character <= "\udfff" for character in text):
            return False
        return self.check(text)


def is_imported(stored: Secret) -> bool:
    """Whether a stored hash was made elsewhere."""
    return not stored.reveal().startswith("$argon2")


def import_hash(text: str) -> Secret:
    """How a hash from elsewhere is kept.

    Raises:
        ValidationFailed: its scheme is not known, it is malformed, or it asks for absurd work.
    """
    kept = Secret({"$a": "argon2", "$2": "bcrypt"}.get(text[:2], "") + text)
    if parse_imported(kept) is None:
        message = "This is no password hash that can be checked: its scheme is unknown, or it asks for absurd work."
        raise ValidationFailed([FieldError(field="password_hash", message=message)])
    return kept


def parse_imported(stored: Secret) -> ImportedHash | None:
    """What a stored hash asks for; None where it is malformed or would take too much work."""
    text = stored.reveal()
    if not text.isascii() or len(text) > _LONGEST_HASH:
        return None
    scheme = text.partition("$")[0]
    try:
        check = _SCHEMES[scheme.partition(":")[0]](text)
    except (KeyError, ValueError, NotBase64):
        return None
    return ImportedHash(scheme=scheme, stored=stored, check=check)


# Each reads a hash and gives what checks a password; raises ValueError where it is malformed or too much.


def _django_pbkdf2(text: str) -> Callable[[str], bool]:
    algorithm, iterations, salt, digest = text.split("$")
    return _pbkdf2(algorithm.removeprefix("pbkdf2_"), _number(iterations), salt, b64decode(digest, validate=True))


def _werkzeug_pbkdf2(text: str) -> Callable[[str], bool]:
    method, salt, digest = text.split("$")
    _, algorithm, iterations = method.split(":")
    return _pbkdf2(algorithm, _number(iterations), salt, bytes.fromhex(digest))


def _pbkdf2(algorithm: str, iterations: int, salt: str, digest: bytes) -> Callable[[str], bool]:
    if algorithm not in {"sha1", "sha256", "sha512"} or iterations > MOST_ITERATIONS:
        raise ValueError
    _refuse_short(digest)

    def check(password: str) -> bool:
        made = hashlib.pbkdf2_hmac(algorithm, password.encode(), salt.encode(), iterations)
        return hmac.compare_digest(made, digest)

    return check


def _scrypt(text: str) -> Callable[[str], bool]:
    if text.startswith("scrypt:"):
        method, salt, encoded = text.split("$")
        n, r, p = (_number(each) for each in method.split(":")[1:])
        digest = bytes.fromhex(encoded)
    else:
        _, work, salt, block, lanes, encoded = text.split("$")
        n, r, p = _number(work), _number(block), _number(lanes)
        digest = b64decode(encoded, validate=True)
    memory = 128 * n * r
    if memory > MOST_SCRYPT_MEMORY or memory * p > MOST_SCRYPT_WORK or n & (n - 1) or n < 2:
        raise ValueError
    _refuse_short(digest)

    def check(password: str) -> bool:
        made = hashlib.scrypt(
            password.encode(), salt=salt.encode(), n=n, r=r, p=p, maxmem=memory + 128 * r * (p + 4), dklen=len(digest)
        )
        return hmac.compare_digest(made, digest)

    return check


def _argon2(text: str) -> Callable[[str], bool]:
    from argon2 import PasswordHasher
    from argon2.exceptions import VerificationError

    from doorward.authenticators.password import is_sane

    inner = text.removeprefix("argon2")
    if not is_sane(Secret(inner)):
        raise ValueError

    def check(password: str) -> bool:
        try:
            return PasswordHasher().verify(inner, password)
        except VerificationError:
            return False

    return check


def _bcrypt(text: str) -> Callable[[str], bool]:
    scheme, _, inner = text.partition("$")
    kind, cost, rest = inner.removeprefix("$").split("$")
    if kind not in {"2a", "2b", "2y"} or not 4 <= _number(cost) <= MOST_BCRYPT_COST or len(rest) != 53:
        raise ValueError

    def check(password: str) -> bool:
        try:
            import bcrypt
        except ImportError:
            raise Unavailable(detail="imported bcrypt hashes need a package: pip install 'doorward[bcrypt]'") from None
        raw = password.encode()
        if scheme == "bcrypt_sha256":
            raw = hashlib.sha256(raw).hexdigest().encode()
        return "\0" not in password and bcrypt.checkpw(raw[:_BCRYPT_BYTES], f"${inner.removeprefix('$')}".encode())

    return check


def _number(text: str) -> int:
    if not (text.isdigit() and len(text) <= 10) or int(text) < 1:
        raise ValueError
    return int(text)


def _refuse_short(digest: bytes) -> None:
    # What is cut off is guessed by chance; what is empty goes with every password.
    if not 16 <= len(digest) <= 128:
        raise ValueError


_SCHEMES: dict[str, Callable[[str], Callable[[str], bool]]] = {
    "pbkdf2_sha256": _django_pbkdf2,
    "pbkdf2_sha1": _django_pbkdf2,
    "pbkdf2": _werkzeug_pbkdf2,
    "scrypt": _scrypt,
    "argon2": _argon2,
    "bcrypt": _bcrypt,
    "bcrypt_sha256": _bcrypt,
}
