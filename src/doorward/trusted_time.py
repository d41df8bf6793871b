"""The time that removals go by: a clock, as far as elapsed time confirms it.

A clock that is set an hour ahead makes every recent revocation look dead.  What is removed because of that is missing
when the clock is set right, while the tokens that it named are accepted again.  So whatever removes by time asks how
much time has really passed, by a clock that nobody steps.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

CONFIRMED_AFTER: Final = timedelta(hours=1)
"""How long a clock must have run steadily before removals go by it.  Longer than a revocation lives."""

UNCONFIRMED_MARGIN: Final = timedelta(days=1)
"""How long ago something must have expired before a process removes it that has not run for long enough to tell."""

NOTICED: Final = timedelta(seconds=10)
"""Smaller steps are followed: an answer may have been on its way for so long.  Revocations outlive tokens by more."""

_DRIFT = 0.001  # what a clock may gain on elapsed time while it is corrected smoothly (NTP: 500 ppm)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedTime:
    """What is known of a clock.

    Args:
        offset: seconds since 1970 minus ticks, as far as it is trusted.
        noted_at: the ticks of the last look at the clock.
        began_at: the ticks of the first.
        ahead: the offset that the clock shows since it was set forward, or None where it was not.
        ahead_since: the ticks of the first look that showed that.
    """

    offset: float
    noted_at: float
    began_at: float
    ahead: float | None = None
    ahead_since: float = 0.0

    @property
    def is_confirmed(self) -> bool:
        """Whether the clock has been watched for long enough to remove by it."""
        return self.noted_at - self.began_at >= CONFIRMED_AFTER.total_seconds()

    def at(self, ticks: float) -> datetime:
        """The latest instant that may be taken for the present."""
        return datetime.fromtimestamp(self.offset + ticks, UTC) + NOTICED


def first_look(now: datetime, *, ticks: float) -> TrustedTime:
    """What is known of a clock that nobody has looked at before."""
    return TrustedTime(offset=now.timestamp() - ticks, noted_at=ticks, began_at=ticks)


def decide_trusted_time(known: TrustedTime, now: datetime, *, ticks: float) -> TrustedTime:
    """Decide what may be taken for the present after another look at the clock.

    A clock that was set back is believed at once: nothing is removed because of that.  One that was set forward is
    believed when it has gone on from there for ``CONFIRMED_AFTER``.

    Args:
        known: what was known before.
        now: what the clock shows, UTC.
        ticks: seconds by a clock that nobody steps.
    """
    shown, noticed = now.timestamp() - ticks, NOTICED.total_seconds()
    drifted = known.offset + _DRIFT * max(ticks - known.noted_at, 0.0)
    if shown <= drifted + noticed:
        return replace(known, offset=min(shown, drifted), noted_at=ticks, ahead=None)
    if known.ahead is None or abs(shown - known.ahead) > noticed:
        return replace(known, noted_at=ticks, ahead=shown, ahead_since=ticks)
    if ticks - known.ahead_since < CONFIRMED_AFTER.total_seconds():
        return replace(known, noted_at=ticks)
    return replace(known, offset=shown, noted_at=ticks, ahead=None)


class Timekeeper:
    """Watches one clock, and logs each jump of it once.

    Threads may share it: what is known is replaced as a whole, and a look that is lost costs nothing.
    """

    def __init__(self) -> None:
        self._known: TrustedTime | None = None

    def trust(self, now: datetime, *, ticks: float) -> datetime:
        """Look at the clock.  Returns the latest instant, not after ``now``, that may be taken for the present.

        Args:
            now: what the clock shows, UTC.
            ticks: seconds by a clock that nobody steps and that goes on while the machine sleeps.
        """
        before = self._known
        after = first_look(now, ticks=ticks) if before is None else decide_trusted_time(before, now, ticks=ticks)
        self._known = after
        if before is not None:
            _report(before, after, now)
        return min(now, after.at(ticks))

    def removable_until(self, now: datetime, *, ticks: float) -> datetime:
        """Look at the clock.  Returns the instant up to which what has expired may be removed for good."""
        trusted = self.trust(now, ticks=ticks)
        confirmed = self._known is not None and self._known.is_confirmed
        return trusted if confirmed else trusted - UNCONFIRMED_MARGIN


def _report(before: TrustedTime, after: TrustedTime, now: datetime) -> None:
    if after.ahead is not None and after.ahead != before.ahead:
        _log.warning(
            "the clock jumped ahead by %d s, to %s. Nothing is removed because of that until it has gone on from there"
            " for %d minutes; check the time synchronisation of this machine and of the database's",
            after.ahead - after.offset,
            now.isoformat(timespec="seconds"),
            CONFIRMED_AFTER // timedelta(minutes=1),
        )
    elif before.ahead is not None and after.ahead is None and after.offset < before.ahead:
        _log.warning("the clock is back where it was before it jumped, at %s", now.isoformat(timespec="seconds"))
    elif before.ahead is None and after.offset < before.offset - NOTICED.total_seconds():
        seconds = before.offset - after.offset
        _log.warning("the clock was set back by %d s, to %s", seconds, now.isoformat(timespec="seconds"))
