"""Statements about accounts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import BigInteger, LargeBinary, Update, bindparam, or_, select, update

from doorward.accounts.hook import SignUpStep, run_step
from doorward.accounts.model import Account, AccountChange, AccountChanged
from doorward.audit.model import Actor
from doorward.secret import Secret
from doorward.sessions.model import AccountMoved, Ended, Ending, EndReason, Session
from doorward.stores import records
from doorward.stores.paging import LONGEST_QUERY, folded
from doorward.stores.sql import live, revocations, schema, trail
from doorward.stores.sql.live import GOES_ON
from doorward.stores.sql.prepared import Prepared
from doorward.stores.sql.rows import ACCOUNT, SESSION, account_of, account_values, session_of
from doorward.stores.sql.transaction import Transaction

_account, _session = schema.account, schema.session

# The version is compared rather than the account looked up: the account has moved on in this transaction.
_UNDER_VERSION = (
    GOES_ON
    & (_session.c.account == bindparam("of_account"))
    & (_session.c.account_version == bindparam("seen_version"))
)

_BY_ID = Prepared(select(*ACCOUNT).where(_account.c.id == bindparam("account_id")), ACCOUNT)
_BY_EMAIL = Prepared(select(*ACCOUNT).where(_account.c.email_key == bindparam("account_email")), ACCOUNT)


def create(tx: Transaction, *, account: Account, actor: Actor, step: SignUpStep | None) -> bool:
    statement = tx.insert(_account).values(account_values(account)).on_conflict_do_nothing(index_elements=["email_key"])
    # Of an INSERT not every driver tells how many rows it made.
    if tx.connection.execute(statement.returning(_account.c.id)).one_or_none() is None:
        return False
    trail.write(tx, records.account_created(account, actor))
    if step is not None:
        run_step(step, tx.connection)
    return True


# Values, as those in ``sightings.py``.


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAccount:
    """Reads the account with an id."""

    account_id: str

    def __call__(self, tx: Transaction) -> Account | None:
        row = _BY_ID.one(tx, {"account_id": self.account_id})
        return None if row is None else account_of(row)


@dataclass(frozen=True, slots=True, kw_only=True)
class LookEmail:
    """Reads the account with an e-mail address."""

    email_key: str

    def __call__(self, tx: Transaction) -> Account | None:
        row = _BY_EMAIL.one(tx, {"account_email": self.email_key})
        return None if row is None else account_of(row)


def by_id(tx: Transaction, *, account_id: str) -> Account | None:
    return LookAccount(account_id=account_id)(tx)


def locked(tx: Transaction, account_id: str) -> Account | None:
    """An account that nobody else changes before this transaction has ended."""
    row = tx.connection.execute(select(*ACCOUNT).where(_account.c.id == account_id).with_for_update()).one_or_none()
    return None if row is None else account_of(row)


def shared(tx: Transaction, account_id: str) -> Account | None:
    """An account that others may read at the same time, and nobody changes before this transaction has ended."""
    statement = select(*ACCOUNT).where(_account.c.id == account_id).with_for_update(read=True)
    row = tx.connection.execute(statement).one_or_none()
    return None if row is None else account_of(row)


def find(tx: Transaction, *, query: str, after: str | None, limit: int) -> Sequence[Account]:
    if len(query) > LONGEST_QUERY:
        return ()
    statement = select(*ACCOUNT).order_by(_account.c.id).limit(limit)
    if query:
        found = _account.c.searchable.contains(folded(query), autoescape=True)
        statement = statement.where(or_(found, _account.c.id == query))
    if after is not None:
        statement = statement.where(_account.c.id > after)
    return tuple(account_of(row) for row in tx.connection.execute(statement))


def change(tx: Transaction, *, account_id: str, change: AccountChange, ending: Ending) -> AccountChanged | None:
    before = locked(tx, account_id)
    if before is None:
        return None
    after = records.changed(before, change, at=tx.now)
    if after == before:
        return AccountChanged(account=after)
    write(tx, after)
    trail.write(tx, *records.account_changes(before, after, ending.actor))
    if after.version == before.version:
        return AccountChanged(account=after)
    if records.has_been_disabled(before, after):
        over = live.end(tx, _UNDER_VERSION, ending, of_account=account_id, seen_version=before.version)
        live.tell(tx, over, ending)
    else:
        _end_stateless(tx, before, records.because(ending, EndReason.ADMIN))
        _carry_over(tx, before, after)
    entry = records.account_revoked(after, ending, at=tx.now)
    revocations.write(tx, [entry])
    return AccountChanged(account=after, revocations=(entry,))


def change_password(
    tx: Transaction,
    *,
    seen: Account,
    password_hash: Secret,
    keep: Session | None,
    new_secret_hash: bytes | None,
    ending: Ending,
) -> Ended | AccountMoved:
    if not set_password(tx, seen, password_hash):
        return AccountMoved()
    trail.write(tx, records.password_changed(seen, ending.actor))
    if keep is not None:
        _move(tx, keep, seen, new_secret_hash, ending.actor)
    over = live.end(tx, _UNDER_VERSION, ending, of_account=seen.id, seen_version=seen.version)
    if records.is_account_entry_enough(keep, new_secret_hash):
        entry = records.account_revoked(replace(seen, version=seen.version + 1), ending, at=tx.now)
        revocations.write(tx, [entry])
        return Ended(sessions=live.tell(tx, over, ending).sessions, revocations=(entry,))
    return live.tell_each(tx, over, ending)


def rehash_password(tx: Transaction, *, seen: Account, password_hash: Secret, actor: Actor) -> bool:
    unchanged = (_account.c.id == seen.id) & (_account.c.password_hash == seen.password_hash)
    statement = update(_account).where(unchanged).values(password_hash=password_hash)
    if seen.password_hash is None or tx.connection.execute(statement).rowcount == 0:
        return False
    trail.write(tx, records.password_rehashed(seen, actor))
    return True


def write(tx: Transaction, account: Account) -> None:
    tx.connection.execute(update(_account).where(_account.c.id == account.id).values(account_values(account)))


def set_password(tx: Transaction, seen: Account, password_hash: Secret) -> bool:
    """Set a password and raise the version, where that is still the one seen."""
    statement = (
        update(_account)
        .where(_account.c.id == seen.id, _account.c.version == seen.version)
        .values(password_hash=password_hash, version=_account.c.version + 1)
    )
    return tx.connection.execute(statement).rowcount != 0


def raise_version(tx: Transaction, account: Account, *, to: int | None = None) -> Account:
    raised = replace(account, version=account.version + 1 if to is None else to)
    tx.connection.execute(update(_account).where(_account.c.id == account.id).values(version=raised.version))
    return raised


def _end_stateless(tx: Transaction, before: Account, ending: Ending) -> None:
    """End the live sessions that nothing but their one token carries: it is revoked, and there is no other."""
    stateless = _UNDER_VERSION & (_session.c.strategy == "jwt")
    over = live.end(tx, stateless, ending, of_account=before.id, seen_version=before.version)
    live.tell(tx, over, ending)


def _carry_over(tx: Transaction, before: Account, after: Account) -> None:
    """Let the live sessions stand under the account's new version."""
    statement = update(_session).where(_UNDER_VERSION).values(account_version=bindparam("new_version"))
    tx.connection.execute(
        statement,
        {"now": tx.now, "of_account": after.id, "seen_version": before.version, "new_version": after.version},
    )


def _move(tx: Transaction, keep: Session, seen: Account, secret_hash: bytes | None, actor: Actor) -> None:
    """Let the kept session, if it is live, stand under the new version, and under a new handle where one is given."""
    statement: Update = update(_session).where(_UNDER_VERSION, _session.c.key == bindparam("kept", type_=BigInteger()))
    statement = statement.values(account_version=seen.version + 1)
    if secret_hash is not None:
        statement = statement.values(secret_hash=bindparam("new_hash", secret_hash, type_=LargeBinary()))
    parameters = {"now": tx.now, "of_account": seen.id, "seen_version": seen.version, "kept": keep.key}
    moved = tx.connection.execute(statement.returning(*SESSION), parameters).one_or_none()
    if moved is not None and secret_hash is not None:
        trail.write(tx, records.session_moved(session_of(moved), actor))
