"""Sessions that were looked up, remembered so that the same cookie need not be looked up again at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from doorward.accounts.model import Owner
from doorward.principal import Principal
from doorward.revocation.model import LiveSet
from doorward.sessions.model import Session
from doorward.sessions.rules import decide_next_sighting

MOST_SESSIONS = 50_000
"""About 50 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When something was asked for.

    Args:
        clock: by this machine's clock.
        ticks: by the one that nobody steps.
    """

    clock: datetime
    ticks: float


@dataclass(frozen=True, slots=True)
class _Remembered:
    principal: Principal
    version: int
    asked: Moment
    seconds: float


class SessionCache:
    """A bounded memory of sessions that stood, by the SHA-256 of their handle: a dump of it holds no credential.

    What has ended since is not taken out: each use asks the live revocations, which hold the end of a session for
    longer than anything is remembered here.  So it does not matter whether a look-up was under way when the end came.
    It is for whoever knows that his live revocations are fresh.

    A session is remembered until its use is to be written again, a minute at most, and never beyond its own end.  Two
    generations of half the limit each keep what is used, without a list to be kept in order.

    Args:
        limit: how many sessions are remembered at most.
    """

    __slots__ = ("_half", "_old", "_young", "hits", "misses")

    def __init__(self, limit: int = MOST_SESSIONS) -> None:
        if limit < 2:
            raise ValueError("a memory of sessions holds at least two")
        self.hits = 0
        self.misses = 0
        self._half = limit // 2
        self._young: dict[bytes, _Remembered] = {}
        self._old: dict[bytes, _Remembered] = {}

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())

    def get(self, handle: str, *, live: LiveSet, now: Moment) -> Principal | None:
        """Whose handle this is, or None: look it up."""
        name = _name(handle)
        found = self._young.get(name) or self._old.get(name)
        if found is None or not _holds(found, live=live, now=now):
            self.misses += 1
            return None
        if name not in self._young:
            self._keep(name, found)
        self.hits += 1
        return found.principal

    def put(
        self,
        handle: str,
        principal: Principal,
        session: Session,
        account: Owner,
        *,
        asked: Moment,
        seen_at: datetime,
        idle: timedelta,
    ) -> None:
        """Remember a session that stood.

        Args:
            handle: its handle, found to be right.
            principal: whom it speaks for.
            session: the row, its use just noted.
            account: whose it is.
            asked: when the look-up was begun.
            seen_at: the same by the store's clock, which is the one that the row's times go by.
            idle: how long a session may be left unused.
        """
        until = min(session.leaves_at, decide_next_sighting(session, idle=idle))
        seconds = (until - seen_at).total_seconds()
        if seconds > 0:
            self._keep(_name(handle), _Remembered(principal, account.version, asked, seconds))

    def _keep(self, name: bytes, found: _Remembered) -> None:
        if len(self._young) >= self._half:
            self._young, self._old = {}, self._young
        self._young[name] = found


def _holds(found: _Remembered, *, live: LiveSet, now: Moment) -> bool:
    principal, asked = found.principal, found.asked
    if principal.session_id in live.sessions or found.version < live.accounts.get(principal.subject, 0):
        return False
    if not 0 <= now.ticks - asked.ticks < found.seconds:
        return False
    # A clock that was put back or forward since: which of the two is right is for the store to say.
    return 0 <= (now.clock - asked.clock).total_seconds() < found.seconds


def _name(handle: str) -> bytes:
    return sha256(handle.encode(errors="surrogatepass")).digest()
