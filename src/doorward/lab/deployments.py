"""The three deployments of the lab, whose clock a reader moves and whose store says what it was asked."""

from __future__ import annotations

from contextvars import ContextVar
from datetime import datetime, timedelta
from secrets import token_urlsafe
from typing import Any, cast, get_args

from doorward.clocks import system_clock
from doorward.doorward import Doorward
from doorward.options import Strategy
from doorward.ports import Store

STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
LONGEST_LEAP = timedelta(days=40)

asked: ContextVar[list[str] | None] = ContextVar("asked", default=None)
"""What the store has been asked for the request that is being answered; None outside of one."""


class LabClock:
    """This machine's clock, and what a reader has added to it."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return system_clock() + self.ahead

    def move(self, by: timedelta) -> None:
        """Let time pass.  It is never set back."""
        self.ahead = min(self.ahead + max(by, timedelta(0)), LONGEST_LEAP)


class TalkingStore:
    """A store that notes what it is asked.

    Args:
        store: the one that answers.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        noted = asked.get()
        if noted is not None and callable(found):
            noted.append(name)
        return found


class LabDoorward(Doorward):
    """A deployment in memory that says what its store was asked.

    Args:
        strategy: which of the three.
        issuer: its address.
        clock: of the lab.
    """

    def __init__(self, strategy: Strategy, *, issuer: str, clock: LabClock) -> None:
        super().__init__(
            "memory:",
            secret=token_urlsafe(48),
            clock=clock,
            strategy=strategy,
            issuer=issuer,
            # Who tries things out tries them often, and nothing here is worth guessing for.
            rate_limits=False,
            insecure_fast_hashing=True,
        )
        self._store = cast("Store", TalkingStore(self._store))
