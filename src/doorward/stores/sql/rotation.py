"""Statements of refresh-token rotation (docs/concepts/rotation.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, LargeBinary, and_, bindparam, false, null, or_, select, true, update

from doorward.audit.model import Actor, AuditEvent
from doorward.rotation.model import Presentation, RefreshPolicy, Taken
from doorward.sessions.model import Ended, Ending, Session, Sighting
from doorward.stores import records
from doorward.stores.sql import live, schema, trail
from doorward.stores.sql.live import NOW, STANDS, USED_UNTIL, idle_expires_at, idle_limit, last_seen_at, stands
from doorward.stores.sql.prepared import Prepared
from doorward.stores.sql.rows import ACCOUNT, SESSION, account_of, later, session_of
from doorward.stores.sql.sightings import sighting
from doorward.stores.sql.transaction import Transaction
from doorward.stores.sql.types import Instant

_session, _account = schema.session, schema.account


def takes(presented: Mapping[str, ColumnElement[Any]], *, now: ColumnElement[Any]) -> ColumnElement[bool]:
    """Where step 2 takes: whoever comes second finds another generation and takes nothing.

    Args:
        presented: ``key``, ``secret_hash``, ``generation``, and ``rested_since``, by when a generation that rotates
            was made.
        now: by the store's clock.
    """
    return and_(
        _session.c.key == presented["key"],
        _session.c.secret_hash == presented["secret_hash"],
        _session.c.generation == presented["generation"],
        or_(_session.c.generation == 0, _session.c.made_at <= presented["rested_since"]),
        stands(now),
    )


def next_row(presented: Mapping[str, ColumnElement[Any]], *, now: ColumnElement[Any]) -> dict[str, Any]:
    """What step 2 writes: ``next_generation`` in SQL.

    Args:
        presented: ``attempt``, and ``used_until``, when the session goes idle from now on.
        now: by the store's clock.
    """
    return {
        "generation": _session.c.generation + 1,
        "predecessor": _session.c.generation,
        "made_at": now,
        "first_at": now,
        "attempt": presented["attempt"],
        "displaced": null(),
        "acknowledged": false(),
        "retried": false(),
        "last_seen_at": last_seen_at(now),
        "idle_expires_at": idle_expires_at(presented["used_until"]),
    }


_PRESENTED: Mapping[str, ColumnElement[Any]] = {
    "key": bindparam("presented_key", type_=BigInteger()),
    "secret_hash": bindparam("presented_hash", type_=LargeBinary()),
    "generation": bindparam("presented_generation", type_=BigInteger()),
    "attempt": bindparam("presented_attempt", type_=LargeBinary()),
    "rested_since": bindparam("rested_since", type_=Instant()),
    "used_until": idle_limit(USED_UNTIL, bindparam("remembered_until", type_=Instant())),
}
_ROTATE = Prepared(
    update(_session).where(takes(_PRESENTED, now=NOW)).values(next_row(_PRESENTED, now=NOW)).returning(*SESSION),
    SESSION,
)

_ACCOUNT_OF = Prepared(select(*ACCOUNT).where(_account.c.id == bindparam("account_id")), ACCOUNT)

# As it was judged; the secret is among it because a change of the password moves it.
_AS_SEEN = and_(
    _session.c.key == bindparam("seen_key", type_=BigInteger()),
    _session.c.secret_hash == bindparam("seen_hash", type_=LargeBinary()),
    _session.c.generation == bindparam("seen_generation", type_=BigInteger()),
    _session.c.made_at == bindparam("seen_made_at", type_=Instant()),
    _session.c.acknowledged == bindparam("seen_acknowledged"),
    _session.c.retried == bindparam("seen_retried"),
    STANDS,
)

# A use that was noted meanwhile is not taken back.
_REPLACE = (
    update(_session)
    .where(_AS_SEEN)
    .values(
        {
            name: bindparam(f"to_{name}", type_=_session.c[name].type)
            for name in (
                "generation",
                "made_at",
                "predecessor",
                "first_at",
                "attempt",
                "displaced",
                "acknowledged",
                "retried",
                "healed_in",
            )
        }
    )
    .values(
        last_seen_at=later(_session.c.last_seen_at, bindparam("to_last_seen_at", type_=Instant())),
        idle_expires_at=later(_session.c.idle_expires_at, USED_UNTIL),
    )
)

_ACKNOWLEDGE = (
    update(_session)
    .where(
        _session.c.id == bindparam("session_id"),
        _session.c.generation == bindparam("seen_generation", type_=BigInteger()),
        _session.c.acknowledged == false(),
        _session.c.ended_at.is_(None),
    )
    .values(acknowledged=true())
)


def rotate(tx: Transaction, *, presented: Presentation, policy: RefreshPolicy, actor: Actor) -> Taken | Sighting:
    """Step 2, else what the row is."""
    taken = _ROTATE.one(
        tx,
        {
            "presented_key": presented.key,
            "presented_hash": presented.secret_hash,
            "presented_generation": presented.generation,
            "presented_attempt": presented.attempt,
            "rested_since": tx.now - policy.rest,
            "used_until": tx.now + policy.idle,
            "remembered_until": tx.now + policy.idle_remembered,
            "now": tx.now,
        },
    )
    if taken is None:
        return sighting(tx, key=presented.key)
    session = session_of(taken)
    owner = _ACCOUNT_OF.one(tx, {"account_id": session.account})
    if owner is None:
        # The statement took, and a foreign key holds the two together.
        raise AssertionError("a session without its account")
    trail.write(tx, records.refresh_rotated(session, actor))
    return Taken(session=session, account=account_of(owner), at=tx.now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotate:
    """``rotate`` as a value, so that a runner may know a quicker way."""

    presented: Presentation
    policy: RefreshPolicy
    actor: Actor

    def __call__(self, tx: Transaction) -> Taken | Sighting:
        return rotate(tx, presented=self.presented, policy=self.policy, actor=self.actor)


def replace(tx: Transaction, *, seen: Session, to: Session, event: AuditEvent, until: datetime | None = None) -> bool:
    if until is not None and tx.now > until:
        return False
    to = records.dated(seen, to, at=tx.now)
    written = tx.connection.execute(
        _REPLACE,
        {
            **_seen(tx, seen),
            "to_generation": to.generation,
            "to_made_at": to.made_at,
            "to_predecessor": to.predecessor,
            "to_first_at": to.first_at,
            "to_attempt": to.attempt,
            "to_displaced": to.displaced,
            "to_acknowledged": to.acknowledged,
            "to_retried": to.retried,
            "to_healed_in": to.healed_in,
            "to_last_seen_at": to.last_seen_at,
            "used_until": to.idle_expires_at,
        },
    )
    if written.rowcount == 0:
        return False
    trail.write(tx, event)
    return True


def end_reused(tx: Transaction, *, seen: Session, ending: Ending, event: AuditEvent) -> Ended | None:
    over = live.end(tx, _AS_SEEN, ending, **_seen(tx, seen))
    if not over:
        return None
    trail.write(tx, event)
    return live.tell_each(tx, over, ending)


def acknowledge(tx: Transaction, *, session_id: str, generation: int) -> None:
    tx.connection.execute(_ACKNOWLEDGE, {"session_id": session_id, "seen_generation": generation})


def _seen(tx: Transaction, seen: Session) -> dict[str, object]:
    return {
        "seen_key": seen.key,
        "seen_hash": seen.secret_hash,
        "seen_generation": seen.generation,
        "seen_made_at": seen.made_at,
        "seen_acknowledged": seen.acknowledged,
        "seen_retried": seen.retried,
        "now": tx.now,
    }
