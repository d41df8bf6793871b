"""Sessions that were looked up, remembered so that the same cookie need not be looked up again at once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from doorward.accounts.model import Owner
from doorward.principal import Principal
from doorward.sessions.model import Session
from doorward.sessions.rules import decide_next_sighting

MOST_SESSIONS = 50_000
"""About 50 MB."""


class RememberedSession(NamedTuple):
    """A session that stood when it was looked up.

    What has ended since is not taken out of memory: each use asks the live revocations, which hold the end of a session
    for longer than anything is remembered here.  So it does not matter whether a look-up was under way when the end
    came.  It is for whoever knows that his live revocations are fresh.

    Args:
        since, until: between which instants it may be relied on, in seconds since 1970; outside, the clock was stepped,
            or its use is to be written again.
        since_ticks, until_ticks: the same by the clock that nobody steps; both have to agree.
        session, account, version: what a revocation may name.
        principal: who that is.
    """

    since: float
    until: float
    since_ticks: float
    until_ticks: float
    session: str
    account: str
    version: int
    principal: Principal


def remembered_session(
    principal: Principal,
    session: Session,
    account: Owner,
    *,
    seconds: float,
    ticks: float,
    seen_at: datetime,
    idle: timedelta,
) -> RememberedSession:
    """What to remember of a session that stood: until its use is to be written again, and never beyond its own end.

    Args:
        principal: whom it speaks for.
        session: the row, its use just noted.
        account: whose it is.
        seconds: when the look-up was begun, by this machine's clock.
        ticks: the same by the one that nobody steps.
        seen_at: when it was seen by the store's clock, which is the one that the row's times go by.
        idle: how long a session may be left unused.
    """
    left = (min(session.leaves_at, decide_next_sighting(session, idle=idle)) - seen_at).total_seconds()
    return RememberedSession(
        since=seconds,
        until=seconds + left,
        since_ticks=ticks,
        until_ticks=ticks + left,
        session=session.id,
        account=account.id,
        version=account.version,
        principal=principal,
    )
