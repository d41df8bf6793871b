"""Whether this process ran all the time, or what it judges now has waited for it.

A process that was stopped (a paused virtual machine, a laptop that slept, a debugger, a machine without memory) finds
requests in its sockets that were sent long ago.  They look as if somebody presented an old refresh token just now.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from doorward.revocation.freshness import Ticks, boot_seconds

BEATS_EVERY: Final = timedelta(seconds=1)
"""How often a process that runs says so."""

NOTICED: Final = timedelta(milliseconds=500)
"""How late a beat is in a process that is only busy."""

REMEMBERED_FOR: Final = timedelta(seconds=10)
"""For how long after a stall a request may be one that waited for its end: as long as one operation may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Beats:
    """What is known of the beats so far, in seconds of ticks.

    Args:
        last: when the last one was, or None where nobody beats.
        stall: how long the last stall was.
        ended_at: when it ended.
    """

    last: float | None = None
    stall: float = 0.0
    ended_at: float = float("-inf")

    def gap(self, at: float) -> float:
        gap = 0.0 if self.last is None else at - self.last
        # The whole of it: when in between the process was stopped is not known.
        return gap if gap > (BEATS_EVERY + NOTICED).total_seconds() else 0.0

    def stall_before(self, at: float) -> float:
        gap = self.gap(at)
        # Stopped again and again, it kept a request waiting for all of that.
        recent = at - gap - self.ended_at <= REMEMBERED_FOR.total_seconds()
        return gap + (self.stall if recent else 0.0)


class Pulse:
    """Beats while this process runs: a gap between two beats is a stall.

    Threads may share it, and a forked process may begin it anew: it takes no lock.

    Args:
        ticks: seconds by a clock that nobody steps and that goes on while the machine sleeps.
    """

    def __init__(self, ticks: Ticks = boot_seconds) -> None:
        self.ticks = ticks
        self._beats = _Beats()

    def start(self) -> None:
        """Begin: whatever was before this is not known, and is no stall."""
        self._beats = _Beats(last=self.ticks())

    def stop(self) -> None:
        """Nobody beats from now on."""
        self._beats = replace(self._beats, last=None)

    def beat(self) -> None:
        """This process runs.  Called every ``BEATS_EVERY``."""
        now, beats = self.ticks(), self._beats
        stalled = beats.gap(now) > 0
        after = _Beats(last=now, stall=beats.stall_before(now), ended_at=now) if stalled else replace(beats, last=now)
        self._beats = after

    def stall_before(self, at: float) -> float:
        """For how many seconds, at most, something may have waited for this process before an instant of ``ticks``.

        A process that has just gone on may read its sockets before it beats.
        """
        return self._beats.stall_before(at)
