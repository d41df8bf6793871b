"""A cache in Memcached before the look-ups of a SQL store (docs/guides/stores.md).

Kept are sessions that a handle carries: what a cookie's request looks up.  What refresh tokens rotate is always asked
of the database.  An entry is answered only while all of this holds, else the database is asked:

- it was made by a holder of the deployment's secret, for this session: whoever can write to Memcached makes no session;
- what this process knows of revocations is fresh, and names neither the session nor a newer version of its account;
- it is younger than ``MOST_AGE``, which is less than revocations live: an entry that is stale for whatever reason is
  refused by the revocation first and by its age afterwards;
- the session stands, and its use has not to be written: so ``last_seen_at`` moves as it does without a cache.

So correctness never depends on what reaches Memcached.  That sessions end *at once* on all servers does: after the
commit of whatever revokes them, something takes their place that is no session (they are buried).  Whoever reads a row
puts it only where everything still stands as it was before he read (``add``, ``cas``): late, he comes to nothing.

Synchronous hosts and the command line do not watch what others revoke, and keep away from the cache altogether: what
they end is refused elsewhere with the next read of the revocations.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from dataclasses import fields as fields_of
from datetime import datetime, timedelta
from hashlib import sha256
from types import GenericAlias
from typing import Any, TypeVar, get_type_hints

import msgspec
from sqlalchemy import or_, select

from doorward.accounts.model import AccountChanged, Owner
from doorward.ports import Knowledge
from doorward.revocation.model import Kind, Revocation
from doorward.sessions.model import Ended, Session, Sighting, Started
from doorward.sessions.rules import decide_idle_limit, decide_standing, is_sighting_due
from doorward.stores.memcached_connection import MOST_BYTES, Place
from doorward.stores.memcached_servers import Servers
from doorward.stores.sql import schema
from doorward.stores.sql.rotation import Rotate
from doorward.stores.sql.runners import Runner, Statement
from doorward.stores.sql.sessions import Start
from doorward.stores.sql.store import SqlStore
from doorward.stores.sql.transaction import Transaction

MOST_AGE = timedelta(minutes=5)
"""How old an entry may be: less than the shortest time that revocations live, 15 minutes."""

BURIED_FOR = MOST_AGE + timedelta(minutes=1)
"""How long it stays buried unless it is looked up: whatever was read before is too old by then."""

MOST_BURIED = 1_000
"""How many sessions one change buries; the others end everywhere with the next read of the revocations."""

COMPLAIN_EVERY = timedelta(minutes=1)

_BURIED = b"-"
_MAC_BYTES = 32
_session = schema.session

_log = logging.getLogger(__name__)

T = TypeVar("T")


class CachedSqlStore(SqlStore):
    """Everything in one database, and what cookies' requests look up also in Memcached.

    Args:
        runner: decides in which thread and transaction statements run.
        servers: of Memcached.
        knowledge: what this process knows of revocations, or None before the deployment is open.
    """

    def __init__(self, runner: Runner, servers: Servers, knowledge: Callable[[], Knowledge | None]) -> None:
        super().__init__(_Burying(runner, self._bury))
        self._servers = servers
        self._knowledge = knowledge
        self._noted: tuple[float, datetime] | None = None
        self._quiet_until = float("-inf")

    async def open(self) -> None:
        await super().open()
        await self._servers.open()

    async def close(self) -> None:
        await self._servers.close()
        await super().close()

    async def session(self, key: int) -> Sighting:
        knowledge = self._knowledge()
        if knowledge is None or not knowledge.is_fresh:
            return await super().session(key)
        name = self._name(knowledge, key)
        place = await self._servers.look(name)
        known = self._trusted(knowledge, name, place)
        if known is not None:
            return known
        asked_at = knowledge.ticks()
        seen = await super().session(key)
        self._noted = asked_at, seen.at
        if place is not None and _is_worth_keeping(seen, knowledge):
            value = write_entry(seen, name, key=knowledge.keyring.cache_key)
            if len(value) <= MOST_BYTES:
                self._servers.fill(name, value, seen=place, keep_for=MOST_AGE)
        return seen

    # What is kept

    def _trusted(self, knowledge: Knowledge, name: bytes, place: Place | None) -> Sighting | None:
        """What an entry says, if it may be answered."""
        if place is None or place.value is None or place.value == _BURIED or not knowledge.is_fresh:
            return None
        entry = read_entry(place.value, name, key=knowledge.keyring.cache_key)
        if entry is None:
            self._complain(knowledge)
            return None
        now = self._now(knowledge)
        if now is None or not -knowledge.options.clock_skew <= now - entry.at <= MOST_AGE:
            return None
        return _standing(entry, knowledge, now=now)

    def _now(self, knowledge: Knowledge) -> datetime | None:
        """The store's time, rather late than early: what the last look-up said, and what passed since it began.

        Neither this machine's clock nor anybody who sets it is believed.
        """
        if self._noted is None:
            return None
        asked_at, at = self._noted
        return at + timedelta(seconds=max(knowledge.ticks() - asked_at, 0.0))

    def _complain(self, knowledge: Knowledge) -> None:
        ticks = knowledge.ticks()
        if ticks >= self._quiet_until:
            self._quiet_until = ticks + COMPLAIN_EVERY.total_seconds()
            _log.warning("what is kept in Memcached was not made by this deployment; it is not used. Who writes there?")

    async def _bury(self, keys: Sequence[int]) -> None:
        knowledge = self._knowledge()
        if knowledge is not None and keys:
            names = [self._name(knowledge, key) for key in keys]
            await self._servers.put(names, _BURIED, keep_for=BURIED_FOR)

    def _name(self, knowledge: Knowledge, key: int) -> bytes:
        """Under which name a session is kept: other for each database, each secret and each shape of an entry."""
        # A revoked key may mean that everybody's sessions have ended: what was kept before has another name.
        revoked = " ".join(sorted(knowledge.live.keys))
        about = f"name {_SHAPE} {self.identity} {key} {revoked}"
        return b"doorward:" + hmac.digest(knowledge.keyring.cache_key, about.encode(), sha256)[:16].hex().encode()


def _is_cached(session: Session) -> bool:
    return session.strategy == "session"


def _is_worth_keeping(seen: Sighting, knowledge: Knowledge) -> bool:
    if seen.session is None or seen.account is None or not _is_cached(seen.session):
        return False
    # Where the use is written next, the row will soon be another.
    return (
        not _is_due(seen.session, knowledge, now=seen.at)
        and decide_standing(seen.session, seen.account, now=seen.at) is None
    )


def _is_due(session: Session, knowledge: Knowledge, *, now: datetime) -> bool:
    options = knowledge.options
    idle = decide_idle_limit(session, idle=options.session_idle, idle_remembered=options.session_idle_remembered)
    return is_sighting_due(session, now=now, idle=idle)


def _standing(entry: Entry, knowledge: Knowledge, *, now: datetime) -> Sighting | None:
    """The session of an entry, unless it has been revoked, is over or is to be touched: then the database is asked."""
    session, owner = entry.session, entry.owner
    if session.id in knowledge.live.sessions or owner.version < knowledge.live.accounts.get(owner.id, 0):
        return None
    if decide_standing(session, owner, now=now) is not None:
        return None
    if _is_due(session, knowledge, now=now):
        return None
    return Sighting(session=session, account=owner, at=now)


# Entries


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptOwner:
    """What an entry says of the account: an ``Owner``, without address and password."""

    id: str
    roles: tuple[str, ...]
    version: int
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What stands in Memcached under a session's name.

    Args:
        at: when it was read, by the store's clock.
        session: the row.
        owner: whose it is.
    """

    at: datetime
    session: Session
    owner: Owner


_SESSION_FIELDS = tuple(field.name for field in fields_of(Session))
_OWNER_FIELDS = tuple(field.name for field in fields_of(KeptOwner))


def _values(model: type, names: Sequence[str]) -> GenericAlias:
    """The type of a model's values without their names, which is half as long."""
    hints = get_type_hints(model)
    return GenericAlias(tuple, tuple(hints[name] for name in names))


_WRITTEN = GenericAlias(tuple, (datetime, _values(Session, _SESSION_FIELDS), _values(KeptOwner, _OWNER_FIELDS)))
_decoder = msgspec.msgpack.Decoder(_WRITTEN)
_SHAPE = sha256(repr(_WRITTEN).encode()).hexdigest()[:8]
"""Told apart: two versions of Doorward whose entries have other fields do not read each other's."""


def write_entry(seen: Sighting, name: bytes, *, key: bytes) -> bytes:
    """An entry for a session that was found: 32 bytes of HMAC-SHA-256 over its name and what follows, then MessagePack.

    Args:
        seen: with a session and its account.
        name: under which it will stand.
        key: of the deployment.
    """
    session = [getattr(seen.session, field) for field in _SESSION_FIELDS]
    owner = [getattr(seen.account, field) for field in _OWNER_FIELDS]
    written = msgspec.msgpack.encode((seen.at, session, owner))
    return _mac(name, written, key) + written


def read_entry(value: bytes, name: bytes, *, key: bytes) -> Entry | None:
    """What an entry says, or None where none of this deployment's was put under this name."""
    mac, written = value[:_MAC_BYTES], value[_MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(name, written, key)):
        return None
    try:
        at, session, owner = _decoder.decode(written)
    except msgspec.DecodeError:
        return None
    return Entry(
        at=at,
        session=Session(**dict(zip(_SESSION_FIELDS, session, strict=True))),
        owner=KeptOwner(**dict(zip(_OWNER_FIELDS, owner, strict=True))),
    )


def _mac(name: bytes, written: bytes, key: bytes) -> bytes:
    return hmac.digest(key, b"entry " + name + b" " + written, sha256)


# Burying


class _Burying:
    """A runner after whose writes the sessions that were revoked are buried."""

    def __init__(self, runner: Runner, bury: Callable[[Sequence[int]], Any]) -> None:
        self._runner = runner
        self._bury = bury
        self.open, self.close, self.ping = runner.open, runner.close, runner.ping

    async def look_up(self, statement: Statement[T]) -> T:
        return await self._runner.look_up(statement)

    async def read(self, statement: Statement[T]) -> T:
        return await self._runner.read(statement)

    async def write(self, statement: Statement[T]) -> T:
        if _revokes_nothing(statement):
            # It has a quicker way of its own.
            return await self._runner.write(statement)

        def write(tx: Transaction) -> tuple[T, Sequence[int]]:
            result = statement(tx)
            # By a name of its own: narrowed, it would not be a ``T`` any more.
            outcome: object = result
            if isinstance(outcome, Ended | Started | AccountChanged):
                return result, _keys_of(tx, outcome.revocations)
            return result, ()

        # After the commit: whoever reads before it would find the session, and put it there again.
        result, keys = await self._runner.write(write)
        await self._bury(keys)
        return result


def _revokes_nothing(statement: object) -> bool:
    return isinstance(statement, Rotate) or (isinstance(statement, Start) and statement.ends_nothing)


def _revoked_by(result: object) -> Sequence[Revocation]:
    match result:
        case Ended() | Started() | AccountChanged():
            return result.revocations
        case _:
            return ()


def _keys_of(tx: Transaction, entries: Sequence[Revocation]) -> Sequence[int]:
    """The keys of the sessions that a transaction revokes, those last used first."""
    named = [entry.id for entry in entries if entry.kind is Kind.SESSION][:MOST_BURIED]
    owners = [entry.id for entry in entries if entry.kind is Kind.ACCOUNT]
    if not named and not owners:
        return ()
    # Of an account those that go on, too: their roles are others.
    touched = _session.c.account.in_(owners) & or_(_session.c.ended_at.is_(None), _session.c.ended_at >= tx.now)
    statement = (
        select(_session.c.key)
        .where(_session.c.strategy == "session", _session.c.expires_at > tx.now, _session.c.id.in_(named) | touched)
        .order_by(_session.c.last_seen_at.desc())
        .limit(MOST_BURIED)
    )
    return tx.connection.execute(statement).scalars().all()
