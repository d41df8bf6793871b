"""Statements about verifiers."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, select

from doorward.audit.model import Actor
from doorward.stores import records
from doorward.stores.sql import schema, trail
from doorward.stores.sql.rows import VERIFIER, verifier_of, verifier_values
from doorward.stores.sql.transaction import Transaction
from doorward.verifiers.model import StoredVerifier

_verifier = schema.verifier


def add(tx: Transaction, *, verifier: StoredVerifier, actor: Actor) -> bool:
    statement = tx.insert(_verifier).values(verifier_values(verifier)).on_conflict_do_nothing()
    # Of an INSERT not every driver tells how many rows it made.
    if tx.connection.execute(statement.returning(_verifier.c.id)).one_or_none() is None:
        return False
    trail.write(tx, records.verifier_added(verifier, actor))
    return True


def by_id(tx: Transaction, *, verifier_id: str) -> StoredVerifier | None:
    row = tx.connection.execute(select(*VERIFIER).where(_verifier.c.id == verifier_id)).one_or_none()
    return None if row is None else verifier_of(row)


def read(tx: Transaction) -> Sequence[StoredVerifier]:
    rows = tx.connection.execute(select(*VERIFIER).order_by(_verifier.c.name))
    return tuple(verifier_of(row) for row in rows)


def revoke(tx: Transaction, *, name: str, actor: Actor) -> bool:
    statement = delete(_verifier).where(_verifier.c.name == name).returning(*VERIFIER)
    row = tx.connection.execute(statement).one_or_none()
    if row is None:
        return False
    trail.write(tx, records.verifier_revoked(verifier_of(row), actor))
    return True
