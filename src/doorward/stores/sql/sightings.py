"""Reading one session together with its account: the look-up of the hot path."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import BigInteger, bindparam, select

from doorward.sessions.model import Sighting
from doorward.stores.sql import schema
from doorward.stores.sql.prepared import Prepared
from doorward.stores.sql.rows import ACCOUNT, SESSION, account_of, session_of
from doorward.stores.sql.transaction import Transaction

_session, _account = schema.session, schema.account

_COLUMNS = (*SESSION, *ACCOUNT)
_BOTH = select(*_COLUMNS).join_from(_session, _account)
_BY_KEY = Prepared(_BOTH.where(_session.c.key == bindparam("session_key", type_=BigInteger())), _COLUMNS)
_BY_ID = Prepared(_BOTH.where(_session.c.id == bindparam("session_id")), _COLUMNS)


def sighting(tx: Transaction, *, key: int | None = None, session_id: str | None = None) -> Sighting:
    """What the store holds under a session's key, or under its public id."""
    row = _BY_KEY.one(tx, {"session_key": key}) if key is not None else _BY_ID.one(tx, {"session_id": session_id})
    if row is None:
        return Sighting(session=None, account=None, at=tx.now)
    return Sighting(session=session_of(row[: len(SESSION)]), account=account_of(row[len(SESSION) :]), at=tx.now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Looking up one session by its key; a value, so that a runner may know a quicker way."""

    key: int

    def __call__(self, tx: Transaction) -> Sighting:
        return sighting(tx, key=self.key)
