"""The store with sessions in Redis or Valkey, and everything else in a SQL database (docs/guides/redis.md).

What is decided about one session is decided by one script on its row.  What is decided about an account is decided in
the database: its version says under which conditions sessions stand, and a session that stands under another is judged
only after what follows from that change has been done to it (``stores/sql/session_work.py``).  So:

- a rotation takes in Redis, and is answered only after a transaction has found that the account has not moved and that
  no live revocation names the session;
- an end of any kind is noted in the database first, done in Redis, and told in the database.  Whoever finds a note that
  somebody left does the rest.

A look-up by key, which every request by cookie makes, reads the row and nothing else, but for one a minute.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import msgspec

from doorward.accounts.model import Account, AccountChange, AccountChanged
from doorward.audit.model import Actor, AuditEvent
from doorward.errors import StoreUnavailable, Unavailable
from doorward.ports import Clock, Removed, Snapshot
from doorward.revocation.model import Kind, LiveSet, Revocation
from doorward.rotation.model import Presentation, RefreshPolicy, Taken
from doorward.secret import Secret
from doorward.seldom import Seldom
from doorward.sessions.model import (
    AccountMoved,
    Ended,
    Ending,
    EndReason,
    FullSighting,
    NewSession,
    Session,
    Sighting,
    Started,
    Step,
)
from doorward.sessions.rules import decide_standing
from doorward.stores import records
from doorward.stores.redis import judging
from doorward.stores.redis.port import Redis
from doorward.stores.redis.row import Kept
from doorward.stores.redis.sessions import Found, RedisSessions, seen_of
from doorward.stores.redis.unavailable import RedisUnavailable
from doorward.stores.sql import ended_numbers, session_work, standing
from doorward.stores.sql.runners import Runner
from doorward.stores.sql.session_work import Event, Noted, work_of
from doorward.stores.sql.standing import LookStanding, Standing
from doorward.stores.sql.store import SqlStore

_log = logging.getLogger(__name__)
_seldom = Seldom(_log)

LOOKED_AT_ONCE = 100
"""How many sessions that are revoked are looked at with each reading of the revocations."""

ACCOUNTS_AT_ONCE = 200
"""How many accounts one step of ending everybody's sessions goes through."""

_ROUNDS = 4
"""How often a session is judged again because its account moved meanwhile."""


class RedisSessionStore(SqlStore):
    """Sessions in Redis, the rest in SQL.

    Args:
        runner: of the database.
        redis: where sessions live.
        clock: the time of both, instead of their own.
        blocking: whether it is used from synchronous code.
    """

    def __init__(self, runner: Runner, redis: Redis, *, clock: Clock | None, blocking: bool) -> None:
        super().__init__(runner)
        self._redis = redis
        self._sessions = RedisSessions(redis, clock)
        self._blocking = blocking
        self._finishing: asyncio.Task[None] | None = None
        self._looked_at = 0

    # Accounts

    async def change_account(self, account_id: str, change: AccountChange, ending: Ending) -> AccountChanged | None:
        id_ = judging.new_id()
        statement = partial(session_work.change_account, account_id=account_id, change=change, ending=ending, id_=id_)
        changed = await self._runner.write(statement)
        if changed is None:
            return None
        outcome, works = changed
        await self._complete_if_possible(works)
        return outcome

    async def change_password(
        self,
        seen: Account,
        password_hash: Secret,
        *,
        keep: Session | None,
        new_secret_hash: bytes | None,
        ending: Ending,
    ) -> Ended | AccountMoved:
        kept = None if keep is None else keep.key
        others = [each for each in await self._live_of(seen.id) if each.key != kept]
        id_ = judging.new_id()
        changed = await self._runner.write(
            partial(
                session_work.change_password,
                seen=seen,
                password_hash=password_hash,
                keep=keep,
                new_secret_hash=new_secret_hash,
                others=[each for each in others if each.account_version == seen.version],
                ending=ending,
                id_=id_,
            )
        )
        if isinstance(changed, AccountMoved):
            return changed
        known, works = changed
        return judging.with_known(known, await self._complete_if_possible(works, own=id_))

    # Sessions

    async def start_session(
        self, new: NewSession, *, limit: int | None, replaces: Sequence[int], ending: Ending
    ) -> Started | AccountMoved:
        account = await self.account(new.account)
        if account is None or account.disabled_at is not None or account.version != new.account_version:
            return AccountMoved()
        at = await self._sessions.join(new)
        session = new.begun(at=at)
        await self._sessions.put(session, account.roles)
        ends = await self._ending_for(session, limit, replaces, ending, at=at)
        statement = partial(session_work.start, new=new, session=session, ending=ending, ends=ends)
        if await self._runner.write(statement) is None:
            await self._sessions.remove(session)
            return AccountMoved()
        await self._sessions.settle(session, at=at)
        over = [await self._complete_if_possible([noted], own=noted.id) for noted, _ in ends]
        known = tuple(entry for each in over if each is not None for entry in each.revocations)
        return Started(session=session, revocations=known)

    async def session(self, key: int) -> Sighting:
        found = await self._sessions.row(key)
        if found.row is None or not judging.is_due(found.row, at=found.at):
            return judging.sighting_of(found)
        # As seldom as a use is noted, the database is asked as well: what Redis has lost does not stay unnoticed.
        try:
            known = await self._known(found.row)
        except Unavailable as error:
            _seldom.warning("session %s is taken as Redis has it: %s", found.row.session.id, error.detail)
            return judging.sighting_of(found)
        return judging.sighting_of(found) if known.bears(found.row.session) else await self._judged(key, found)

    async def session_by_id(self, session_id: str) -> FullSighting:
        key, at = await self._sessions.key_of(session_id)
        if key is None:
            return FullSighting(session=None, account=None, at=at)
        found, account = await self._found_and_judged(key)
        return FullSighting(session=found.row.session if found.row else None, account=account, at=found.at)

    async def sessions_of(self, account_id: str) -> Sequence[Session]:
        account = await self.account(account_id)
        live = await self._live_of(account_id, started=True)
        if account is not None and any(row.account_version != account.version for row in live):
            await self._help(account_id)
            account, live = await self.account(account_id), await self._live_of(account_id, started=True)
        if account is None or account.disabled_at is not None:
            return ()
        standing = [row for row in live if row.account_version == account.version]
        return tuple(sorted(standing, key=lambda row: (row.created_at, row.id), reverse=True))

    async def rotate(self, presented: Presentation, policy: RefreshPolicy, *, actor: Actor) -> Taken | Sighting:
        found = await self._sessions.rotate(presented, policy)
        if not found.took or found.row is None:
            return await self._judged(presented.key, found)
        session = found.row.session
        event = records.refresh_rotated(session, actor)
        known = await self._runner.write(partial(standing.tell_if_standing, session=session, event=event))
        if known.account is not None and known.bears(session):
            return Taken(session=session, account=known.account, at=found.at)
        return await self._judged(presented.key)

    async def replace_session(
        self, seen: Session, to: Session, event: AuditEvent, *, until: datetime | None = None
    ) -> bool:
        found = await self._sessions.replace(seen, to, until=until)
        if not found.took or found.row is None:
            return False
        session = found.row.session
        known = await self._runner.write(partial(standing.tell_if_standing, session=session, event=event))
        if not known.bears(session):
            await self._judged(seen.key)
            return False
        return True

    async def end_reused(self, seen: Session, ending: Ending, event: AuditEvent) -> Ended | None:
        work = msgspec.structs.replace(
            work_of(seen.account, ending, each=True),
            keys=(seen.key,),
            seen=seen_of(seen),
            event=Event(action=event.action, session=event.session, account=event.account, detail=dict(event.detail)),
        )
        row = (await self._judged(seen.key)).session
        if row is None or row.ended_at is not None or seen_of(row) != work.seen:
            return None
        # Nothing is revoked before the row says that it is still as it was judged.
        over = await self._end_these(Noted(id=judging.new_id(), work=work), certain=())
        return over if over.sessions else None

    async def acknowledge(self, session_id: str, generation: int) -> None:
        key, _ = await self._sessions.key_of(session_id)
        if key is not None:
            await self._sessions.acknowledge(key, generation)

    async def touch(self, key: int, *, idle: timedelta) -> None:
        await self._sessions.touch(key, idle=idle)

    async def end_session(self, session_id: str, ending: Ending, *, account_id: str | None = None) -> Ended | None:
        seen = await self.session_by_id(session_id)
        session = seen.session
        if session is None or account_id not in {None, session.account} or not judging.stands(seen):
            return None
        over = await self._end_these(judging.ending_these(session.account, [session], ending), certain=[session])
        return over if over.sessions else None

    async def end_sessions(self, account_id: str, ending: Ending, *, keep: str | None = None) -> Ended:
        if keep is not None:
            others = [each for each in await self.sessions_of(account_id) if each.id != keep]
            if not others:
                return Ended()
            return await self._end_these(judging.ending_these(account_id, others, ending), certain=others)
        id_ = judging.new_id()
        ended = await self._runner.write(partial(session_work.end_all, account_id=account_id, ending=ending, id_=id_))
        if ended is None:
            return Ended()
        known, works = ended
        return judging.with_known(known, await self._complete_if_possible(works, own=id_))

    async def end_begun_before(
        self,
        instant: datetime,  # noqa: ARG002 -- as said below
        ending: Ending,
        *,
        after: str | None,
        limit: int,
    ) -> Step:
        """As in the port, but that sessions end as well which begin while this goes on."""
        limit = min(limit, ACCOUNTS_AT_ONCE)
        raised = await self._runner.write(partial(session_work.raise_versions, after=after, limit=limit))
        over = await self._sessions.end_below(raised, reason=ending.reason, work=judging.new_id())
        numbers = [each.status_index for each in over if each.status_index is not None]
        if numbers:
            lifetime = ending.remember_for
            await self._runner.write(partial(ended_numbers.write, numbers=numbers, remember_for=lifetime))
        return Step(ended=len(over), after=raised[-1][0] if len(raised) == limit else None)

    async def ended_numbers(self, first: int, count: int) -> Sequence[int]:
        return await self._runner.read(partial(ended_numbers.read, first=first, count=count))

    # The store itself

    async def open(self) -> None:
        await super().open()
        try:
            await self._redis.open()
        except BaseException:
            await super().close()
            raise

    async def close(self) -> None:
        finishing, self._finishing = self._finishing, None
        if finishing is not None:
            finishing.cancel()
            with suppress(asyncio.CancelledError):
                await finishing
        await self._redis.close()
        await super().close()

    async def ping(self) -> None:
        await super().ping()
        await self._redis.ping()

    async def revocations(self) -> Snapshot:
        snapshot = await super().revocations()
        works = await self._runner.look_up(session_work.left_over)
        ended = self._next_of(snapshot)
        if (works or ended) and not self._blocking and self._finishing is None:
            # By the side: how old the snapshot is must not depend on Redis.
            tidying = self._tidy({noted.work.account for noted in works}, ended)
            self._finishing = asyncio.create_task(tidying, name="doorward: finish what was left")
            self._finishing.add_done_callback(self._has_finished)
        return snapshot

    async def write_back(self, revocations: Sequence[Revocation], ending: Ending) -> Ended:
        rows = await self._sessions.rows(await self._sessions.live_among(judging.named_in(revocations)))
        entries = LiveSet(revocations)
        named = [
            judging.ending_these(row.session.account, [row.session], records.as_it_was(ending, entry))
            for row in rows
            if row is not None and (entry := entries.get(Kind.SESSION, row.session.id)) is not None
        ]
        works = await self._runner.write(
            partial(session_work.write_back, lost=revocations, named=named, ending=ending, id_=judging.new_id)
        )
        over = [await self._complete([noted], own=noted.id) for noted in works]
        return judging.all_of(over)

    async def remove_expired(
        self, *, session_retention: timedelta, audit_retention: timedelta, until: datetime, batch: int = 500
    ) -> Removed:
        """As in the port, but for sessions: those Redis removes by itself, when their time has come."""
        for account_id in sorted({noted.work.account for noted in await self._runner.read(session_work.left_over)}):
            await self._help(account_id)
        removed = await super().remove_expired(
            session_retention=session_retention, audit_retention=audit_retention, until=until, batch=batch
        )
        if removed.elsewhere:
            return removed
        numbers = await self._runner.write(partial(ended_numbers.forget, until=until, batch=batch))
        return replace(removed, more=removed.more or numbers == batch)

    # Judging

    async def _judged(self, key: int, found: Found | None = None) -> Sighting:
        """A session as the database sees it: after all has been done to it that its account's changes ask for."""
        found, account = await self._found_and_judged(key, found)
        if found.row is None or account is None:
            return judging.sighting_of(found)
        return Sighting(session=found.row.session, account=account, at=found.at)

    async def _found_and_judged(self, key: int, found: Found | None = None) -> tuple[Found, Account | None]:
        """As ``_judged``: the row, and the account as the database has it."""
        for _ in range(_ROUNDS + 1):
            found = found or await self._sessions.row(key)
            if found.row is None:
                return found, None
            known = await self._known(found.row)
            if known.bears(found.row.session) or not judging.lives(found.row, at=found.at):
                return found, known.account
            await self._mend(found.row, known, at=found.at)
            found = None
        raise StoreUnavailable(detail="the account moved again and again while its session was judged")

    async def _known(self, row: Kept) -> Standing:
        session = row.session
        return await self._runner.look_up(LookStanding(account_id=session.account, session_id=session.id))

    async def _mend(self, row: Kept, known: Standing, *, at: datetime) -> None:
        """Do to a row what somebody has left undone, or what Redis or the database has lost."""
        await self._help(row.session.account)
        over = None if known.account is None else decide_standing(row.session, known.account, now=at)
        # What refuses its tokens is there already.
        ending = Ending(reason=over or EndReason.ADMIN, actor=Actor(name="housekeeping"), remember_for=timedelta(0))
        noted = judging.ending_these(row.session.account, [row.session], ending)
        left = (await self._sessions.row(row.session.key)).row
        if left is None or not judging.lives(left, at=at):
            return
        stray = await self._runner.write(partial(standing.note_stray, noted=noted, session=left.session))
        if stray is not None and (await self._complete([stray], own=stray.id)).sessions:
            _log.error("writes have been lost: session %s had ended, and is ended again", row.session.id)

    async def _live_of(self, account_id: str, *, started: bool = False) -> Sequence[Session]:
        """Sessions that their rows say are live; ``started``: and not only about to start."""
        at, found = await self._sessions.of_account(account_id)
        return [row.session for member, row in found if (member.settled or not started) and judging.lives(row, at=at)]

    # Ending

    async def _ending_for(
        self, session: Session, limit: int | None, replaces: Sequence[int], ending: Ending, *, at: datetime
    ) -> list[tuple[Noted, Sequence[Session]]]:
        """Works that end others for a session that starts, each with those that it ends."""
        sent_along = await self._sessions.rows(replaces)
        replaced = [row.session for row in sent_along if row is not None and judging.lives(row, at=at)]
        there = [] if limit is None else (await self._sessions.of_account(session.account))[1]
        crowded_out = judging.one_too_many(there, replaced, most=limit, at=at)
        reasons = ((EndReason.SIGNED_OUT, replaced), (EndReason.SESSION_LIMIT, crowded_out))
        return [
            (judging.ending_these(session.account, over, records.because(ending, reason)), over)
            for reason, over in reasons
            if over
        ]

    async def _end_these(self, noted: Noted, *, certain: Sequence[Session]) -> Ended:
        """End sessions; ``certain`` ones are over once that is noted, whether or not Redis answers."""
        known = await self._runner.write(partial(session_work.end_these, noted=noted, certain=certain))
        if not certain:
            return await self._complete([noted], own=noted.id)
        return await self._complete_if_possible([noted], own=noted.id) or known

    async def _complete_if_possible(self, works: Sequence[Noted], *, own: str | None = None) -> Ended | None:
        """As ``_complete``; None where Redis does not answer: it is left to whoever comes.

        The database has decided, and nothing takes that back: an answer that says otherwise would be wrong.
        """
        try:
            return await self._complete(works, own=own)
        except RedisUnavailable as error:
            _log.warning("sessions that have to end or change in Redis wait for it: %s", error.detail)
            return None

    async def _complete(self, works: Sequence[Noted], *, own: str | None = None) -> Ended:
        """Do works one after the other and take them away.  Returns what one of them has led to."""
        outcome = Ended()
        for noted in works:
            done = await self._sessions.apply(noted)
            ended = await self._runner.write(partial(session_work.finish, noted=noted, done=done))
            outcome = ended if noted.id == own else outcome
        return outcome

    async def _help(self, account_id: str) -> None:
        """Do what changes of an account have left to be done."""
        await self._complete(await self._runner.read(partial(session_work.pending, account_id=account_id)))

    async def _tidy(self, accounts: Iterable[str], ended: Sequence[str]) -> None:
        """Finish what was left to be done to accounts, and end again what has ended and is live all the same."""
        try:
            for account_id in sorted(accounts):
                await self._help(account_id)
            for key in await self._sessions.live_among(ended):
                await self._judged(key)
        except Unavailable as error:
            _log.warning("sessions that have to end or change in Redis wait for it: %s", error.detail)

    def _next_of(self, snapshot: Snapshot) -> Sequence[str]:
        """Some of the sessions that are revoked, in turn: a replica that took over may not know that they ended."""
        ended = judging.named_in(snapshot.revocations)
        start = self._looked_at if self._looked_at < len(ended) else 0
        self._looked_at = start + LOOKED_AT_ONCE
        return ended[start : self._looked_at]

    def _has_finished(self, task: asyncio.Task[None]) -> None:
        self._finishing = None
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("finishing what was left undone in Redis failed; it is tried again", exc_info=error)
