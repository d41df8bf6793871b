"""Everything in the memory of this process, for tests and for trying things out: gone when the process ends.

Each operation holds one lock from its first look to its last write and never awaits in between, so it is as atomic as
a transaction; a thread may call it as well as an event loop.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from doorward.accounts.hook import SignUpStep, run_step
from doorward.accounts.model import Account, AccountChange, AccountChanged
from doorward.audit.model import Action, Actor, AuditEvent
from doorward.clocks import system_clock
from doorward.keys.model import StoredKey
from doorward.ports import Clock, Page, Removed, Snapshot
from doorward.revocation.model import Revocation
from doorward.rotation.model import Presentation, RefreshPolicy, Taken
from doorward.rotation.rules import next_generation
from doorward.secret import Secret
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
    ended,
)
from doorward.sessions.rules import decide_idle_expiry, decide_standing, goes_on
from doorward.stores import records
from doorward.stores.memory_tables import Tables
from doorward.stores.paging import LONGEST_QUERY, event_before, folded, limit_of, searchable
from doorward.verifiers.model import StoredVerifier
from doorward.wire.identifiers import new_identifier


class MemoryStore:
    """A store without a database.

    Args:
        clock: the store's time.
    """

    def __init__(self, clock: Clock = system_clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._identity = new_identifier(secrets.token_bytes)
        self._tables = Tables(identity=self._identity)

    # Accounts

    async def create_account(self, account: Account, *, actor: Actor, step: SignUpStep | None = None) -> bool:
        with self._lock:
            if account.email_key in self._tables.emails:
                return False
            if step is not None:
                run_step(step, None)
            self._tables.accounts[account.id] = account
            self._tables.emails[account.email_key] = account.id
            self._tables.write(records.account_created(account, actor), at=self._clock())
            return True

    async def account(self, account_id: str) -> Account | None:
        with self._lock:
            return self._tables.accounts.get(account_id)

    async def account_by_email(self, email_key: str) -> Account | None:
        with self._lock:
            return self._tables.accounts.get(self._tables.emails.get(email_key, ""))

    async def accounts(self, page: Page, *, query: str = "") -> Sequence[Account]:
        if len(query) > LONGEST_QUERY:
            return ()
        with self._lock:
            known = sorted(self._tables.accounts.values(), key=lambda account: account.id)
        wanted = folded(query)
        found = [account for account in known if wanted in searchable(account) or account.id == query]
        return tuple([account for account in found if page.after is None or account.id > page.after][: limit_of(page)])

    async def change_account(self, account_id: str, change: AccountChange, ending: Ending) -> AccountChanged | None:
        with self._lock:
            now, tables = self._clock(), self._tables
            before = tables.accounts.get(account_id)
            if before is None:
                return None
            after = records.changed(before, change, at=now)
            live = tables.live_of(account_id, at=now)
            tables.accounts[account_id] = after
            tables.write(*records.account_changes(before, after, ending.actor), at=now)
            if records.has_been_disabled(before, after):
                tables.end(live, ending, at=now)
            elif before.version != after.version:
                stateless = [session for session in live if session.strategy == "jwt"]
                tables.end(stateless, records.because(ending, EndReason.ADMIN), at=now)
                tables.put(replace(each, account_version=after.version) for each in live if each not in stateless)
            stale = before.version != after.version
            revocations = tables.revoke_before(after, ending, at=now) if stale else ()
            return AccountChanged(account=after, revocations=revocations)

    async def change_password(
        self,
        seen: Account,
        password_hash: Secret,
        *,
        keep: Session | None,
        new_secret_hash: bytes | None,
        ending: Ending,
    ) -> Ended | AccountMoved:
        with self._lock:
            now, tables = self._clock(), self._tables
            account = tables.accounts.get(seen.id)
            if account is None or account.version != seen.version:
                return AccountMoved()
            live = tables.live_of(seen.id, at=now)
            kept = [session for session in live if keep is not None and session.key == keep.key]
            account = replace(account, password_hash=password_hash, version=account.version + 1)
            tables.accounts[seen.id] = account
            tables.write(records.password_changed(account, ending.actor), at=now)
            for session in kept:
                tables.move(session, account.version, new_secret_hash, ending.actor, at=now)
            others = [session for session in live if session not in kept]
            if records.is_account_entry_enough(keep, new_secret_hash):
                over = tables.end(others, ending, at=now).sessions
                return Ended(sessions=over, revocations=tables.revoke_before(account, ending, at=now))
            return tables.end_each(others, ending, at=now)

    async def rehash_password(self, seen: Account, password_hash: Secret, *, actor: Actor) -> bool:
        with self._lock:
            account = self._tables.accounts.get(seen.id)
            if account is None or not _are_same(account.password_hash, seen.password_hash):
                return False
            self._tables.accounts[seen.id] = replace(account, password_hash=password_hash)
            self._tables.write(records.password_rehashed(account, actor), at=self._clock())
            return True

    # Sessions

    async def start_session(
        self, new: NewSession, *, limit: int | None, replaces: Sequence[int], ending: Ending
    ) -> Started | AccountMoved:
        with self._lock:
            now, tables = self._clock(), self._tables
            account = tables.accounts.get(new.account)
            if account is None or account.disabled_at is not None or account.version != new.account_version:
                return AccountMoved()
            replaced = tables.live(tables.with_keys(*set(replaces)), at=now)
            over = tables.end_each(replaced, records.because(ending, EndReason.SIGNED_OUT), at=now).revocations
            if limit is not None:
                too_many = tables.live_of(new.account, at=now)[max(limit, 1) - 1 :]
                crowded_out = records.because(ending, EndReason.SESSION_LIMIT)
                over += tables.end_each(too_many, crowded_out, at=now).revocations
            session = new.begun(at=now)
            tables.put([session])
            tables.write(records.session_started(session, ending.actor), at=now)
            return Started(session=session, revocations=over)

    async def session(self, key: int) -> Sighting:
        with self._lock:
            return self._tables.sighting(key, at=self._clock())

    async def session_by_id(self, session_id: str) -> FullSighting:
        with self._lock:
            return self._tables.full_sighting(session_id, at=self._clock())

    async def sessions_of(self, account_id: str) -> Sequence[Session]:
        with self._lock:
            return tuple(self._tables.live_of(account_id, at=self._clock()))

    async def rotate(self, presented: Presentation, policy: RefreshPolicy, *, actor: Actor) -> Taken | Sighting:
        with self._lock:
            seen = self._tables.sighting(presented.key, at=self._clock())
            if seen.session is None or seen.account is None or not _may_rotate(seen, presented, policy):
                return seen
            rotated = next_generation(seen.session, presented, now=seen.at, policy=policy)
            self._tables.put([rotated])
            self._tables.write(records.refresh_rotated(rotated, actor), at=seen.at)
            return Taken(session=rotated, account=seen.account, at=seen.at)

    async def replace_session(
        self, seen: Session, to: Session, event: AuditEvent, *, until: datetime | None = None
    ) -> bool:
        with self._lock:
            now = self._clock()
            current = self._tables.unmoved(seen, at=now)
            if current is None or (until is not None and now > until):
                return False
            self._tables.put([_moved_by_rotation(current, records.dated(seen, to, at=now))])
            self._tables.write(event, at=now)
            return True

    async def end_reused(self, seen: Session, ending: Ending, event: AuditEvent) -> Ended | None:
        with self._lock:
            now = self._clock()
            current = self._tables.unmoved(seen, at=now)
            if current is None:
                return None
            self._tables.write(event, at=now)
            return self._tables.end_each([current], ending, at=now)

    async def acknowledge(self, session_id: str, generation: int) -> None:
        with self._lock:
            current = [row for row in self._tables.with_id(session_id) if row.generation == generation]
            self._tables.put(replace(row, acknowledged=True) for row in current if row.ended_at is None)

    async def touch(self, key: int, *, idle: timedelta) -> None:
        with self._lock:
            now, tables = self._clock(), self._tables
            for session in tables.live(tables.with_keys(key), at=now):
                until = decide_idle_expiry(session, now=now, idle=idle)
                tables.put([replace(session, last_seen_at=max(session.last_seen_at, now), idle_expires_at=until)])

    async def end_session(self, session_id: str, ending: Ending, *, account_id: str | None = None) -> Ended | None:
        with self._lock:
            now, tables = self._clock(), self._tables
            live = tables.live(tables.with_id(session_id), at=now)
            found = [session for session in live if account_id in {None, session.account}]
            return tables.end_each(found, ending, at=now) if found else None

    async def end_sessions(self, account_id: str, ending: Ending, *, keep: str | None = None) -> Ended:
        with self._lock:
            now, tables = self._clock(), self._tables
            live = [session for session in tables.live_of(account_id, at=now) if session.id != keep]
            account = tables.accounts.get(account_id)
            if keep is not None or account is None:
                return tables.end_each(live, ending, at=now)
            raised = replace(account, version=account.version + 1)
            tables.accounts[account_id] = raised
            over = tables.end(live, ending, at=now).sessions
            return Ended(sessions=over, revocations=tables.revoke_before(raised, ending, at=now))

    async def end_begun_before(self, instant: datetime, ending: Ending, *, after: str | None, limit: int) -> Step:  # noqa: ARG002 -- one step is enough
        with self._lock:
            now, tables = self._clock(), self._tables
            begun = [row for row in tables.sessions.values() if row.created_at <= instant]
            over = [row for row in begun if row.ended_at is None and row.leaves_at > now]
            tables.put(ended(row, at=now, reason=ending.reason) for row in over)
            return Step(ended=len(over), after=None)

    async def reserve_numbers(self, count: int) -> int:
        with self._lock:
            first = self._tables.numbers
            self._tables.numbers += count
            return first

    async def ended_numbers(self, first: int, count: int) -> Sequence[int]:
        with self._lock:
            return tuple(
                row.status_index
                for row in self._tables.sessions.values()
                if row.status_index is not None
                and first <= row.status_index < first + count
                and not goes_on(row, self._tables.accounts[row.account])
            )

    # Revocations and keys

    async def revocations(self) -> Snapshot:
        with self._lock:
            now = self._clock()
            live = tuple(entry for entry in self._tables.revocations if entry.dies_at > now)
            return Snapshot(revocations=live, as_of=now, identity=self._tables.identity)

    async def revoke(self, revocations: Sequence[Revocation]) -> None:
        with self._lock:
            self._tables.revocations.merge(revocations)

    async def write_back(self, revocations: Sequence[Revocation], ending: Ending) -> Ended:
        with self._lock:
            self._tables.revocations.merge(revocations)
            return self._tables.end_again(revocations, ending, at=self._clock())

    async def renew_identity(self, known: str, event: AuditEvent) -> None:
        with self._lock:
            if self._tables.identity == known:
                self._tables.identity = new_identifier(secrets.token_bytes)
                self._tables.write(event, at=self._clock())
            self._identity = self._tables.identity

    async def keys(self) -> Sequence[StoredKey]:
        with self._lock:
            return tuple(sorted(self._tables.keys.values(), key=lambda key: (key.created_at, key.kid)))

    async def change_keys(
        self,
        seen: Sequence[StoredKey],
        to: Sequence[StoredKey],
        events: Sequence[AuditEvent],
        *,
        revocations: Sequence[Revocation] = (),
    ) -> bool:
        with self._lock:
            if {key.kid: key for key in seen} != self._tables.keys:
                return False
            self._tables.keys = {key.kid: key for key in to}
            self._tables.revocations.merge(revocations)
            self._tables.write(*events, at=self._clock())
            return True

    # Verifiers

    async def add_verifier(self, verifier: StoredVerifier, *, actor: Actor) -> bool:
        with self._lock:
            known = self._tables.verifiers
            if verifier.id in known or any(each.name == verifier.name for each in known.values()):
                return False
            known[verifier.id] = verifier
            self._tables.write(records.verifier_added(verifier, actor), at=self._clock())
            return True

    async def verifier(self, verifier_id: str) -> StoredVerifier | None:
        with self._lock:
            return self._tables.verifiers.get(verifier_id)

    async def verifiers(self) -> Sequence[StoredVerifier]:
        with self._lock:
            return tuple(sorted(self._tables.verifiers.values(), key=lambda verifier: verifier.name))

    async def revoke_verifier(self, name: str, *, actor: Actor) -> bool:
        with self._lock:
            found = [each for each in self._tables.verifiers.values() if each.name == name]
            for verifier in found:
                del self._tables.verifiers[verifier.id]
                self._tables.write(records.verifier_revoked(verifier, actor), at=self._clock())
            return bool(found)

    # The trail

    async def record(self, event: AuditEvent) -> None:
        with self._lock:
            self._tables.write(event, at=self._clock())

    async def trail(
        self, page: Page, *, account: str | None = None, session: str | None = None, action: Action | None = None
    ) -> Sequence[AuditEvent]:
        before = event_before(page)
        with self._lock:
            newest_first = tuple(reversed(self._tables.trail.items()))
        found = [
            event
            for number, event in newest_first
            if (before is None or number < before)
            and account in {None, event.account}
            and session in {None, event.session}
            and action in {None, event.action}
        ]
        return tuple(found[: limit_of(page)])

    # The store itself

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def ping(self) -> None: ...

    async def now(self) -> datetime:
        return self._clock()

    @property
    def identity(self) -> str:
        return self._identity

    async def secret_check(self, fingerprint: str, *, replaces: Sequence[str] = ()) -> str:
        with self._lock:
            known = self._tables.secret_check
            self._tables.secret_check = fingerprint if known is None or known in replaces else known
            return self._tables.secret_check

    async def remove_expired(
        self, *, session_retention: timedelta, audit_retention: timedelta, until: datetime, batch: int = 500
    ) -> Removed:
        with self._lock:
            now, tables = min(self._clock(), until), self._tables
            cutoff = now - session_retention
            sessions = [row for row in tables.sessions.values() if _over_since(row) <= cutoff][:batch]
            keys = [kid for kid, key in tables.keys.items() if key.retired_at and key.retired_at <= cutoff][:batch]
            told = [number for number, event in tables.trail.items() if event.at and event.at <= now - audit_retention]
            for row in sessions:
                del tables.sessions[row.key], tables.session_keys[row.id]
            for kid in keys:
                del tables.keys[kid]
            for number in told[:batch]:
                del tables.trail[number]
            return Removed(
                sessions=len(sessions),
                revocations=tables.revocations.expire(now=now),
                audit_events=len(told[:batch]),
                keys=len(keys),
                more=batch in {len(sessions), len(keys), len(told[:batch])},
            )


def _may_rotate(seen: Sighting, presented: Presentation, policy: RefreshPolicy) -> bool:
    session, account = seen.session, seen.account
    return (
        session is not None
        and account is not None
        and (session.secret_hash, session.generation) == (presented.secret_hash, presented.generation)
        and decide_standing(session, account, now=seen.at) is None
        and (session.generation == 0 or seen.at - session.made_at >= policy.rest)
    )


def _moved_by_rotation(current: Session, to: Session) -> Session:
    """The row with what rotation moves; a use that was noted meanwhile is not taken back."""
    return replace(
        current,
        generation=to.generation,
        made_at=to.made_at,
        predecessor=to.predecessor,
        first_at=to.first_at,
        attempt=to.attempt,
        displaced=to.displaced,
        acknowledged=to.acknowledged,
        retried=to.retried,
        healed_in=to.healed_in,
        last_seen_at=max(current.last_seen_at, to.last_seen_at),
        idle_expires_at=max(current.idle_expires_at, to.idle_expires_at),
    )


def _over_since(session: Session) -> datetime:
    return min(session.leaves_at, session.ended_at or session.leaves_at)


def _are_same(one: Secret | None, other: Secret | None) -> bool:
    return one is not None and other is not None and one.matches(other)
