"""How a session is kept: one string of MessagePack under one key.

It is an array, so that a script finds a field by its place.  What scripts change or judge stands in places of its own;
what never changes after the start is JSON in one place, which scripts hand on as it is.  A hole would cut a Lua
table short, and Lua's strings come back as text: so nothing is nil (-1 or "" stand for none), and hashes are written in
base64url.  Instants are microseconds since 1970: a Lua number holds whole numbers up to 2^53, enough until 2255.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from doorward.audit.model import Origin
from doorward.errors import FieldError, ValidationFailed
from doorward.options import FIRST_PARTY, Strategy
from doorward.principal import Carrier
from doorward.sessions.model import EndReason, Session
from doorward.stores.redis.unavailable import RedisUnavailable
from doorward.wire import base64url

FORMAT = 1
NONE = -1
_BY_PASSWORD = ("pwd",)

KEPT_LONGER = timedelta(minutes=1)
"""How much longer than its session a row is kept: somebody who comes a moment late is told why."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MILLISECOND = timedelta(milliseconds=1)


class Row(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """The places of the array.  The first is the format; another order or meaning is another format.

    A place that is added at the end has a default: rows of the version before lack it, and that version hands it on.

    Args:
        ended_by: the piece of work that ended the session, or "".  Applied twice, it knows its own.
        roles: of the account, as JSON.
        fixed: what never changes, as JSON.
        remembered: whether the session outlives the browser's window.
    """

    format: int = FORMAT
    account_version: int
    secret_hash: str
    generation: int
    made_at: int
    predecessor: int
    first_at: int
    attempt: str
    displaced: int
    acknowledged: bool
    retried: bool
    healed_in: str
    last_seen_at: int
    idle_expires_at: int
    expires_at: int
    ended_at: int
    ended_reason: str
    ended_by: str
    roles: str
    fixed: str
    remembered: bool = False


class Fixed(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """What never changes after the start.  What nearly every session has stands last, is None and is not written.

    Args:
        client: None for our own.
        authenticated_at: None for ``created_at``.
        methods: None for a password alone.
    """

    id: str
    account: str
    strategy: Strategy
    carrier: Carrier
    created_at: int
    ip: str | None = None
    user_agent: str | None = None
    label: str | None = None
    status_index: int | None = None
    client: str | None = None
    authenticated_at: int | None = None
    methods: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptOwner:
    """What a row says of the account: an ``Owner``.  Right for as long as the session stands under its version."""

    id: str
    roles: tuple[str, ...]
    version: int
    disabled_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A row as it was read.

    Args:
        session: what it says.
        owner: what it says of the account.
        ended_by: the piece of work that ended it, or "".
    """

    session: Session
    owner: KeptOwner
    ended_by: str


_rows = msgspec.msgpack.Decoder(Row)
_fixed = msgspec.json.Decoder(Fixed)
_roles = msgspec.json.Decoder(tuple[str, ...])


def microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND


def instant(number: int) -> datetime:
    return _EPOCH + number * _MICROSECOND


def duration(span: timedelta) -> int:
    return span // _MICROSECOND


def milliseconds(span: timedelta) -> int:
    """For how long a key is kept; upwards, and not less than one."""
    return max(1, -(-span // _MILLISECOND))


def write_roles(roles: tuple[str, ...]) -> str:
    return msgspec.json.encode(roles).decode()


def write_row(session: Session, roles: tuple[str, ...]) -> bytes:
    """The string for a session.

    Raises:
        ValidationFailed: a text in it is none that can be written down.
    """
    try:
        return msgspec.msgpack.encode(_row(session, roles))
    except UnicodeEncodeError as error:
        raise ValidationFailed([FieldError(field="request", message="A text cannot be stored.")]) from error


def _row(session: Session, roles: tuple[str, ...]) -> Row:
    proved_at = session.authenticated_at
    fixed = Fixed(
        id=session.id,
        account=session.account,
        strategy=session.strategy,
        carrier=session.carrier,
        created_at=microseconds(session.created_at),
        ip=session.origin.ip,
        user_agent=session.origin.user_agent,
        label=session.label,
        status_index=session.status_index,
        client=None if session.client == FIRST_PARTY else session.client,
        authenticated_at=None if proved_at == session.created_at else microseconds(proved_at),
        methods=None if session.methods == _BY_PASSWORD else session.methods,
    )
    return Row(
        account_version=session.account_version,
        secret_hash=base64url.encode(session.secret_hash),
        generation=session.generation,
        made_at=microseconds(session.made_at),
        predecessor=number_or_none(session.predecessor),
        first_at=instant_or_none(session.first_at),
        attempt=base64url.encode(session.attempt or b""),
        displaced=number_or_none(session.displaced),
        acknowledged=session.acknowledged,
        retried=session.retried,
        healed_in=session.healed_in or "",
        last_seen_at=microseconds(session.last_seen_at),
        idle_expires_at=microseconds(session.idle_expires_at),
        expires_at=microseconds(session.expires_at),
        ended_at=instant_or_none(session.ended_at),
        ended_reason=session.ended_reason or "",
        ended_by="",
        roles=write_roles(roles),
        fixed=_write_fixed(fixed),
        remembered=session.remembered,
    )


def _write_fixed(fixed: Fixed) -> str:
    values = list(msgspec.structs.astuple(fixed))
    while values[-1] is None:
        del values[-1]
    return msgspec.json.encode(values).decode()


def read_row(key: int, value: bytes) -> Kept:
    """What a string says.

    Args:
        key: the session's, under which it was found.
        value: the string.

    Raises:
        RedisUnavailable: another version of Doorward wrote it, or somebody else.
    """
    try:
        row = _rows.decode(value)
        if row.format != FORMAT:
            raise _unknown(row.format)
        fixed = _fixed.decode(row.fixed)
        return Kept(
            session=_session(key, row, fixed),
            owner=KeptOwner(id=fixed.account, roles=_roles.decode(row.roles), version=row.account_version),
            ended_by=row.ended_by,
        )
    except (msgspec.DecodeError, ValueError) as error:
        raise _unknown(None) from error


def _session(key: int, row: Row, fixed: Fixed) -> Session:
    return Session(
        key=key,
        id=fixed.id,
        account=fixed.account,
        account_version=row.account_version,
        client=FIRST_PARTY if fixed.client is None else fixed.client,
        strategy=fixed.strategy,
        carrier=fixed.carrier,
        secret_hash=base64url.decode(row.secret_hash),
        generation=row.generation,
        made_at=instant(row.made_at),
        predecessor=None if row.predecessor == NONE else row.predecessor,
        first_at=None if row.first_at == NONE else instant(row.first_at),
        attempt=base64url.decode(row.attempt) or None,
        displaced=None if row.displaced == NONE else row.displaced,
        acknowledged=row.acknowledged,
        retried=row.retried,
        healed_in=row.healed_in or None,
        authenticated_at=instant(fixed.created_at if fixed.authenticated_at is None else fixed.authenticated_at),
        created_at=instant(fixed.created_at),
        last_seen_at=instant(row.last_seen_at),
        idle_expires_at=instant(row.idle_expires_at),
        expires_at=instant(row.expires_at),
        ended_at=None if row.ended_at == NONE else instant(row.ended_at),
        ended_reason=EndReason(row.ended_reason) if row.ended_reason else None,
        status_index=fixed.status_index,
        label=fixed.label,
        origin=Origin.stored(ip=fixed.ip, user_agent=fixed.user_agent),
        methods=_BY_PASSWORD if fixed.methods is None else fixed.methods,
        remembered=row.remembered,
    )


def number_or_none(number: int | None) -> int:
    return NONE if number is None else number


def instant_or_none(at: datetime | None) -> int:
    return NONE if at is None else microseconds(at)


def _unknown(found: int | None) -> RedisUnavailable:
    what = "something that is no session" if found is None else f"a session of format {found}"
    return RedisUnavailable(
        detail=f"Redis holds {what}, which this version of Doorward does not know; a newer one may have written it"
    )
