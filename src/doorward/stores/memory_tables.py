"""The tables of the memory store, and the small writes that its operations are made of.

Nothing here locks: whoever calls holds the store's lock.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from doorward.accounts.model import Account
from doorward.audit.model import Actor, AuditEvent
from doorward.keys.model import StoredKey
from doorward.revocation.model import Kind, LiveSet, Revocation
from doorward.sessions.model import Ended, Ending, FullSighting, Session, Sighting, ended
from doorward.sessions.rules import decide_standing
from doorward.stores import records
from doorward.verifiers.model import StoredVerifier


@dataclass(slots=True)
class Tables:
    """What a database would hold."""

    identity: str
    accounts: dict[str, Account] = field(default_factory=dict)
    emails: dict[str, str] = field(default_factory=dict)
    sessions: dict[int, Session] = field(default_factory=dict)
    session_keys: dict[str, int] = field(default_factory=dict)
    revocations: LiveSet = field(default_factory=LiveSet)
    keys: dict[str, StoredKey] = field(default_factory=dict)
    verifiers: dict[str, StoredVerifier] = field(default_factory=dict)
    trail: dict[int, AuditEvent] = field(default_factory=dict)
    last_event: int = 0
    secret_check: str | None = None
    numbers: int = 0

    # Reading

    def sighting(self, key: int | None, *, at: datetime) -> Sighting:
        session = None if key is None else self.sessions.get(key)
        account = None if session is None else self.accounts[session.account]
        return Sighting(session=session, account=account, at=at)

    def full_sighting(self, session_id: str, *, at: datetime) -> FullSighting:
        key = self.session_keys.get(session_id)
        session = None if key is None else self.sessions[key]
        account = None if session is None else self.accounts[session.account]
        return FullSighting(session=session, account=account, at=at)

    def with_keys(self, *keys: int | None) -> list[Session]:
        return [self.sessions[key] for key in keys if key is not None and key in self.sessions]

    def with_id(self, session_id: str) -> list[Session]:
        return self.with_keys(self.session_keys.get(session_id))

    def live(self, sessions: Iterable[Session], *, at: datetime) -> list[Session]:
        """Those of the sessions that stand."""
        return [row for row in sessions if decide_standing(row, self.accounts[row.account], now=at) is None]

    def live_of(self, account_id: str, *, at: datetime) -> list[Session]:
        """The sessions of an account that stand, the newest first."""
        live = self.live([row for row in self.sessions.values() if row.account == account_id], at=at)
        return sorted(live, key=lambda row: (row.created_at, row.id), reverse=True)

    def unmoved(self, seen: Session, *, at: datetime) -> Session | None:
        """The row, if it is live and as it was seen."""
        live = self.live(self.with_keys(seen.key), at=at)
        return next((row for row in live if _fixed_points(row) == _fixed_points(seen)), None)

    # Writing

    def write(self, *events: AuditEvent, at: datetime) -> None:
        for event in events:
            self.last_event += 1
            self.trail[self.last_event] = replace(event, at=at, id=self.last_event)

    def put(self, sessions: Iterable[Session]) -> None:
        for session in sessions:
            self.sessions[session.key] = session
            self.session_keys[session.id] = session.key

    def move(self, session: Session, version: int, secret_hash: bytes | None, actor: Actor, *, at: datetime) -> None:
        """Let a session stand under a new version of its account, and under a new handle where one is given."""
        moved = replace(session, account_version=version, secret_hash=secret_hash or session.secret_hash)
        self.put([moved])
        if secret_hash is not None:
            self.write(records.session_moved(moved, actor), at=at)

    def end(self, sessions: Iterable[Session], ending: Ending, *, at: datetime) -> Ended:
        """End sessions whose account is revoked as a whole."""
        over = records.ended_sessions([ended(row, at=at, reason=ending.reason) for row in sessions], ending, at=at)
        self.put(over.sessions)
        self.write(*(records.session_ended(row, ending.actor) for row in over.sessions), at=at)
        return over

    def end_each(self, sessions: Iterable[Session], ending: Ending, *, at: datetime) -> Ended:
        """End sessions, each revoked by its own entry."""
        over = self.end(sessions, ending, at=at)
        self.revocations.merge(over.revocations)
        return over

    def end_again(self, lost: Iterable[Revocation], ending: Ending, *, at: datetime) -> Ended:
        """End what stands though an entry names it, each revoked by its own entry; raise versions to the entries'."""
        live = LiveSet(lost)
        standing = self.live(self.sessions.values(), at=at)
        named = [
            row
            for row in sorted(standing, key=lambda row: (row.created_at, row.id))
            if live.revokes(session=row.id, account=row.account, version=row.account_version, token="")
        ]
        over = Ended()
        for row in named:
            entry = live.get(Kind.SESSION, row.id) or live.get(Kind.ACCOUNT, row.account)
            why = ending if entry is None else records.as_it_was(ending, entry)
            one = self.end_each([row], why, at=at)
            over = Ended(sessions=over.sessions + one.sessions, revocations=over.revocations + one.revocations)
        for account_id, version in live.accounts.items():
            account = self.accounts.get(account_id)
            if account is not None:
                self.accounts[account_id] = replace(account, version=max(account.version, version))
        return over

    def revoke_before(self, account: Account, ending: Ending, *, at: datetime) -> tuple[Revocation, ...]:
        """Revoke what was issued under earlier versions of an account."""
        entry = records.account_revoked(account, ending, at=at)
        self.revocations.merge([entry])
        return (entry,)


def _fixed_points(session: Session) -> tuple[object, ...]:
    """What must not have changed since a row was judged; the secret moves when the password is changed."""
    return session.generation, session.made_at, session.acknowledged, session.retried, session.secret_hash
