"""The store on SQL: each operation is one statement function, run by the runner."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from doorward.accounts.hook import SignUpStep
from doorward.accounts.model import Account, AccountChange, AccountChanged
from doorward.audit.model import Action, Actor, AuditEvent
from doorward.errors import StoreUnavailable, Unavailable
from doorward.keys.model import StoredKey
from doorward.ports import Page, Removed, Snapshot
from doorward.revocation.model import Revocation
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
from doorward.stores.paging import event_before, limit_of
from doorward.stores.sql import accounts, housekeeping, keys, numbers, restored, rotation, sessions, sightings, trail
from doorward.stores.sql import revocations as revocation_entries
from doorward.stores.sql import verifiers as verifier_rows
from doorward.stores.sql.note_beside import Note, NoteBeside
from doorward.stores.sql.runners import Runner
from doorward.stores.sql.transaction import Transaction
from doorward.verifiers.model import StoredVerifier

_log = logging.getLogger(__name__)


class SqlStore:
    """Everything in one database.

    Args:
        runner: decides in which thread and transaction statements run.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._identity: str | None = None
        self._place: str | None = None
        self.note: NoteBeside | None = None
        """Where it is noted how far the database has come, for one that can be put back as a file."""

    # Accounts

    async def create_account(self, account: Account, *, actor: Actor, step: SignUpStep | None = None) -> bool:
        return await self._runner.write(partial(accounts.create, account=account, actor=actor, step=step))

    async def account(self, account_id: str) -> Account | None:
        return await self._runner.look_up(accounts.LookAccount(account_id=account_id))

    async def account_by_email(self, email_key: str) -> Account | None:
        return await self._runner.look_up(accounts.LookEmail(email_key=email_key))

    async def accounts(self, page: Page, *, query: str = "") -> Sequence[Account]:
        return await self._runner.read(partial(accounts.find, query=query, after=page.after, limit=limit_of(page)))

    async def change_account(self, account_id: str, change: AccountChange, ending: Ending) -> AccountChanged | None:
        statement = partial(accounts.change, account_id=account_id, change=change, ending=ending)
        return await self._runner.write(statement)

    async def change_password(
        self,
        seen: Account,
        password_hash: Secret,
        *,
        keep: Session | None,
        new_secret_hash: bytes | None,
        ending: Ending,
    ) -> Ended | AccountMoved:
        return await self._runner.write(
            partial(
                accounts.change_password,
                seen=seen,
                password_hash=password_hash,
                keep=keep,
                new_secret_hash=new_secret_hash,
                ending=ending,
            )
        )

    async def rehash_password(self, seen: Account, password_hash: Secret, *, actor: Actor) -> bool:
        statement = partial(accounts.rehash_password, seen=seen, password_hash=password_hash, actor=actor)
        return await self._runner.write(statement)

    # Sessions

    async def start_session(
        self, new: NewSession, *, limit: int | None, replaces: Sequence[int], ending: Ending
    ) -> Started | AccountMoved:
        statement = sessions.Start(new=new, limit=limit, replaces=replaces, ending=ending)
        return await self._runner.write(statement)

    async def session(self, key: int) -> Sighting:
        return await self._runner.look_up(sightings.Look(key=key))

    async def session_by_id(self, session_id: str) -> FullSighting:
        return await self._runner.look_up(sightings.LookById(session_id=session_id))

    async def sessions_of(self, account_id: str) -> Sequence[Session]:
        return await self._runner.read(sessions.LookSessions(account_id=account_id))

    async def rotate(self, presented: Presentation, policy: RefreshPolicy, *, actor: Actor) -> Taken | Sighting:
        return await self._runner.write(rotation.Rotate(presented=presented, policy=policy, actor=actor))

    async def replace_session(
        self, seen: Session, to: Session, event: AuditEvent, *, until: datetime | None = None
    ) -> bool:
        return await self._runner.write(partial(rotation.replace, seen=seen, to=to, event=event, until=until))

    async def end_reused(self, seen: Session, ending: Ending, event: AuditEvent) -> Ended | None:
        return await self._runner.write(partial(rotation.end_reused, seen=seen, ending=ending, event=event))

    async def acknowledge(self, session_id: str, generation: int) -> None:
        await self._runner.write(partial(rotation.acknowledge, session_id=session_id, generation=generation))

    async def touch(self, key: int, *, idle: timedelta) -> None:
        await self._runner.write(partial(sessions.touch, key=key, idle=idle))

    async def end_session(self, session_id: str, ending: Ending, *, account_id: str | None = None) -> Ended | None:
        statement = partial(sessions.end_one, session_id=session_id, ending=ending, account_id=account_id)
        return await self._runner.write(statement)

    async def end_sessions(self, account_id: str, ending: Ending, *, keep: str | None = None) -> Ended:
        return await self._runner.write(partial(sessions.end_all, account_id=account_id, ending=ending, keep=keep))

    async def end_begun_before(self, instant: datetime, ending: Ending, *, after: str | None, limit: int) -> Step:
        statement = partial(sessions.end_begun_before, instant=instant, ending=ending, after=after, limit=limit)
        return await self._runner.write(statement)

    async def reserve_numbers(self, count: int) -> int:
        return await self._runner.write(partial(numbers.reserve, count=count))

    async def ended_numbers(self, first: int, count: int) -> Sequence[int]:
        return await self._runner.read(partial(numbers.ended, first=first, count=count))

    # Revocations and keys

    async def revocations(self) -> Snapshot:
        return await self._runner.read(self._read_revocations)

    async def revoke(self, revocations: Sequence[Revocation]) -> None:
        await self._runner.write(partial(revocation_entries.write, revocations=revocations))

    async def write_back(self, revocations: Sequence[Revocation], ending: Ending) -> Ended:
        return await self._runner.write(partial(restored.write_back, lost=revocations, ending=ending))

    async def renew_identity(self, known: str, event: AuditEvent) -> None:
        statement = partial(restored.renew, known=known, place=self._place, event=event)
        self._identity = await self._runner.write(statement)

    def _read_revocations(self, tx: Transaction) -> Snapshot:
        as_of = tx.now
        if self._place is not None:
            self._place = restored.read_place(tx)
        identity = restored.read_identity(tx, place=self._place)
        return Snapshot(revocations=revocation_entries.read(tx), as_of=as_of, identity=identity)

    async def keys(self) -> Sequence[StoredKey]:
        return await self._runner.read(keys.read)

    async def change_keys(
        self,
        seen: Sequence[StoredKey],
        to: Sequence[StoredKey],
        events: Sequence[AuditEvent],
        *,
        revocations: Sequence[Revocation] = (),
    ) -> bool:
        statement = partial(keys.change, seen=seen, to=to, events=events, revoked=revocations)
        return await self._runner.write(statement)

    # Verifiers

    async def add_verifier(self, verifier: StoredVerifier, *, actor: Actor) -> bool:
        return await self._runner.write(partial(verifier_rows.add, verifier=verifier, actor=actor))

    async def verifier(self, verifier_id: str) -> StoredVerifier | None:
        return await self._runner.look_up(partial(verifier_rows.by_id, verifier_id=verifier_id))

    async def verifiers(self) -> Sequence[StoredVerifier]:
        return await self._runner.look_up(verifier_rows.read)

    async def revoke_verifier(self, name: str, *, actor: Actor) -> bool:
        return await self._runner.write(partial(verifier_rows.revoke, name=name, actor=actor))

    # The trail

    async def record(self, event: AuditEvent) -> None:
        await self._runner.write(lambda tx: trail.write(tx, event))

    async def trail(
        self, page: Page, *, account: str | None = None, session: str | None = None, action: Action | None = None
    ) -> Sequence[AuditEvent]:
        before, limit = event_before(page), limit_of(page)
        return await self._runner.read(
            partial(trail.read, before=before, limit=limit, account=account, session=session, action=action)
        )

    # The store itself

    async def open(self) -> None:
        """Make it ready.

        Raises:
            DatabaseUnusable: it cannot be; the detail names the remedy.
            StoreUnavailable: not now.
        """
        await self._runner.open()
        try:
            # Asked again with each reading of the revocations, unless it is not told.
            self._place = await self._runner.look_up(restored.read_place)
            await self._settle()
        except BaseException:
            await self._runner.close()
            raise

    async def _settle(self) -> None:
        noted = None if self.note is None else self.note.read()
        settled = await self._runner.write(partial(restored.settle, place=self._place, noted=noted))
        self._identity = settled.identity
        if settled.was_put_back:
            _log.error(
                "the database is not the one that was used before: a backup or a standby has taken its place while no"
                " server ran. Sessions that had ended and accounts that were disabled since may be back. Read"
                " docs/guides/after-restoring-a-backup.md, and end all sessions with: doorward sessions end --everybody"
            )
        await self._write_note()

    async def _write_note(self) -> None:
        """Note how far the database has come, for whoever opens it next; what cannot be noted is only not known."""
        if self.note is None or self._identity is None:
            return
        try:
            newest = await self._runner.look_up(trail.newest)
            self.note.write(Note(identity=self._identity, newest=newest))
        except (Unavailable, OSError) as error:
            _log.debug("how far the database has come is not noted beside it: %s", type(error).__name__)

    async def close(self) -> None:
        await self._write_note()
        await self._runner.close()

    async def ping(self) -> None:
        await self._runner.ping(housekeeping.ping)

    async def now(self) -> datetime:
        return await self._runner.look_up(lambda tx: tx.now)

    @property
    def identity(self) -> str:
        if self._identity is None:
            raise StoreUnavailable(detail="the store is not open")
        return self._identity

    async def secret_check(self, fingerprint: str, *, replaces: Sequence[str] = ()) -> str:
        return await self._runner.write(
            partial(housekeeping.settle, name="secret_check", value=fingerprint, replaces=replaces)
        )

    async def remove_expired(
        self, *, session_retention: timedelta, audit_retention: timedelta, until: datetime, batch: int = 500
    ) -> Removed:
        removed = await self._runner.write(
            partial(
                housekeeping.remove_expired,
                session_retention=session_retention,
                audit_retention=audit_retention,
                until=until,
                batch=batch,
            )
        )
        await self._write_note()
        return removed
