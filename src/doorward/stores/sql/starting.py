"""Starting sessions on the driver: one statement for all that sign in in one tick.

It is for sessions beside which nothing else ends.  The account is locked against changes until the commit; where
somebody else is changing it nothing is written, and the ordinary way waits and decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    ColumnElement,
    Integer,
    Interval,
    LargeBinary,
    Text,
    any_,
    bindparam,
    column,
    false,
    func,
    insert,
    literal,
    select,
    true,
)
from sqlalchemy.types import TypeEngine

from doorward.audit.model import Action
from doorward.sessions.model import Started
from doorward.stores import records
from doorward.stores.sql import schema
from doorward.stores.sql.hot_path import DIALECT, NOW_COLUMN
from doorward.stores.sql.prepared import Compiled, compile_for
from doorward.stores.sql.rows import event_values
from doorward.stores.sql.sessions import Start
from doorward.stores.sql.types import Instant

_session, _account, _event = schema.session, schema.account, schema.audit_event

_METHODS: Any = _session.c.methods.type.dialect_impl(DIALECT).bind_processor(DIALECT)
_DETAIL: Any = _event.c.detail.type.dialect_impl(DIALECT).bind_processor(DIALECT)

_OF_SESSION: Mapping[str, TypeEngine[Any]] = {
    "key": BigInteger(),
    "id": Text(),
    "account": Text(),
    "account_version": Integer(),
    "client": Text(),
    "strategy": Text(),
    "carrier": Text(),
    "secret_hash": LargeBinary(),
    "status_index": BigInteger(),
    "label": Text(),
    "ip": Text(),
    "user_agent": Text(),
    "methods": Text(),
    "remembered": Boolean(),
}
_OF_EVENT: Mapping[str, TypeEngine[Any]] = {
    "actor": Text(),
    "event_ip": Text(),
    "event_agent": Text(),
    "detail": Text(),
}
_GIVEN = {**_OF_SESSION, "idle": Interval(), "absolute": Interval(), **_OF_EVENT}


def _start() -> Compiled:
    arrays: dict[str, ColumnElement[Any]] = {
        name: bindparam(f"given_{name}", type_=ARRAY(kind)) for name, kind in _GIVEN.items()
    }
    given = (
        func.unnest(*arrays.values())
        .table_valued(*(column(name, kind) for name, kind in _GIVEN.items()))
        .render_derived("given")
    )
    # Shared: sessions of one account start beside each other, and whoever changes the account waits for them.
    held = (
        select(_account.c.id, _account.c.version)
        .where(_account.c.id == any_(arrays["account"]), _account.c.disabled_at.is_(None))
        .with_for_update(read=True, skip_locked=True)
        .cte("held")
    )
    # Counted, so that the time is read once all accounts are locked.
    told = func.coalesce(bindparam("now", type_=Instant()), func.clock_timestamp(), type_=Instant())
    clock = select(told.label("now"), func.count().label("rows")).select_from(held).cte("clock")
    now = clock.c.now
    row: dict[str, Any] = {
        **{name: given.c[name] for name in _OF_SESSION},
        **dict.fromkeys(("made_at", "authenticated_at", "created_at", "last_seen_at"), now),
        "idle_expires_at": now + given.c.idle,
        "expires_at": now + given.c.absolute,
        "generation": literal(0, BigInteger()),
        "acknowledged": false(),
        "retried": false(),
    }
    unmoved = (held.c.id == given.c.account) & (held.c.version == given.c.account_version)
    begun = select(*row.values()).select_from(given.join(held, unmoved).join(clock, true()))
    started = insert(_session).from_select(list(row), begun).returning(_session.c.key).cte("started")
    event = {
        "at": now,
        "action": literal(Action.SESSION_STARTED, _event.c.action.type),
        "actor": given.c.actor,
        "ip": given.c.event_ip,
        "user_agent": given.c.event_agent,
        "account": given.c.account,
        "session": given.c.id,
        "detail": given.c.detail,
    }
    told_of = select(*event.values()).select_from(given.join(started, started.c.key == given.c.key).join(clock, true()))
    noted = insert(_event).from_select(list(event), told_of).cte("noted")
    statement = select(started.c.key, now).select_from(started.join(clock, true())).add_cte(noted)
    return compile_for(DIALECT, statement, (_session.c.key, NOW_COLUMN))


START = _start()
"""Of each session that was started: its key and the time.  The row and its event are written by the same statement."""


def starts_of(asked: Sequence[Start], *, now: datetime | None) -> Mapping[str, Any]:
    """The parameters of ``START``; the time, where it is not the database's."""
    columns = zip(*map(_given, asked), strict=True)
    return {"now": now, **dict(zip((f"given_{name}" for name in _GIVEN), map(list, columns), strict=True))}


def _given(asked: Start) -> Sequence[Any]:
    new = asked.new
    # The event says nothing of the times of the session.
    event = event_values(records.session_started(new, asked.ending.actor))
    return (
        new.key,
        new.id,
        new.account,
        new.account_version,
        new.client,
        new.strategy,
        new.carrier,
        new.secret_hash,
        new.status_index,
        new.label,
        new.origin.ip,
        new.origin.user_agent,
        _METHODS(new.methods),
        new.remembered,
        min(new.idle, new.absolute),
        new.absolute,
        event["actor"],
        event["ip"],
        event["user_agent"],
        _DETAIL(event["detail"]),
    )


def started_of(rows: Sequence[Sequence[Any]], asked: Sequence[Start]) -> Sequence[Started | None]:
    """The sessions that were started, and None where the account could not be locked or is not as it was read."""
    at = dict(map(START.row, rows))
    return [Started(session=each.new.begun(at=at[each.new.key])) if each.new.key in at else None for each in asked]
