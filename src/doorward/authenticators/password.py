"""Passwords: how they are prepared and hashed, slowly, and never more of them at once than there are cores."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import unicodedata
from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from secrets import token_bytes
from typing import Generic, TypeVar

from doorward.authenticators.imported import is_imported, parse_imported
from doorward.errors import Busy, FieldError, ValidationFailed, WeakPassword
from doorward.options import Options
from doorward.ports import PasswordHashing
from doorward.secret import Secret

T = TypeVar("T")

_log = logging.getLogger(__name__)

# Preparing

SHORTEST = 8
LONGEST = 256
"""Characters of a password: code points, counted after normalisation (NIST SP 800-63B-4 section 3.1.1.2)."""

_LONGEST_RAW = 4 * LONGEST
"""Code points that are normalised at all.  Decomposed text is up to four times as long as it will be, and NFKC makes up
to 18 characters of one: unbounded text is turned away before that."""


def prepare_password(password: Secret, *, field: str = "password") -> Secret:
    """What is hashed for a password: its NFKC form.

    NFKC, not NFC, so that the same keys give the same password on every keyboard: an input method may send full-width
    letters, a phone a non-breaking space.  Nothing else is touched: not spaces at the ends, not NUL, not case.

    Args:
        password: as it was typed.
        field: what the password is called in the request.

    Raises:
        WeakPassword: it has fewer than 8 characters.
        ValidationFailed: it has more than 256, or is no text (half of a surrogate pair).

    NIST SP 800-63B-4 section 3.1.1.2.
    """
    raw = password.reveal()
    text = unicodedata.normalize("NFKC", raw) if len(raw) <= _LONGEST_RAW else raw
    if len(text) > LONGEST:
        raise ValidationFailed([FieldError(field=field, message=f"Use at most {LONGEST} characters.")])
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValidationFailed([FieldError(field=field, message="It has characters that are no text.")])
    if len(text) < SHORTEST:
        raise WeakPassword([f"Use at least {SHORTEST} characters."])
    return Secret(text)


# Hashing


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

_MOST_MEMORY_KIB = 1024 * 1024
_MOST_WORK_KIB = 16 * _MOST_MEMORY_KIB
_MOST_LANES = 64
"""A stored hash that asks for more is not ours, and computing it would take the server down."""


class Argon2:
    """The primitive, in the calling thread.

    Args:
        parameters: what a hash costs.
    """

    def __init__(self, parameters: Argon2Parameters) -> None:
        from argon2 import PasswordHasher

        self._hasher = PasswordHasher(
            time_cost=parameters.passes,
            memory_cost=parameters.memory_kib,
            parallelism=parameters.lanes,
            hash_len=parameters.hash_bytes,
            salt_len=parameters.salt_bytes,
        )
        self._nobodys = _made_up_hash(parameters)

    def hash(self, prepared: Secret) -> Secret:
        return Secret(self._hasher.hash(prepared.reveal()))

    def verify(self, prepared: Secret | None, password_hash: Secret | None) -> bool:
        """Whether they go together.  One computation whatever is given, so that time does not tell which it was.

        A hash that was made with other parameters takes the time that those take, until its owner signs in.
        """
        if prepared is not None and password_hash is not None:
            matches = self._matches(prepared, password_hash)
            if matches is not None:
                return matches
        self._matches(prepared or Secret(""), self._nobodys)
        return False

    def is_outdated(self, password_hash: Secret) -> bool:
        return not is_sane(password_hash) or self._hasher.check_needs_rehash(password_hash.reveal())

    def _matches(self, prepared: Secret, password_hash: Secret) -> bool | None:
        """Whether they go together, or None where the hash is none and nothing has been computed."""
        from argon2.exceptions import Argon2Error, VerifyMismatchError

        try:
            if is_sane(password_hash):
                return self._hasher.verify(password_hash.reveal(), prepared.reveal())
        except VerifyMismatchError:
            return False
        except Argon2Error:
            pass  # told below, without anything that argon2 says: it might quote
        _log.warning("a stored password hash is malformed; its owner cannot sign in")
        return None


def _made_up_hash(parameters: Argon2Parameters) -> Secret:
    """A hash that no password has.

    Verifying against it costs what verifying against a real one does, and making it up costs nothing: the first sign-in
    for an unknown account takes no longer than the second.
    """
    cost = f"m={parameters.memory_kib},t={parameters.passes},p={parameters.lanes}"
    lengths = (parameters.salt_bytes, parameters.hash_bytes)
    salt, digest = (b64encode(token_bytes(length)).rstrip(b"=").decode() for length in lengths)
    return Secret(f"$argon2id$v=19${cost}${salt}${digest}")


def is_sane(password_hash: Secret) -> bool:
    """Whether it is a hash by argon2 whose work is bounded."""
    from argon2 import extract_parameters

    text = password_hash.reveal()
    try:
        asks = extract_parameters(text)
    except ValueError:
        return False
    return (
        text.isascii()
        and asks.memory_cost <= _MOST_MEMORY_KIB
        and asks.memory_cost * asks.time_cost <= _MOST_WORK_KIB
        and asks.parallelism <= _MOST_LANES
    )


def _prepared(password: Secret) -> Secret | None:
    """The password as it is hashed, or None where it can be nobody's: answered like a wrong one."""
    try:
        return prepare_password(password)
    except (WeakPassword, ValidationFailed):
        return None


# In a pool, and in the calling thread

QUEUE_PER_CORE = 16
"""How many wait for each core: with OWASP's parameters the last of them for about half a second."""

RETRY_AFTER = timedelta(seconds=1)
"""When a queue that is full is worth another try."""


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
        self._argon2 = Argon2(parameters)

    async def hash(self, password: Secret) -> Secret:
        """The hash of a new password.  Raises Busy, and as ``prepare_password``."""
        prepared = prepare_password(password)
        return await self.run(lambda: self._argon2.hash(prepared))

    async def verify(self, password: Secret, password_hash: Secret | None) -> bool:
        """Whether they go together; one computation where there is no hash as well.  Raises Busy.

        A hash that was imported is checked with what was typed, and takes the time that its own scheme takes.
        """
        imported = parse_imported(password_hash) if password_hash is not None and is_imported(password_hash) else None
        if imported is not None:
            return await self.run(lambda: imported.matches(password))
        prepared = _prepared(password)
        return await self.run(lambda: self._argon2.verify(prepared, password_hash))

    def is_outdated(self, password_hash: Secret) -> bool:
        """Whether the hash was made with other parameters than today's."""
        return self._argon2.is_outdated(password_hash)

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
