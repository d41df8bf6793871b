"""Reading one session together with its account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, bindparam, select

from doorward.sessions.model import FullSighting, Sighting
from doorward.stores.sql import schema
from doorward.stores.sql.prepared import Prepared
from doorward.stores.sql.rows import ACCOUNT, SESSION, account_of, session_of
from doorward.stores.sql.transaction import Transaction

_session, _account = schema.session, schema.account

_COLUMNS = (*SESSION, *ACCOUNT)
_BOTH = select(*_COLUMNS).join_from(_session, _account)
_BY_KEY = Prepared(_BOTH.where(_session.c.key == bindparam("session_key", type_=BigInteger())), _COLUMNS)
_BY_ID = Prepared(_BOTH.where(_session.c.id == bindparam("session_id")), _COLUMNS)


def sighting(tx: Transaction, *, key: int) -> Sighting:
    """What the store holds under a session's key."""
    return Look(key=key)(tx)


# Values, so that a runner may read several of them by one statement (``batches.py``).


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Reads the session with a key."""

    key: int

    def __call__(self, tx: Transaction) -> Sighting:
        row = _BY_KEY.one(tx, {"session_key": self.key})
        if row is None:
            return Sighting(session=None, account=None, at=tx.now)
        session, account = _both_of(row)
        return Sighting(session=session, account=account, at=tx.now)


@dataclass(frozen=True, slots=True, kw_only=True)
class LookById:
    """Reads the session with a public id, and its whole account."""

    session_id: str

    def __call__(self, tx: Transaction) -> FullSighting:
        row = _BY_ID.one(tx, {"session_id": self.session_id})
        if row is None:
            return FullSighting(session=None, account=None, at=tx.now)
        session, account = _both_of(row)
        return FullSighting(session=session, account=account, at=tx.now)


def _both_of(row: Sequence[Any]) -> tuple[Any, Any]:
    return session_of(row[: len(SESSION)]), account_of(row[len(SESSION) :])
