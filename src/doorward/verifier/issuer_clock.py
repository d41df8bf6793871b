"""What time it is at the issuer, at least."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_TOLERANCE_SECONDS = 0.25
_TOLERATED_DRIFT = 0.1


@dataclass(slots=True)
class IssuerClock:
    """The issuer's time, from what it said and the ticks that have passed since.

    It said so before we heard it, so this is never ahead of it.  No staleness is measured by it; it serves three ends.
    An entry is let go when the *issuer* says that its time has come, whatever somebody does to this machine's clock.
    While this machine's clock is further behind than ``skew``, nothing counts as fresh here: an entry may be dead
    whose token this clock takes for alive.  And an answer whose time has not moved on was kept by somebody on the way.

    However long an answer was on its way, that it says the least is enough for the second: an entry that is missing
    from it had died when it was given, which is twice the skew after its token; so a clock that still accepts the token
    is behind even this by more than the skew.

    Args:
        skew: how far the two clocks may be apart.
    """

    skew: timedelta
    _said: float | None = None
    _at: float = 0.0
    _heard: float | None = None

    def note(self, now: datetime, *, asked_at: float, at: float, wall: datetime) -> bool:
        """The issuer said what time it is.

        Args:
            now: what it said.
            asked_at: this machine's ticks when it was asked.
            at: this machine's ticks when the answer arrived.
            wall: this machine's time then.

        Returns:
            Whether it can have been said since it was asked: its time has moved on as ours has, and it is not what
            was said before, word for word.
        """
        said, then = now.timestamp(), self._floor(asked_at)
        passed = max(asked_at - self._at, 0.0)
        timely = then is None or said >= then - _TOLERANCE_SECONDS - _TOLERATED_DRIFT * passed
        # Else an answer that is sent again and again would be believed the second time, as that of a clock set back.
        timely = timely and said != self._heard
        self._heard = said
        floor = self._floor(at)
        if floor is None or said > floor or not timely or self.is_ahead(at=at, wall=wall):
            # A clock that was set back, or had once shown tomorrow, is believed from the next answer on.
            self._said, self._at = said, at
        return timely

    def is_ahead(self, *, at: float, wall: datetime) -> bool:
        """Decide whether this machine's clock is so far behind the issuer's that it tells dead tokens alive."""
        floor = self._floor(at)
        return floor is not None and floor > wall.timestamp() + self.skew.total_seconds()

    def ahead_by(self, *, at: float, wall: datetime) -> timedelta | None:
        """How far the issuer's clock is ahead of this machine's, at least; None while it is not known."""
        floor = self._floor(at)
        return None if floor is None else timedelta(seconds=floor - wall.timestamp())

    def offset(self) -> float:
        """What this machine's time minus its ticks must be at least, in seconds, for `is_ahead` to be false."""
        return float("-inf") if self._said is None else self._said - self._at - self.skew.total_seconds()

    def over(self, *, at: float, wall: datetime) -> datetime | None:
        """The instant up to which entries are dead by both clocks; None while the issuer's is not known."""
        floor = self._floor(at)
        return None if floor is None else datetime.fromtimestamp(min(floor, wall.timestamp()), UTC)

    def _floor(self, at: float) -> float | None:
        return None if self._said is None else self._said + (at - self._at)
