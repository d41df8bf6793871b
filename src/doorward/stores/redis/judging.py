"""What a row says, judged; and what is noted of it."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime

import msgspec

from doorward.revocation.model import Kind, Revocation
from doorward.sessions.model import Ended, Ending, Session, Sighting
from doorward.sessions.rules import decide_standing, is_sighting_due
from doorward.stores.redis.row import Kept
from doorward.stores.redis.sessions import Found, Member
from doorward.stores.sql.session_work import Noted, work_of
from doorward.wire.identifiers import new_identifier


def new_id() -> str:
    return new_identifier(secrets.token_bytes)


def ending_these(account_id: str, sessions: Sequence[Session], ending: Ending) -> Noted:
    keys = tuple(session.key for session in sessions)
    return Noted(id=new_id(), work=msgspec.structs.replace(work_of(account_id, ending, each=True), keys=keys))


def with_known(known: Ended, over: Ended | None) -> Ended:
    return known if over is None else Ended(sessions=over.sessions, revocations=known.revocations + over.revocations)


def sighting_of(found: Found) -> Sighting:
    if found.row is None:
        return Sighting(session=None, account=None, at=found.at)
    return Sighting(session=found.row.session, account=found.row.owner, at=found.at)


def stands(seen: Sighting) -> bool:
    if seen.session is None or seen.account is None:
        return False
    return decide_standing(seen.session, seen.account, now=seen.at) is None


def lives(row: Kept, *, at: datetime) -> bool:
    return decide_standing(row.session, row.owner, now=at) is None


def is_due(row: Kept, *, at: datetime) -> bool:
    session = row.session
    return lives(row, at=at) and is_sighting_due(session, now=at, idle=session.idle_expires_at - session.last_seen_at)


def all_of(ends: Sequence[Ended]) -> Ended:
    """What several works have led to, as one."""
    return Ended(
        sessions=tuple(session for each in ends for session in each.sessions),
        revocations=tuple(entry for each in ends for entry in each.revocations),
    )


def one_too_many(
    there: Sequence[tuple[Member, Kept]], replaced: Sequence[Session], *, most: int | None, at: datetime
) -> Sequence[Session]:
    """Which sessions of an account have to make room, where it may have so many."""
    if most is None:
        return ()
    # In one order for all who start at once, so that they agree on who is one too many.
    newest_first = sorted(there, key=lambda each: each[0].order, reverse=True)
    live = [row.session for _, row in newest_first if lives(row, at=at)]
    return [session for session in live if session not in replaced][max(most, 1) :]


def named_in(revocations: Sequence[Revocation]) -> Sequence[str]:
    """The public ids of the sessions that are revoked each by itself."""
    return [entry.id for entry in revocations if entry.kind is Kind.SESSION]
