"""What a history is played in: the interface of a world, what it answers, and what is under way to and from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, Protocol

from doorward.accounts.model import Account
from doorward.revocation.model import Kind, Revocation
from doorward.sessions.model import EndReason, NewSession, Session

Crash = Literal["before the commit", "after the commit"]
Interlude = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a presentation was answered with.

    Args:
        kind: answered with credentials; refused; told to come again; or the connection was lost.
        generation: of the refresh token in the answer.
        unchanged: whether that is the one presented, so that no cookie is set.
        reason: why the session is over, where that is said.
        retry_after: when to come again.
        access: which access token of this history came with it.
    """

    kind: Literal["answered", "refused", "early", "unknown"]
    generation: int | None = None
    unchanged: bool | None = None
    reason: str | None = None
    retry_after: timedelta | None = None
    access: int | None = None


UNKNOWN = Answer(kind="unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """What an access token says."""

    session: str
    generation: int
    version: int
    issued_at: int
    expires_at: int


class World(Protocol):
    """Somewhere that the same history can be played."""

    name: str

    def start(self, new: NewSession) -> None: ...

    def present(
        self,
        key: int,
        generation: int,
        attempt: str | None,
        *,
        crash: Crash | None = None,
        interlude: Interlude | None = None,
    ) -> Answer: ...

    def use(self, access: int) -> str: ...

    def end(self, session_id: str, reason: EndReason) -> None: ...

    def end_all(self) -> None: ...

    def disable(self, *, disabled: bool) -> None: ...

    def change_password(self, keep: int | None) -> None: ...

    def read_changes(self) -> None: ...

    def row(self, key: int) -> Session: ...

    def account(self) -> Account: ...

    def revoked(self) -> dict[tuple[Kind, str], Revocation]: ...

    def events(self) -> list[tuple[str, ...]]: ...

    def save(self) -> None: ...

    def restore(self) -> None: ...


class BrokenPromise(AssertionError):
    """Something that must always hold did not."""


def hold(promise: object, otherwise: str) -> None:
    if not promise:
        raise BrokenPromise(otherwise)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Request:
    """On its way to the server."""

    generation: int
    attempt: str | None
    late_at: timedelta


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reply:
    """On its way to a tab."""

    generation: int
    unchanged: bool
    access: int
    late_at: timedelta


def secret_of(key: int) -> bytes:
    """The secret of a session: 16 bytes, known to whoever plays."""
    return key.to_bytes(16)
