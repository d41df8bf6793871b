"""Statements about signing keys."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, insert, select

from doorward.audit.model import AuditEvent
from doorward.keys.model import StoredKey
from doorward.revocation.model import Revocation
from doorward.stores.sql import revocations, schema, trail
from doorward.stores.sql.rows import KEY, key_of, key_values
from doorward.stores.sql.transaction import Transaction

_key = schema.signing_key


def read(tx: Transaction) -> Sequence[StoredKey]:
    rows = tx.connection.execute(select(*KEY).order_by(_key.c.created_at, _key.c.kid))
    return tuple(key_of(row) for row in rows)


def change(
    tx: Transaction,
    *,
    seen: Sequence[StoredKey],
    to: Sequence[StoredKey],
    events: Sequence[AuditEvent],
    revoked: Sequence[Revocation] = (),
) -> bool:
    # Who changes the set holds the store's own row meanwhile: the keys to lock may not be there yet.
    tx.connection.execute(select(schema.meta.c.value).where(schema.meta.c.name == "identity").with_for_update())
    if {key.kid: key for key in seen} != {key.kid: key for key in read(tx)}:
        return False
    tx.connection.execute(delete(_key))
    if to:
        tx.connection.execute(insert(_key), [key_values(key) for key in to])
    revocations.write(tx, revoked)
    trail.write(tx, *events)
    return True
