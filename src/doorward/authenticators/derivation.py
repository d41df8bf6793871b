"""The functions that turn a password and a salt into a digest, each with a bound on the work that it may ask for.

A stored hash names its own parameters, so a stored hash decides how long a sign-in takes.  Each class checks its
parameters when it is created, and computes nothing before it has.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import lru_cache
from time import thread_time
from typing import Protocol

from doorward.errors import Unavailable

MOST_ITERATIONS = {"sha1": 6_000_000, "sha256": 6_000_000, "sha512": 3_000_000}
"""Iterations of PBKDF2, times the blocks of its result: about three seconds each.

Keycloak's default with SHA-1 is 1,300,000 iterations of 4 blocks.
"""

MOST_SCRYPT_MEMORY = 256 * 1024 * 1024
MOST_SCRYPT_WORK = 4 * MOST_SCRYPT_MEMORY
"""Bytes that scrypt fills, and bytes that it fills in all lanes together."""

MOST_SCRYPT_BLOCK = 1024 * 1024
"""Bytes that scrypt derives by PBKDF2 before and after its own work."""

MOST_BCRYPT_COST = 15
"""Base-2 logarithm of bcrypt's rounds; about two seconds."""

MOST_ARGON2_MEMORY_KIB = 1024 * 1024
MOST_ARGON2_WORK_KIB = 2 * MOST_ARGON2_MEMORY_KIB
"""Memory, and memory times passes: what libsodium calls "moderate" asks for 0.25 and 0.75 GiB."""

MOST_ARGON2_PASSES = 64
MOST_ARGON2_LANES = 16
"""Each pass starts a thread for each lane, four times, however little memory there is."""

MOST_SECONDS = 3.0
"""Processor time that one check of an imported hash may take on the machine that imports it."""

_BCRYPT_BYTES = 72
_BCRYPT_SALT, _BCRYPT_DIGEST = 22, 31
_TRIAL_SALT = b"." * _BCRYPT_SALT  # valid for all of them; bcrypt takes its salt in its own base64


class UnusableHash(ValueError):
    """The hash cannot be checked.  The message says why and repeats nothing of the hash."""


class Derivation(Protocol):
    """A function that is slow on purpose, with its parameters.  Equal ones do equal work."""

    def __hash__(self) -> int: ...

    def derive(self, password: bytes, salt: bytes) -> bytes:
        """The digest.

        Raises:
            MemoryError: this machine has no memory or no thread for it now.
            Unavailable: a package is missing.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pbkdf2:
    """RFC 8018 section 5.2, with HMAC."""

    algorithm: str
    iterations: int
    size: int

    def __post_init__(self) -> None:
        if self.algorithm not in MOST_ITERATIONS:
            raise UnusableHash("PBKDF2 with this hash function is not supported")
        _check_size(self.size)
        blocks = -(-self.size // hashlib.new(self.algorithm, usedforsecurity=False).digest_size)
        _at_least_one(self.iterations)
        if self.iterations * blocks > MOST_ITERATIONS[self.algorithm]:
            raise _too_much(f"{self.iterations} iterations of PBKDF2")

    def derive(self, password: bytes, salt: bytes) -> bytes:
        return hashlib.pbkdf2_hmac(self.algorithm, password, salt, self.iterations, self.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrypt:
    """RFC 7914."""

    n: int
    r: int
    p: int
    size: int

    def __post_init__(self) -> None:
        _check_size(self.size)
        _at_least_one(self.r, self.p)
        if self.n < 2 or self.n & (self.n - 1):
            raise UnusableHash("it is malformed: n of scrypt is no power of two")
        too_much = self._memory > MOST_SCRYPT_MEMORY or self._memory * self.p > MOST_SCRYPT_WORK
        if too_much or 128 * self.r * self.p > MOST_SCRYPT_BLOCK:
            raise _too_much(f"scrypt with n={self.n}, r={self.r} and p={self.p}")

    @property
    def _memory(self) -> int:
        return 128 * self.n * self.r

    def derive(self, password: bytes, salt: bytes) -> bytes:
        most = self._memory + 128 * self.r * (self.p + 4)
        return hashlib.scrypt(password, salt=salt, n=self.n, r=self.r, p=self.p, maxmem=most, dklen=self.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class FirebaseScrypt:
    """Firebase's variant: the project's signer key, encrypted under what scrypt derives.

    https://github.com/firebase/scrypt
    """

    scrypt: Scrypt
    signer_key: bytes = field(repr=False)
    salt_separator: bytes

    def __post_init__(self) -> None:
        # What is compared is as long as this key.
        _check_size(len(self.signer_key))

    def derive(self, password: bytes, salt: bytes) -> bytes:
        from cryptography.hazmat.primitives.ciphers import Cipher
        from cryptography.hazmat.primitives.ciphers.algorithms import AES256
        from cryptography.hazmat.primitives.ciphers.modes import CTR

        key = self.scrypt.derive(password, salt + self.salt_separator)[:32]
        # The counter begins at zero, as Firebase's does: each key is used once.
        encryptor = Cipher(AES256(key), CTR(bytes(16))).encryptor()
        return encryptor.update(self.signer_key) + encryptor.finalize()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bcrypt:
    """bcrypt as ``$2a$``, ``$2b$`` and ``$2y$`` mean it; ``$2x$`` marks hashes of a faulty implementation."""

    cost: int

    def __post_init__(self) -> None:
        if self.cost < 4:
            raise UnusableHash("it is malformed: the cost of bcrypt is below 4")
        if self.cost > MOST_BCRYPT_COST:
            raise _too_much(f"bcrypt of cost {self.cost}")

    def derive(self, password: bytes, salt: bytes) -> bytes:
        try:
            import bcrypt
        except ImportError:
            raise Unavailable(detail="bcrypt hashes need a package: pip install 'doorward[bcrypt]'") from None
        # bcrypt reads 72 bytes.  Older versions of the package ignored the rest; newer ones refuse it.
        made = bcrypt.hashpw(password[:_BCRYPT_BYTES], f"$2b${self.cost:02}$".encode() + salt)
        return made[-_BCRYPT_DIGEST:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Argon2:
    """RFC 9106."""

    variant: str = "id"
    version: int = 19
    memory_kib: int
    passes: int
    lanes: int
    size: int

    def __post_init__(self) -> None:
        _check_size(self.size)
        _at_least_one(self.memory_kib, self.passes, self.lanes)
        if self.variant not in {"i", "d", "id"} or self.version not in {16, 19}:
            raise UnusableHash("this variant of argon2 is not supported")
        if self.memory_kib < 8 * self.lanes:
            raise UnusableHash("it is malformed: argon2 has less memory than its lanes need")
        too_much = self.memory_kib > MOST_ARGON2_MEMORY_KIB or self.memory_kib * self.passes > MOST_ARGON2_WORK_KIB
        if too_much or self.passes > MOST_ARGON2_PASSES or self.lanes > MOST_ARGON2_LANES:
            raise _too_much(f"argon2 with m={self.memory_kib}, t={self.passes} and p={self.lanes}")

    def derive(self, password: bytes, salt: bytes) -> bytes:
        from argon2.exceptions import HashingError
        from argon2.low_level import Type, hash_secret_raw

        try:
            return hash_secret_raw(
                password,
                salt,
                time_cost=self.passes,
                memory_cost=self.memory_kib,
                parallelism=self.lanes,
                hash_len=self.size,
                type={"d": Type.D, "i": Type.I, "id": Type.ID}[self.variant],
                version=self.version,
            )
        except HashingError as error:
            # The parameters have been checked, so this is memory or threads.
            raise MemoryError(str(error)) from None


def try_out(derivation: Derivation) -> None:
    """Compute the function once, and measure it.

    Hashes with equal parameters do equal work, so the first of them is measured for all: an import of a million
    accounts would otherwise take a million times as long as a sign-in.

    Raises:
        UnusableHash: it takes more than ``MOST_SECONDS`` of processor time on this machine, or it cannot be computed.
    """
    if _seconds_of(derivation) > MOST_SECONDS:
        raise UnusableHash(f"a check takes more than {MOST_SECONDS:.0f} s on this machine")


@lru_cache(maxsize=64)
def _seconds_of(derivation: Derivation) -> float:
    if isinstance(derivation, Argon2):
        # Lanes are threads of their own, which this thread's clock does not count.  One lane does the same work.
        derivation = replace(derivation, lanes=1)
    began = thread_time()
    try:
        derivation.derive(b"trial", _TRIAL_SALT)
    except Unavailable as missing:
        raise UnusableHash(missing.detail) from None
    except MemoryError:
        raise UnusableHash("it asks for more memory than this machine has") from None
    return thread_time() - began


def _too_much(what: str) -> UnusableHash:
    return UnusableHash(f"it asks for too much work: {what}")


def _at_least_one(*numbers: int) -> None:
    if min(numbers) < 1:
        raise UnusableHash("it is malformed: a parameter is zero")


def _check_size(size: int) -> None:
    # A digest of few bytes is matched by chance, an empty one by every password.
    if not 16 <= size <= 128:
        raise UnusableHash("it is malformed: its digest has fewer than 16 or more than 128 bytes")
