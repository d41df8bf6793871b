"""Sessions that were looked up, remembered so that the same cookie need not be looked up again at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

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


class _Remembered(NamedTuple):
    principal: Principal
    session: str
    account: str
    version: int
    since: Moment
    until: Moment


class SessionCache:
    """A bounded memory of sessions that stood, by their handle (docs/decisions/0008-credentials-in-memory.md).

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
        self._young: dict[str, _Remembered] = {}
        self._old: dict[str, _Remembered] = {}

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())

    def get(self, handle: str, *, live: LiveSet, clock: datetime, ticks: float) -> Principal | None:
        """Whose handle this is, or None: look it up."""
        found = self.recall(handle, live=live, clock=clock, ticks=ticks)
        if found is None:
            self.misses += 1
        return found

    def recall(self, handle: str, *, live: LiveSet, clock: datetime, ticks: float) -> Principal | None:
        """The same for whoever goes on to ``get`` it where this gives nothing: a miss is counted there."""
        found = self._young.get(handle)
        if found is None:
            found = self._old.get(handle)
            if found is None:
                return None
            self._keep(handle, found)
        principal, session, account, version, since, until = found
        if (
            session in live.sessions
            or version < live.accounts.get(account, 0)
            or not since.ticks <= ticks < until.ticks
            # A clock that was put back or forward since: which of the two is right is for the store to say.
            or not since.clock <= clock < until.clock
        ):
            return None
        self.hits += 1
        return principal

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
        left = until - seen_at
        if left > timedelta():
            over = Moment(clock=asked.clock + left, ticks=asked.ticks + left.total_seconds())
            found = _Remembered(principal, session.id, account.id, account.version, asked, over)
            self._keep(handle, found)

    def forget_all(self) -> None:
        """Forget every session."""
        self._young, self._old = {}, {}

    def _keep(self, handle: str, found: _Remembered) -> None:
        if len(self._young) >= self._half:
            self._young, self._old = {}, self._young
        self._young[handle] = found
