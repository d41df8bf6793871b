"""The few small interfaces through which operations touch the world.

A store gives the time of what it writes and judges: every operation below that needs an instant takes it from the
store's clock, inside its transaction, and says so in what it returns.  Each operation is one transaction; each that
consumes something is one atomic statement with a typed outcome.  The audit events handed in are written in the same
transaction as the change, or not at all.

Every method may raise ``StoreUnavailable``: the engine does not answer, or it is not known whether it committed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from doorward.accounts.hook import SignUpStep
from doorward.accounts.model import Account, AccountChange, AccountChanged
from doorward.audit.model import Action, Actor, AuditEvent
from doorward.errors import Unavailable
from doorward.keyring import Keyring
from doorward.keys.model import StoredKey
from doorward.options import Options
from doorward.revocation.freshness import Ticks
from doorward.revocation.model import LiveSet, Revocation
from doorward.rotation.model import Presentation, RefreshPolicy, Taken
from doorward.secret import Secret
from doorward.sessions.model import (
    AccountMoved,
    Ended,
    Ending,
    FullSighting,
    NewSession,
    Session,
    Sighting,
    Started,
    Step,
)
from doorward.verifiers.model import StoredVerifier

Clock = Callable[[], datetime]
"""The time, aware and in UTC."""

T = TypeVar("T")

Entropy = Callable[[int], bytes]
"""So many bytes that nobody can guess."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A part of a long listing.

    Args:
        limit: at most so many, 1 to 200.
        after: the cursor that the page before ended with, or None for the first.
    """

    limit: int = 50
    after: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All live revocations, read at once.

    Args:
        revocations: those that have not died.
        as_of: the store's time at the start of the read.
        identity: of the store that was read; another than ``Store.identity`` where one has taken its place.
    """

    revocations: tuple[Revocation, ...]
    as_of: datetime
    identity: str


class AccountStore(Protocol):
    """Where accounts live."""

    async def create_account(self, account: Account, *, actor: Actor, step: SignUpStep | None = None) -> bool:
        """Insert an account and its ``account.created``.  False, with nothing written: ``email_key`` is taken.

        The step runs in the same transaction, once the address is known to be free.  What it raises leaves nothing
        behind, and is raised as ``HookFailed``.
        """
        ...

    async def account(self, account_id: str) -> Account | None: ...

    async def account_by_email(self, email_key: str) -> Account | None: ...

    async def accounts(self, page: Page, *, query: str = "") -> Sequence[Account]:
        """Accounts whose e-mail or name contains ``query`` (any case), or whose id it is, by id."""
        ...

    async def change_account(self, account_id: str, change: AccountChange, ending: Ending) -> AccountChanged | None:
        """Change name, roles or whether it is disabled; None if there is no such account.

        - A change of roles raises the version of the account *and* of its live sessions: sessions go on, tokens that
          say the old roles are revoked by an entry of kind ``account``.  Sessions of the strategy ``jwt`` have nothing
          but such a token: they end, as ``admin``.
        - ``disabled=True`` raises the version and ends every live session with ``ending.reason``; what they carry is
          revoked by the same entry.  Ending records ``session.ended`` for each.
        - Records ``account.changed``, ``account.disabled`` or ``account.enabled``, for what really changed.
        """
        ...

    async def change_password(
        self,
        seen: Account,
        password_hash: Secret,
        *,
        keep: Session | None,
        new_secret_hash: bytes | None,
        ending: Ending,
    ) -> Ended | AccountMoved:
        """Set a password where the account's version is still the one seen, and raise it.

        Every other live session ends; the kept one moves to the new version, and to a new handle where
        ``new_secret_hash`` is given (recorded as ``session.moved``).  Where it keeps its tokens, entries of kind
        ``session`` tell of the others; else one of kind ``account`` does, which also has the old handle forgotten
        wherever it is remembered.  Records ``password.changed``.
        """
        ...

    async def rehash_password(self, seen: Account, password_hash: Secret, *, actor: Actor) -> bool:
        """Replace the hash of the same password, unless it was changed since: version and sessions stay."""
        ...


class SessionStore(Protocol):
    """Where sessions live."""

    async def start_session(
        self, new: NewSession, *, limit: int | None, replaces: Sequence[int], ending: Ending
    ) -> Started | AccountMoved:
        """Insert a session where its account is enabled and has the version that ``new`` says.

        The live sessions whose keys are in ``replaces`` (credentials sent along) end as ``signed_out``; then, of the
        account's live sessions, the oldest end as ``session_limit`` until with the new one ``limit`` are left.
        ``ending`` gives the actor and how long revocations live; its reason is not used.  Records ``session.started``.
        """
        ...

    async def session(self, key: int) -> Sighting: ...

    async def session_by_id(self, session_id: str) -> FullSighting:
        """The session with a public id and its whole account, read as of one instant, by one statement where possible.

        An account that was disabled is never returned with a session that its disabling has not ended yet.
        """
        ...

    async def sessions_of(self, account_id: str) -> Sequence[Session]:
        """The live sessions of an account, the newest first."""
        ...

    async def rotate(self, presented: Presentation, policy: RefreshPolicy, *, actor: Actor) -> Taken | Sighting:
        """Step 2: make the next generation in one atomic statement, else say what the row is.

        It takes where key, secret_hash and generation match, the session is live, the account enabled and of the
        session's version, and generation = 0 or the row has rested.  Writes ``next_generation(...)`` and records
        ``refresh.rotated``.
        """
        ...

    async def replace_session(
        self, seen: Session, to: Session, event: AuditEvent, *, until: datetime | None = None
    ) -> bool:
        """Write ``to`` where the row is live and its generation, made_at, acknowledged and retried are those seen.

        Where ``to`` moves made_at or first_at, the statement's own time is written.  Nothing is written after
        ``until``: what was judged within the grace must not be written when it is over.
        """
        ...

    async def end_reused(self, seen: Session, ending: Ending, event: AuditEvent) -> Ended | None:
        """End the session where the row is live and still as seen (as above); None, with nothing written, otherwise."""
        ...

    async def acknowledge(self, session_id: str, generation: int) -> None:
        """Note that the current generation has been seen, if it is still this one."""
        ...

    async def touch(self, key: int, *, idle: timedelta) -> None:
        """Note a use: ``last_seen_at`` and ``idle_expires_at``; never revives what has ended or expired."""
        ...

    async def end_session(self, session_id: str, ending: Ending, *, account_id: str | None = None) -> Ended | None:
        """End one live session (of that account, where given); None if there is none.  Records ``session.ended``."""
        ...

    async def end_sessions(self, account_id: str, ending: Ending, *, keep: str | None = None) -> Ended:
        """End the live sessions of an account, but for the one whose id is ``keep``.

        With ``keep`` each is revoked by its own entry; without, the account's version is raised and one entry of kind
        ``account`` says so.
        """
        ...

    async def end_begun_before(self, instant: datetime, ending: Ending, *, after: str | None, limit: int) -> Step:
        """One step of ending all sessions that began before an instant, whose ever they are.

        Nothing is recorded and no entry is written for each: whoever calls revokes the signing keys afterwards, on
        which every server drops what it has in memory, and records ``sessions.ended``.

        Args:
            instant: by the store's clock.
            ending: how.
            after: where the step before ended, or None for the first.
            limit: how many rows one step looks at, at most.
        """
        ...

    async def reserve_numbers(self, count: int) -> int:
        """Take so many numbers for status lists; returns the first of them.  None is ever given twice."""
        ...

    async def ended_numbers(self, first: int, count: int) -> Sequence[int]:
        """Of ``count`` numbers from ``first``, those whose session is over, other than by having expired."""
        ...


class RevocationStore(Protocol):
    """Where revocations outlive a restart."""

    async def revocations(self) -> Snapshot: ...

    async def revoke(self, revocations: Sequence[Revocation]) -> None:
        """Join entries into the table, by the pointwise maximum."""
        ...

    async def write_back(self, revocations: Sequence[Revocation], ending: Ending) -> Ended:
        """Join entries that the store may have lost, and end for good what they name and stands in it all the same.

        Sessions that are named end; of an account that is named, all under a version below the entry's, and its version
        is raised to that.  Each is revoked by an entry of its own, since tokens were issued for it meanwhile.
        """
        ...

    async def renew_identity(self, known: str, event: AuditEvent) -> None:
        """Give a store that was put back another identity, once an incident, whichever server comes first.

        It is given, and the event written, where the store is still called ``known`` or was taken to another place than
        the one that it was called in; else somebody has done so.  Either way ``identity`` says from now on what it is.
        """
        ...


class KeyStore(Protocol):
    """Where signing keys live, wrapped."""

    async def keys(self) -> Sequence[StoredKey]:
        """All keys that are kept, the oldest first."""
        ...

    async def change_keys(
        self,
        seen: Sequence[StoredKey],
        to: Sequence[StoredKey],
        events: Sequence[AuditEvent],
        *,
        revocations: Sequence[Revocation] = (),
    ) -> bool:
        """Put ``to`` in place of all keys, unless they are not those seen any more: two servers may rotate at once.

        What is revoked with that is joined into the table in the same transaction.
        """
        ...


class VerifierStore(Protocol):
    """Where the credentials of verifiers live: their hashes."""

    async def add_verifier(self, verifier: StoredVerifier, *, actor: Actor) -> bool:
        """Insert a verifier and its ``verifier.added``.  False, with nothing written: the name or the id is taken."""
        ...

    async def verifier(self, verifier_id: str) -> StoredVerifier | None: ...

    async def verifiers(self) -> Sequence[StoredVerifier]:
        """All of them, by name."""
        ...

    async def revoke_verifier(self, name: str, *, actor: Actor) -> bool:
        """Remove a verifier and record ``verifier.revoked``.  False if there is none of that name."""
        ...


class AuditStore(Protocol):
    """Where the trail is kept."""

    async def record(self, event: AuditEvent) -> None:
        """Write an event that goes with no change."""
        ...

    async def trail(
        self, page: Page, *, account: str | None = None, session: str | None = None, action: Action | None = None
    ) -> Sequence[AuditEvent]:
        """Events, the newest first; ``page.after`` is the id of the last one that was read."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What one batch of housekeeping removed.

    Args:
        sessions: how many rows of them, as in the three that follow.
        revocations: likewise.
        audit_events: likewise.
        keys: likewise.
        more: whether another batch is worth it.
        elsewhere: nothing was done, since another server was at it in this moment.
    """

    sessions: int = 0
    revocations: int = 0
    audit_events: int = 0
    keys: int = 0
    more: bool = False
    elsewhere: bool = False


class Store(AccountStore, SessionStore, RevocationStore, KeyStore, VerifierStore, AuditStore, Protocol):
    """All of it in one place."""

    async def open(self) -> None:
        """Make it ready, migrating the embedded default.  Raises ``DatabaseUnusable`` with the remedy."""
        ...

    async def close(self) -> None: ...

    async def ping(self) -> None:
        """Ask the engine for something trivial."""
        ...

    async def now(self) -> datetime: ...

    @property
    def identity(self) -> str:
        """Which store this is; a backup put in its place is another.  Known once open, and as of the last renewal."""
        ...

    async def secret_check(self, fingerprint: str, *, replaces: Sequence[str] = ()) -> str:
        """The fingerprint of the secret that the store goes with; set to the given one if new or if it is replaced."""
        ...

    async def remove_expired(
        self, *, session_retention: timedelta, audit_retention: timedelta, until: datetime, batch: int = 500
    ) -> Removed:
        """Remove at most ``batch`` rows of each kind whose time has come; of several servers one at a time does.

        What is judged by is the store's time, but never an instant after ``until``: a clock that was set ahead must
        not remove what is needed when it is right again (``TrustedTime``).

        Sessions: over for longer than the retention.  Revocations: dead.  Keys: retired for longer than the retention
        of sessions.
        """
        ...


class Announcements(Protocol):
    """Where servers tell each other at once what they have revoked.

    Hints: whatever is told has been committed, and whatever is not told is found by the next complete read.  A store
    tells by itself what it commits, so that every process that writes tells, and none before its commit.
    """

    async def listen(self, heard: Callable[[Sequence[Revocation] | None], None]) -> None:
        """Hand over what is told until cancelled, connecting again and again.

        Args:
            heard: called with what was revoked; with None where it is worth reading everything now.
        """
        ...


class Knowledge(Protocol):
    """What a store has to ask before it answers from a cache; a ``Deployment`` is one.

    Between a commit and the next read of the revocations an answer may be as stale as ``options.max_staleness`` says.
    """

    @property
    def live(self) -> LiveSet:
        """The revocations that this process knows of."""
        ...

    @property
    def is_fresh(self) -> bool:
        """Whether they are recent enough to be relied on; never so in a process that does not watch the store."""
        ...

    @property
    def options(self) -> Options: ...

    @property
    def keyring(self) -> Keyring: ...

    @property
    def ticks(self) -> Ticks: ...


class BackgroundWrites(Protocol):
    """Runs writes that no request has to wait for; see ``doorward.background``."""

    async def run(self, write: Callable[[], Awaitable[None]], *, failed: Callable[[Unavailable], None]) -> None: ...

    async def close(self) -> None: ...


class PasswordHashing(Protocol):
    """Turns passwords into hashes, slowly, never on the event loop and never more at once than there are cores.

    Raises ``Busy`` where the queue is full.
    """

    async def hash(self, password: Secret) -> Secret: ...

    async def verify(self, password: Secret, password_hash: Secret | None) -> bool:
        """Whether they go together; takes the same time where there is no hash, and answers False."""
        ...

    async def run(self, work: Callable[[], T]) -> T:
        """Run other slow work in the same bounded place."""
        ...

    def is_outdated(self, password_hash: Secret) -> bool:
        """Whether the hash was made with other parameters than today's."""
        ...

    def close(self) -> None: ...
