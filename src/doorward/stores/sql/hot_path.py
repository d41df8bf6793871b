"""The two statements of the hot path, each for many requests at once: look up sessions, rotate refresh tokens.

Made of the same columns and conditions as those for one request, and compiled for asyncpg, which is asked without
SQLAlchemy in between.  Each is a transaction of its own and one way to the engine and back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    ColumnElement,
    Dialect,
    Interval,
    LargeBinary,
    Text,
    any_,
    bindparam,
    column,
    func,
    insert,
    literal,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.types import TypeEngine

from doorward.audit.model import Action
from doorward.rotation.model import Taken
from doorward.sessions.model import Sighting
from doorward.stores import records
from doorward.stores.sql import schema
from doorward.stores.sql.live import idle_limit
from doorward.stores.sql.prepared import Compiled, compile_for
from doorward.stores.sql.rotation import Rotate, next_row, takes
from doorward.stores.sql.rows import ACCOUNT, SESSION, account_of, session_of
from doorward.stores.sql.types import Instant

_session, _account, _event = schema.session, schema.account, schema.audit_event

_WIDTH = len(SESSION)
DIALECT: Dialect = asyncpg.dialect()  # type: ignore[no-untyped-call]
_DETAIL: Any = _event.c.detail.type.dialect_impl(DIALECT).bind_processor(DIALECT)
NOW_COLUMN: Column[Any] = Column("now", Instant())


@dataclass(frozen=True, slots=True, kw_only=True)
class NotHeld:
    """The row is not there, or somebody else is changing it: nothing was tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotTaken:
    """The row is not as the token says: nothing was written."""


Rotation = Taken | NotTaken | NotHeld


def _compiled(statement: Any, columns: Sequence[Column[Any]]) -> Compiled:
    return compile_for(DIALECT, statement, columns)


# Looking up


def _look_up() -> Compiled:
    keys = any_(bindparam("keys", type_=ARRAY(BigInteger())))
    # The time is told even where there is no row, and it is one for all of them.
    clock = select(func.clock_timestamp(type_=Instant()).label("now")).cte("clock")
    both = select(*SESSION, *ACCOUNT).join_from(_session, _account).where(_session.c.key == keys).subquery("found")
    statement = select(clock.c.now, *both.c).select_from(clock.outerjoin(both, true()))
    return _compiled(statement, (NOW_COLUMN, *SESSION, *ACCOUNT))


LOOK_UP = _look_up()
"""``keys``; returns the time and, of each row that there is, the session and its account."""


def sightings_of(rows: Sequence[Sequence[Any]], keys: Sequence[int], *, now: datetime | None) -> Sequence[Sighting]:
    """What was found under each key.

    Args:
        rows: what ``LOOK_UP`` returned; never none.
        keys: of sessions, in the order of the answers.
        now: the time, where it is not the database's.
    """
    at = now or rows[0][0]
    found = {
        row[1]: Sighting(session=session_of(row[1 : _WIDTH + 1]), account=account_of(row[_WIDTH + 1 :]), at=at)
        for row in map(LOOK_UP.row, rows)
        if row[1] is not None
    }
    nothing = Sighting(session=None, account=None, at=at)
    return [found.get(key, nothing) for key in keys]


# Rotating

_GIVEN: Mapping[str, TypeEngine[Any]] = {
    "key": BigInteger(),
    "secret_hash": LargeBinary(),
    "generation": BigInteger(),
    "attempt": LargeBinary(),
    "rest": Interval(),
    "idle": Interval(),
    "idle_remembered": Interval(),
    "actor": Text(),
    "ip": Text(),
    "user_agent": Text(),
    "detail": Text(),
}


def _rotate() -> Compiled:
    arrays: dict[str, ColumnElement[Any]] = {name: bindparam(name, type_=ARRAY(kind)) for name, kind in _GIVEN.items()}
    presented = (
        func.unnest(*arrays.values())
        .table_valued(*(column(name, kind) for name, kind in _GIVEN.items()))
        .render_derived("presented")
    )
    # Nobody is waited for: one row that is held for long would keep all the others.  What was changed meanwhile is
    # looked at anew, as by any statement that has to wait.
    held = (
        select(_session.c.key)
        .where(_session.c.key == any_(arrays["key"]))
        .with_for_update(key_share=True, skip_locked=True)
        .cte("held")
    )
    # Counted, so that the time is told once all rows are held.
    told = func.coalesce(bindparam("now", type_=Instant()), func.clock_timestamp(), type_=Instant())
    clock = select(told.label("now"), func.count().label("rows")).select_from(held).cte("clock")
    now = clock.c.now
    of_token: dict[str, Any] = {
        **presented.c,
        "rested_since": now - presented.c.rest,
        "used_until": now + idle_limit(presented.c.idle, presented.c.idle_remembered),
    }
    taken = (
        update(_session)
        .where(_session.c.key == held.c.key, takes(of_token, now=now))
        .values(next_row(of_token, now=now))
        .returning(*SESSION)
        .cte("taken")
    )
    event = {
        "at": now,
        "action": literal(Action.REFRESH_ROTATED, _event.c.action.type),
        "actor": presented.c.actor,
        "ip": presented.c.ip,
        "user_agent": presented.c.user_agent,
        "account": taken.c.account,
        "session": taken.c.id,
        "detail": presented.c.detail,
    }
    rotated = select(*event.values()).select_from(
        taken.join(presented, presented.c.key == taken.c.key).join(clock, true())
    )
    noted = insert(_event).from_select(list(event), rotated).cte("noted")
    found = held.join(clock, true()).outerjoin(taken, taken.c.key == held.c.key)
    statement = (
        select(held.c.key, now, *taken.c, *ACCOUNT)
        .select_from(found.outerjoin(_account, _account.c.id == taken.c.account))
        .add_cte(noted)
    )
    return _compiled(statement, (_session.c.key, NOW_COLUMN, *SESSION, *ACCOUNT))


ROTATE = _rotate()
"""Of each row that could be held: its key, the time and, where step 2 took, the session and its account.

The account is as it was when the statement began, and fits: whatever ends the sessions of an account or moves them to
another version writes their rows, and a row that was written since is judged anew.  The event is written by the same
statement.
"""


def presented_of(asked: Sequence[Rotate], *, now: datetime | None) -> Mapping[str, Any]:
    """The parameters of ``ROTATE``.

    Args:
        asked: no two of one session.
        now: the time, where it is not the database's.
    """
    columns = zip(*(_given(each) for each in asked), strict=True)
    return {"now": now, **dict(zip(_GIVEN, map(list, columns), strict=True))}


def _given(asked: Rotate) -> Sequence[Any]:
    presented, origin = asked.presented, asked.actor.origin
    return (
        presented.key,
        presented.secret_hash,
        presented.generation,
        presented.attempt,
        asked.policy.rest,
        asked.policy.idle,
        asked.policy.idle_remembered,
        asked.actor.name,
        origin.ip,
        origin.user_agent,
        _detail_of(presented.generation + 1),
    )


@lru_cache(maxsize=1_000)
def _detail_of(generation: int) -> str:
    """What the audit event says.  Most sessions are at one of the first generations."""
    detail: str = _DETAIL(records.rotated_detail(generation))
    return detail


def rotations_of(rows: Sequence[Sequence[Any]], keys: Sequence[int]) -> Sequence[Rotation]:
    """What became of each presentation.

    Args:
        rows: what ``ROTATE`` returned.
        keys: of the sessions, in the order of the answers.
    """
    found = {row[0]: _rotation(ROTATE.row(row)) for row in rows}
    return [found.get(key, NotHeld()) for key in keys]


def _rotation(row: Sequence[Any]) -> Rotation:
    _, at, *rest = row
    if rest[0] is None:
        return NotTaken()
    return Taken(session=session_of(rest[:_WIDTH]), account=account_of(rest[_WIDTH:]), at=at)
