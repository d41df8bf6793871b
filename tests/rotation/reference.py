"""Rotation on a dictionary: what the stores and the flow are compared with.

The rules can be exchanged for others, each of which gets one thing wrong: so it is shown that the invariants of the
state machine would notice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Protocol

from doorward.accounts.model import Account
from doorward.ports import Snapshot
from doorward.revocation.model import Kind, LiveSet, Revocation
from doorward.revocation.rules import was_put_back
from doorward.rotation.model import (
    Ahead,
    Decision,
    Healed,
    Late,
    Presentation,
    Recovered,
    RefreshPolicy,
    Refused,
    Retried,
    Reused,
    Revived,
    Rotated,
    Wait,
)
from doorward.rotation.rules import decide_refresh, next_generation
from doorward.sessions.model import EndReason, NewSession, Session, reason_of
from doorward.sessions.rules import decide_standing, is_revoked
from tests.rotation.world import UNKNOWN, Answer, Crash, Interlude, Lease

REMEMBERED_FOR = timedelta(seconds=900 + 2 * 60)
ACCESS_LIFETIME = 900
ROUNDS = 16


class Decide(Protocol):
    """The signature of ``decide_refresh``."""

    def __call__(
        self,
        session: Session | None,
        account: Account | None,
        presented: Presentation,
        *,
        now: datetime,
        policy: RefreshPolicy,
        store_identity: str,
        revoked: bool = False,
    ) -> Decision: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a deployment goes by; the defaults are the sound ones.

    Args:
        decide: step 3.
        rest: in the place of the policy's.
        atomic: step 2 is one statement, not a look and then a write by a server that has not heard of an end in
            between; one that has ends the session again, for the same reason.
        statement_sees_ends: step 2 looks whether the session is live.
        compares: what is written in step 3 takes the place of what was judged, and of nothing else.
        reuse_commits: the end of a session survives the refusal that follows it.
        sets_unchanged_cookie: an answer whose token did not change sets the cookie all the same.
    """

    decide: Decide = decide_refresh
    rest: timedelta | None = None
    atomic: bool = True
    statement_sees_ends: bool = True
    compares: bool = True
    reuse_commits: bool = True
    sets_unchanged_cookie: bool = False


SOUND = Rules()


def name_of_store(number: int) -> str:
    return f"store {number}"


@dataclass(slots=True)
class _Tables:
    account: Account
    rows: dict[int, Session] = field(default_factory=dict)
    revocations: LiveSet = field(default_factory=LiveSet)
    identity: int = 0
    events: list[tuple[str, ...]] = field(default_factory=list)

    def copy(self) -> _Tables:
        return _Tables(self.account, dict(self.rows), LiveSet(self.revocations), self.identity, list(self.events))


class Reference:
    """The pure rules on a dictionary."""

    name = "reference"

    def __init__(
        self, account: Account, *, clock: Callable[[], datetime], policy: RefreshPolicy, rules: Rules = SOUND
    ) -> None:
        self._clock = clock
        self._rules = rules
        self._policy = replace(policy, rest=policy.rest if rules.rest is None else rules.rest)
        self._tables = _Tables(account)
        self._saved = self._tables.copy()
        self.live = LiveSet()
        self._known = self._newest = self._tables.identity
        self.leases: list[Lease] = []
        self._seen: dict[str, int] = {}

    # Presenting

    def start(self, new: NewSession) -> None:
        self._tables.rows[new.key] = new.begun(at=self._clock())

    def present(
        self,
        key: int,
        generation: int,
        attempt: str | None,
        *,
        crash: Crash | None = None,
        interlude: Interlude | None = None,
    ) -> Answer:
        presented = Presentation(
            key=key,
            generation=generation,
            secret_hash=self._tables.rows[key].secret_hash,
            attempt=sha256(attempt.encode()).digest() if attempt is not None else None,
        )
        for _ in range(ROUNDS):
            seen, account = self._tables.rows[key], self._tables.account
            if self._may_rotate(seen, account, presented):
                if not self._rules.atomic and interlude is not None:
                    interlude()
                    interlude = None
                rotated = next_generation(seen, presented, now=self._clock(), policy=self._policy)
                self._tables.rows[key] = rotated
                self._tables.events.append((f"rotated to {rotated.generation}",))
                if self._rules.atomic and is_revoked(rotated, self.live):
                    if crash == "after the commit":
                        return UNKNOWN
                    self._end_again([rotated], self.live)
                    continue
                return self._sent(self._answered(rotated, presented, account), crash)
            if interlude is not None:
                interlude()
                interlude = None
            decision = self._rules.decide(
                seen,
                account,
                presented,
                now=self._clock(),
                policy=self._policy,
                store_identity=name_of_store(self._known),
                revoked=is_revoked(seen, self.live),
            )
            if crash == "before the commit" and not isinstance(decision, Rotated | Revived):
                return UNKNOWN
            answer = self._apply(decision, seen, account, presented)
            if answer is not None:
                return self._sent(answer, crash)
        return UNKNOWN

    def _sent(self, answer: Answer, crash: Crash | None) -> Answer:
        if crash != "after the commit":
            return answer
        # Whoever died after the commit has minted nothing.
        del self.leases[answer.access if answer.access is not None else len(self.leases) :]
        return UNKNOWN

    def _may_rotate(self, seen: Session, account: Account, presented: Presentation) -> bool:
        lives = not self._rules.statement_sees_ends or decide_standing(seen, account, now=self._clock()) is None
        rested = seen.generation == 0 or self._clock() - seen.made_at >= self._policy.rest
        return lives and rested and seen.generation == presented.generation

    def _apply(self, decision: Decision, seen: Session, account: Account, presented: Presentation) -> Answer | None:
        match decision:
            case Rotated():
                return None
            case Retried(to=to, why=why):
                # Time stands still between a look and its write here: ``until`` is for what the stores are asked.
                return self._write(seen, to, account, presented, f"retried: {why}")
            case Recovered(to=to):
                return self._write(seen, to, account, presented, f"recovered to {to.generation}")
            case Healed(to=to):
                return self._write(seen, to, account, presented, f"healed to {to.generation}")
            case Wait(retry_after=retry_after):
                self._tables.events.append(("waited",))
                return Answer(kind="early", retry_after=retry_after)
            case Ahead():
                self._tables.events.append(("ahead",))
                return Answer(kind="refused")
            case Revived():
                # Looked at anew: the revocation may be of something that has happened to the row since.
                self._end_again([row for row in self._revived(self.live) if row.key == seen.key], self.live)
                return None
            case Reused() | Late():
                # Nobody is late here: time stands still while a presentation is judged.
                return self._end_reused(seen)
            case Refused(reason=reason):
                self._tables.events.append((f"refused: {reason}",))
                return Answer(kind="refused", reason=reason)

    def _is_as_seen(self, seen: Session) -> bool:
        row = self._tables.rows[seen.key]
        now, then = ((each.generation, each.made_at, each.acknowledged, each.retried) for each in (row, seen))
        return now == then and decide_standing(row, self._tables.account, now=self._clock()) is None

    def _write(
        self, seen: Session, to: Session | None, account: Account, presented: Presentation, event: str
    ) -> Answer | None:
        if to is not None:
            if self._rules.compares and not self._is_as_seen(seen):
                return None
            self._tables.rows[seen.key] = replace(to, account_version=self._tables.rows[seen.key].account_version)
        self._tables.events.append((event,))
        return self._answered(to or seen, presented, account)

    def _end_reused(self, seen: Session) -> Answer | None:
        if self._rules.compares and not self._is_as_seen(seen):
            return None
        if self._rules.reuse_commits:
            self._tables.events.append(("reused",))
            self._end_each([self._tables.rows[seen.key]], EndReason.REUSE)
        return Answer(kind="refused", reason=EndReason.REUSE)

    def _answered(self, row: Session, presented: Presentation, account: Account) -> Answer:
        issued_at = int(self._clock().timestamp())
        self.leases.append(
            Lease(
                session=row.id,
                generation=row.generation,
                version=account.version,
                issued_at=issued_at,
                expires_at=min(issued_at + ACCESS_LIFETIME, int(row.leaves_at.timestamp())),
            )
        )
        return Answer(
            kind="answered",
            generation=row.generation,
            unchanged=row.generation == presented.generation,
            access=len(self.leases) - 1,
        )

    # Using

    def use(self, access: int) -> str:
        lease = self.leases[access]
        if self.live.revokes(session=lease.session, account=self.account().id, version=lease.version, token=""):
            row = next(row for row in self._tables.rows.values() if row.id == lease.session)
            over = decide_standing(row, self._tables.account, now=self._clock())
            return f"ended: {over}" if over is not None else "revoked"
        if self._seen.get(lease.session, -1) < lease.generation:
            self._seen[lease.session] = lease.generation
            for row in self._tables.rows.values():
                if (row.id, row.generation) == (lease.session, lease.generation) and row.ended_at is None:
                    self._tables.rows[row.key] = replace(row, acknowledged=True)
        return "honoured"

    # Ending

    def end(self, session_id: str, reason: EndReason) -> None:
        self._end_each([row for row in self._live() if row.id == session_id], reason)

    def end_all(self) -> None:
        live = self._live()
        self._raise_version()
        self._end(live, EndReason.ADMIN)
        self._revoke_account(EndReason.ADMIN)

    def disable(self, *, disabled: bool) -> None:
        account = self._tables.account
        if disabled and account.disabled_at is None:
            live = self._live()
            self._raise_version()
            self._tables.account = replace(self._tables.account, disabled_at=self._clock())
            self._end(live, EndReason.ACCOUNT_DISABLED)
            self._revoke_account(EndReason.ACCOUNT_DISABLED)
        elif not disabled:
            self._tables.account = replace(account, disabled_at=None)

    def change_password(self, keep: int | None) -> None:
        live = self._live()
        self._raise_version()
        for row in live:
            if row.key == keep:
                self._tables.rows[row.key] = replace(row, account_version=self._tables.account.version)
        over = [row for row in live if row.key != keep]
        if keep is None:
            self._end(over, EndReason.PASSWORD_CHANGED)
            self._revoke_account(EndReason.PASSWORD_CHANGED)
        else:
            self._end_each(over, EndReason.PASSWORD_CHANGED)

    def _live(self) -> list[Session]:
        rows = self._tables.rows.values()
        return [row for row in rows if decide_standing(row, self._tables.account, now=self._clock()) is None]

    def _revived(self, revoked: LiveSet) -> list[Session]:
        return [row for row in self._live() if is_revoked(row, revoked)]

    def _raise_version(self) -> None:
        self._tables.account = replace(self._tables.account, version=self._tables.account.version + 1)

    def _end(self, rows: list[Session], reason: EndReason) -> None:
        for row in rows:
            self._tables.rows[row.key] = replace(row, ended_at=self._clock(), ended_reason=reason)

    def _end_each(self, rows: list[Session], reason: EndReason) -> None:
        self._end(rows, reason)
        self._revoke([self._revocation(Kind.SESSION, row.id, 1, reason) for row in rows])

    def _end_again(self, rows: list[Session], revoked: LiveSet) -> None:
        """End what has ended before, for the reason that its entry gives: its own rather than the account's."""
        for row in rows:
            entry = revoked.get(Kind.SESSION, row.id) or revoked.get(Kind.ACCOUNT, row.account)
            self._end_each([row], reason_of(entry) or EndReason.ADMIN)

    def _revoke_account(self, reason: EndReason) -> None:
        account = self._tables.account
        self._revoke([self._revocation(Kind.ACCOUNT, account.id, account.version, reason)])

    def _revocation(self, kind: Kind, name: str, value: int, reason: EndReason) -> Revocation:
        return Revocation(kind=kind, id=name, value=value, dies_at=self._clock() + REMEMBERED_FOR, reason=reason)

    def _revoke(self, entries: list[Revocation]) -> None:
        self._tables.revocations.merge(entries)
        self.live.merge(entries)

    # Looking, and losing writes

    def read_changes(self) -> None:
        now = self._clock()
        read = Snapshot(
            revocations=tuple(entry for entry in self._tables.revocations if entry.dies_at > now),
            as_of=now,
            identity=name_of_store(self._tables.identity),
        )
        if was_put_back(tuple(self.live), read, known=name_of_store(self._known)):
            self._write_back(LiveSet(entry for entry in self.live if entry.dies_at > now))
        self.live.merge(read.revocations)
        self.live.expire(now=now)

    def _write_back(self, held: LiveSet) -> None:
        self._tables.revocations.merge(held)
        self._end_again(self._revived(held), held)
        account = self._tables.account
        version = max(account.version, held.accounts.get(account.id, 0))
        self._tables.account = replace(account, version=version)
        if self._tables.identity == self._known:
            self._newest += 1
            self._tables.identity = self._newest
        self._known = self._tables.identity

    def row(self, key: int) -> Session:
        return self._tables.rows[key]

    def account(self) -> Account:
        return self._tables.account

    def revoked(self) -> dict[tuple[Kind, str], Revocation]:
        return {(entry.kind, entry.id): entry for entry in self.live}

    def events(self) -> list[tuple[str, ...]]:
        return self._tables.events

    def save(self) -> None:
        self._saved = self._tables.copy()

    def restore(self) -> None:
        self._tables = self._saved.copy()
