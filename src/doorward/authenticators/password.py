"""Passwords: how they are prepared and hashed, slowly, and never more of them at once than there are cores."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from secrets import token_bytes
from typing import Generic, TypeVar

from doorward.authenticators.derivation import Argon2, UnusableHash
from doorward.authenticators.encoded import EncodedHash, encode_argon2, read_hash, typed
from doorward.errors import Busy, FieldError, Unavailable, ValidationFailed, WeakPassword
from doorward.options import Options
from doorward.ports import PasswordHashing
from doorward.secret import Secret

T = TypeVar("T")

_log = logging.getLogger(__name__)

# Preparing

LONGEST = 256
"""Characters of a password: code points, counted after normalisation (NIST SP 800-63B-4 section 3.1.1.2)."""

_LONGEST_RAW = 4 * LONGEST
"""Code points that are normalised at all.  Decomposed text is up to four times as long as it will be, and NFKC makes up
to 18 characters of one: unbounded text is turned away before that."""


def prepare_password(password: Secret, *, minimum: int = 1, field: str = "password") -> Secret:
    """What is hashed for a password: its NFKC form.

    NFKC, not the NFC that NIST recommends, so that the same keys give the same password on every keyboard: an input
    method may send full-width letters, a phone a non-breaking space.  What is judged is the normalised text.  Nothing
    else is touched: not spaces at the ends, not NUL, not case.

    Args:
        password: as it was typed.
        minimum: the fewest characters.  Only a password that is being chosen has one: an older, shorter one goes on
            working.
        field: what the password is called in the request.

    Raises:
        WeakPassword: it has fewer characters than the minimum.
        ValidationFailed: it has more than 256 characters, or is no text (half of a surrogate pair).

    NIST SP 800-63B-4 section 3.1.1.2.
    """
    raw = password.reveal()
    text = unicodedata.normalize("NFKC", raw) if len(raw) <= _LONGEST_RAW else raw
    if len(text) > LONGEST:
        raise ValidationFailed([FieldError(field=field, message=f"Use at most {LONGEST} characters.")])
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValidationFailed([FieldError(field=field, message="It has characters that are no text.")])
    if len(text) < minimum:
        raise WeakPassword([f"Use at least {minimum} characters."])
    return Secret(text)


# Hashing

RETRY_AFTER = timedelta(seconds=1)
"""When to try again where a queue is full, or memory is short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Argon2Parameters:
    """What one hash costs, by argon2id.

    Args:
        memory_kib: memory that it fills, in KiB.
        passes: how often it goes over it.
        lanes: how many threads work on one hash.
        hash_bytes: length of the result.
        salt_bytes: length of the salt.
    """

    memory_kib: int
    passes: int
    lanes: int = 1
    hash_bytes: int = 32
    salt_bytes: int = 16


OWASP = Argon2Parameters(memory_kib=19 * 1024, passes=2)
"""OWASP Password Storage Cheat Sheet, argon2id: 19 MiB, two passes, one lane."""

INSECURE_FAST = Argon2Parameters(memory_kib=8, passes=1)
"""The least that argon2 takes; for tests."""


class PasswordHash:
    """The primitive, in the calling thread.

    Args:
        parameters: what a hash costs.
    """

    def __init__(self, parameters: Argon2Parameters) -> None:
        self._salt_bytes = parameters.salt_bytes
        self._derivation = Argon2(
            memory_kib=parameters.memory_kib,
            passes=parameters.passes,
            lanes=parameters.lanes,
            size=parameters.hash_bytes,
        )
        # A hash that no password has.  Checking it costs what checking a real one does, and making it up costs
        # nothing: the first sign-in for an unknown account takes no longer than the second.
        self._nobodys = EncodedHash(
            derivation=self._derivation,
            salt=token_bytes(parameters.salt_bytes),
            digest=token_bytes(parameters.hash_bytes),
            is_ours=True,
        )

    def hash(self, prepared: Secret) -> Secret:
        salt = token_bytes(self._salt_bytes)
        try:
            digest = self._derivation.derive(prepared.reveal().encode(), salt)
        except MemoryError:
            raise Busy(RETRY_AFTER, "no memory to hash in") from None
        return Secret(encode_argon2(self._derivation, salt=salt, digest=digest))

    def verify(self, password: Secret, password_hash: Secret | None) -> bool:
        """Whether they go together.  One computation whatever is given, so that time does not tell which it was.

        A hash of another scheme or with other parameters takes the time that those take, until its owner signs in.
        """
        encoded = _readable(password_hash) if password_hash is not None else None
        if encoded is not None:
            try:
                return encoded.matches(_prepared(password) if encoded.is_ours else typed(password))
            except Unavailable:
                raise
            except MemoryError:
                raise Busy(RETRY_AFTER, "no memory to hash in") from None
            except Exception as error:  # noqa: BLE001 -- whatever a library makes of it, nobody signs in by it
                _log.warning("a stored password hash cannot be computed (%s)", type(error).__name__)
        self._nobodys.matches(None)
        return False

    def is_outdated(self, password_hash: Secret) -> bool:
        encoded = _readable(password_hash)
        if encoded is None or not encoded.is_ours:
            return True
        return encoded.derivation != self._derivation or len(encoded.salt) != self._salt_bytes


def _readable(password_hash: Secret) -> EncodedHash | None:
    try:
        return read_hash(password_hash)
    except UnusableHash as error:
        _log.warning("a stored password hash cannot be used, and its owner cannot sign in by it: %s", error)
        return None


def _prepared(password: Secret) -> str | None:
    """The password as it is hashed, or None where it can be nobody's: answered like a wrong one."""
    try:
        return prepare_password(password).reveal()
    except (WeakPassword, ValidationFailed):
        return None


# In a pool, and in the calling thread

QUEUE_PER_CORE = 16
"""How many wait for each core: with OWASP's parameters the last of them for about half a second."""


def count_cores() -> int:
    """The cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


class _Hashing(ABC):
    """What both have in common: the password is prepared at once, and the slow part is run."""

    def __init__(self, parameters: Argon2Parameters, *, workers: int | None, queue: int | None) -> None:
        self._workers = workers or count_cores()
        places = self._workers + (QUEUE_PER_CORE * self._workers if queue is None else queue)
        self._places = threading.BoundedSemaphore(places)
        self._primitive = PasswordHash(parameters)

    async def hash(self, password: Secret) -> Secret:
        """The hash of a new password.  Raises Busy, and as ``prepare_password``."""
        prepared = prepare_password(password)
        return await self.run(lambda: self._primitive.hash(prepared))

    async def verify(self, password: Secret, password_hash: Secret | None) -> bool:
        """Whether they go together; one computation where there is no hash as well.  Raises Busy.

        A hash that was imported is checked with what was typed, and takes the time that its own scheme takes.
        """
        return await self.run(lambda: self._primitive.verify(password, password_hash))

    def is_outdated(self, password_hash: Secret) -> bool:
        """Whether the hash was made with other parameters than today's."""
        return self._primitive.is_outdated(password_hash)

    @abstractmethod
    async def run(self, work: Callable[[], T]) -> T:
        """Run slow work where passwords are hashed.  Raises Busy where too much waits."""

    def _take_place(self) -> None:
        if not self._places.acquire(blocking=False):
            raise Busy(RETRY_AFTER, "the queue for hashing is full")


class Argon2Hashing(_Hashing):
    """Hashes in a bounded pool of threads, for hosts with an event loop.

    argon2 lets go of the interpreter lock while it works, so threads are enough.  None is started before the first
    call, so that a server may fork after it has been set up.

    Args:
        parameters: what a hash costs.
        workers: how many work at once; as many as there are cores, where left out.
        queue: how many may wait beside them; 16 for each worker, where left out.
    """

    def __init__(
        self, parameters: Argon2Parameters = OWASP, *, workers: int | None = None, queue: int | None = None
    ) -> None:
        super().__init__(parameters, workers=workers, queue=queue)
        self._pool = ThreadPoolExecutor(
            self._workers, thread_name_prefix="doorward-hashing", initializer=_let_others_go_first
        )

    async def run(self, work: Callable[[], T]) -> T:
        """Run slow work where passwords are hashed.

        A place is taken until the work is over: a caller who is cancelled leaves it taken, because its thread goes on.
        What has not begun by then is dropped when its turn comes.

        Raises:
            Busy: the queue is full.
        """
        self._take_place()
        turn = _Turn(work, self._places)
        try:
            future = self._pool.submit(turn)
        except RuntimeError:
            # Closed; or no thread is to be had, and then the turn waits all the same and gives its place back itself.
            turn.is_abandoned = True
            raise Busy(RETRY_AFTER, "no thread to hash on") from None
        try:
            return await asyncio.shield(asyncio.wrap_future(future))
        except asyncio.CancelledError:
            turn.is_abandoned = True
            raise

    def close(self) -> None:
        """Take no more; what was taken is finished without being waited for."""
        self._pool.shutdown(wait=False)


_NICENESS = 10


def _let_others_go_first() -> None:
    """Give way to the event loop.

    With every core busy hashing it would wait for a slice of theirs before it answers anybody else; what is left of
    the cores goes to hashing all the same.  On Linux niceness is a thread's own, elsewhere the whole process would get
    it.
    """
    if sys.platform == "linux":
        with suppress(OSError):  # a sandbox may forbid it
            os.nice(_NICENESS)


class _Turn(Generic[T]):
    """Work that waits for its turn, and gives its place back after it."""

    __slots__ = ("_places", "_work", "is_abandoned")

    def __init__(self, work: Callable[[], T], places: threading.BoundedSemaphore) -> None:
        self._work = work
        self._places = places
        self.is_abandoned = False

    def __call__(self) -> T:
        try:
            if self.is_abandoned:
                raise CancelledError
            return self._work()
        finally:
            self._places.release()


class InlineHashing(_Hashing):
    """Hashes in the calling thread, for synchronous hosts and the command line: it never suspends.

    Args:
        parameters: what a hash costs.
        workers: how many threads may hash at once; as many as there are cores, where left out.
        queue: how many may wait beside them; 16 for each worker, where left out.
        patience: how long one waits.
    """

    def __init__(
        self,
        parameters: Argon2Parameters = OWASP,
        *,
        workers: int | None = None,
        queue: int | None = None,
        patience: timedelta = timedelta(seconds=5),
    ) -> None:
        super().__init__(parameters, workers=workers, queue=queue)
        self._cores = threading.BoundedSemaphore(self._workers)
        self._patience = patience

    async def run(self, work: Callable[[], T]) -> T:
        """Run slow work once a core is free.  Raises Busy where too many wait, or one has waited too long."""
        self._take_place()
        try:
            if not self._cores.acquire(timeout=self._patience.total_seconds()):
                raise Busy(RETRY_AFTER, "waited too long for a core to hash on")
            try:
                return work()
            finally:
                self._cores.release()
        finally:
            self._places.release()

    def close(self) -> None:
        """There is nothing to close."""


def hashing_for(options: Options, *, blocking: bool) -> PasswordHashing:
    """The hashing that a deployment uses: in the calling thread where its host has no event loop."""
    parameters = INSECURE_FAST if options.insecure_fast_hashing else OWASP
    return InlineHashing(parameters) if blocking else Argon2Hashing(parameters)
