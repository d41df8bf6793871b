"""Sessions in Redis: what is done to one of them, or to all of an account, without a thought for the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from doorward.ports import Clock
from doorward.rotation.model import Presentation, RefreshPolicy
from doorward.sessions.model import NewSession, Session
from doorward.stores.redis import scripts
from doorward.stores.redis.port import Argument, Call, Redis
from doorward.stores.redis.row import (
    KEPT_LONGER,
    Kept,
    duration,
    instant,
    instant_or_none,
    microseconds,
    milliseconds,
    number_or_none,
    read_row,
    write_roles,
    write_row,
)
from doorward.stores.redis.scripts import Script
from doorward.stores.redis.unavailable import RedisUnavailable
from doorward.stores.sql.session_work import Done, Noted, Seen
from doorward.wire import base64url

STARTS_WITHIN = timedelta(minutes=1)
"""How long a session may be starting; if it is not started by then, nothing of it is left."""

HEALED_EVERY = 32
"""How many sessions join an account until it is looked which of them are gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a script has answered.

    Args:
        took: whether it did what it was called for.
        row: as it is now, or None where there is none.
        at: when, by the server's clock.
    """

    took: bool
    row: Kept | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A session of an account, as its index says.

    Args:
        key: of the session.
        order: in which they joined; the newest is the highest.
        settled: whether it has started; else it is about to.
    """

    key: int
    order: int
    settled: bool


class RedisSessions:
    """Rows, pointers and indices.

    Args:
        redis: where.
        clock: instead of the server's own.
    """

    def __init__(self, redis: Redis, clock: Clock | None) -> None:
        self._redis = redis
        self._clock = clock

    # Reading

    async def row(self, key: int) -> Found:
        value, now = await self._redis.look(row_name(key))
        return Found(took=False, row=_read(key, value), at=self._at(now))

    async def rows(self, keys: Sequence[int]) -> Sequence[Kept | None]:
        values = await self._redis.look_each([row_name(key) for key in keys])
        return [_read(key, value) for key, value in zip(keys, values, strict=True)]

    async def key_of(self, session_id: str) -> tuple[int | None, datetime]:
        """The key of the session with this public id, or None, and the time."""
        value, now = await self._redis.look(pointer_name(session_id))
        return None if value is None else int(value, 16), self._at(now)

    async def live_among(self, session_ids: Sequence[str]) -> Sequence[int]:
        """The keys of those, named by their public ids, that nobody has ended in Redis."""
        pointers = await self._redis.look_each([pointer_name(each) for each in session_ids])
        keys = [int(value, 16) for value in pointers if value is not None]
        rows = zip(keys, await self.rows(keys), strict=True)
        return [key for key, row in rows if row is not None and row.session.ended_at is None]

    async def of_account(self, account_id: str) -> tuple[datetime, Sequence[tuple[Member, Kept]]]:
        """The time and the sessions of an account that are there; forgets those that are not."""
        now, found = await self._call(scripts.MEMBERS, index_name(account_id))
        members = [_member(name, score) for name, score in zip(found[::2], found[1::2], strict=True)]
        rows = await self.rows([member.key for member in members])
        gone = [hex_of(member.key) for member, row in zip(members, rows, strict=True) if row is None]
        if gone:
            await self._call(scripts.HEAL, index_name(account_id), duration(STARTS_WITHIN), *gone)
        return self._at(now), [(member, row) for member, row in zip(members, rows, strict=True) if row is not None]

    # Starting

    async def join(self, new: NewSession) -> datetime:
        """Let the account know of a session that is about to start.  Returns the time.

        First of all: whoever ends all of them afterwards does not miss it.
        """
        name = index_name(new.account)
        now, count = await self._call(scripts.JOIN, name, hex_of(new.key), milliseconds(new.absolute))
        if count % HEALED_EVERY == 0:
            await self.of_account(new.account)
        return self._at(now)

    async def put(self, session: Session, roles: tuple[str, ...]) -> None:
        """Put the row and the pointer for as long as the session may be starting."""
        soon, value = milliseconds(STARTS_WITHIN), write_row(session, roles)
        put = await self._redis.call_each(
            [
                self._for(scripts.PUT, row_name(session.key), value, soon),
                self._for(scripts.PUT, pointer_name(session.id), hex_of(session.key), soon),
            ]
        )
        if put != [1, 1]:
            raise RedisUnavailable(detail="a key or an id of a session was drawn twice")

    async def settle(self, session: Session, *, at: datetime) -> None:
        """Let a session that has started live for its time."""
        settled = await self._redis.call_each(
            [
                self._for(scripts.KEEP, row_name(session.key), milliseconds(session.leaves_at - at + KEPT_LONGER)),
                self._pointing(session, at=at),
                self._for(scripts.SETTLE, index_name(session.account), hex_of(session.key)),
            ]
        )
        if 0 in settled:
            raise RedisUnavailable(detail="a session took too long to start; it is not there any more")

    async def remove(self, session: Session) -> None:
        """Take away what was put for a session that did not start."""
        await self._redis.call_each(
            [
                self._for(scripts.REMOVE, row_name(session.key)),
                self._for(scripts.REMOVE, pointer_name(session.id)),
                self._for(scripts.LEAVE, index_name(session.account), hex_of(session.key)),
            ]
        )

    # Rotation

    async def rotate(self, presented: Presentation, policy: RefreshPolicy) -> Found:
        return await self._change(
            scripts.ROTATE,
            presented.key,
            base64url.encode(presented.secret_hash),
            presented.generation,
            base64url.encode(presented.attempt or b""),
            duration(policy.rest),
            duration(policy.idle),
            duration(policy.idle_remembered),
        )

    async def replace(self, seen: Session, to: Session, *, until: datetime | None) -> Found:
        return await self._change(
            scripts.REPLACE,
            seen.key,
            "" if until is None else microseconds(until),
            *_as_seen(seen_of(seen)),
            instant_or_none(seen.first_at),
            to.generation,
            microseconds(to.made_at),
            number_or_none(to.predecessor),
            instant_or_none(to.first_at),
            base64url.encode(to.attempt or b""),
            number_or_none(to.displaced),
            int(to.acknowledged),
            int(to.retried),
            to.healed_in or "",
            microseconds(to.last_seen_at),
            microseconds(to.idle_expires_at),
        )

    async def acknowledge(self, key: int, generation: int) -> None:
        await self._change(scripts.ACKNOWLEDGE, key, generation)

    async def touch(self, key: int, *, idle: timedelta) -> None:
        await self._change(scripts.TOUCH, key, duration(idle))

    # Works

    async def apply(self, noted: Noted) -> Done:
        """Do what a work says; once more does no harm."""
        work = noted.work
        rows: list[tuple[int, Kept | None]]
        if work.keys is not None:
            rows = [(key, None) for key in work.keys]
        else:
            _, there = await self.of_account(work.account)
            rows = [(row.session.key, row) for _, row in there]
        carried = [key for key, row in rows if _is_carried(noted, key, row)]
        ending = [key for key, _ in rows if key not in {*carried, work.spared}]
        gone_on = await self._redis.call_each([self._carrying(noted, key) for key in carried])
        ended = await self._redis.call_each([self._ending(noted, key) for key in ending])
        moved = [self._found(key, answer) for key, answer in zip(carried, gone_on, strict=True)]
        over = [self._found(key, answer) for key, answer in zip(ending, ended, strict=True)]
        has_new_handle = work.carried is not None and work.carried.secret_hash is not None
        return Done(
            ended=tuple(found.row.session for found in over if found.took and found.row is not None),
            moved=next((found.row.session for found in moved if has_new_handle and found.took and found.row), None),
        )

    async def end_below(self, versions: Sequence[tuple[str, int]], *, reason: str, work: str) -> Sequence[Session]:
        """End the sessions of accounts that stand under an earlier version than these.  Returns those that ended."""
        named = [self._for(scripts.MEMBERS, index_name(account_id)) for account_id, _ in versions]
        there = await self._redis.call_each(named)
        keys = [
            (int(name, 16), version)
            for (_, version), (_, found) in zip(versions, there, strict=True)
            for name in found[::2]
        ]
        ends = [self._for(scripts.END, row_name(key), reason, work, version) for key, version in keys]
        answers = await self._redis.call_each(ends)
        over = [self._found(key, answer) for (key, _), answer in zip(keys, answers, strict=True)]
        return [found.row.session for found in over if found.took and found.row is not None]

    def _carrying(self, noted: Noted, key: int) -> Call:
        carried = noted.work.carried
        if carried is None:
            raise AssertionError("a work that carries nothing has carried something")
        return self._for(
            scripts.CARRY,
            row_name(key),
            carried.from_version,
            carried.to_version,
            "" if carried.roles is None else write_roles(carried.roles),
            carried.secret_hash or "",
        )

    def _ending(self, noted: Noted, key: int) -> Call:
        work = noted.work
        if work.seen is not None:
            return self._for(scripts.END_AS_SEEN, row_name(key), work.reason, noted.id, *_as_seen(work.seen))
        return self._for(scripts.END, row_name(key), work.reason, noted.id, "" if work.below is None else work.below)

    # Calling

    async def _change(self, script: Script, key: int, *arguments: Argument) -> Found:
        found = self._found(key, await self._call(script, row_name(key), *arguments))
        if found.took and found.row is not None:
            # The row lives longer by having been used, and so does what leads to it; lost by its node, it is back.
            session = found.row.session
            await self._redis.call_each([self._pointing(session, at=found.at), self._belonging(session, at=found.at)])
        return found

    def _pointing(self, session: Session, *, at: datetime) -> Call:
        """Longer than the row, so that one that is not carried out leaves no row without a pointer."""
        left = session.leaves_at - at
        keep = min(2 * left, max(session.expires_at - at, left))
        name, value = pointer_name(session.id), hex_of(session.key)
        return self._for(scripts.POINT, name, value, milliseconds(keep + KEPT_LONGER))

    def _belonging(self, session: Session, *, at: datetime) -> Call:
        order, keep = microseconds(session.created_at), milliseconds(session.expires_at - at)
        return self._for(scripts.BELONG, index_name(session.account), hex_of(session.key), order, keep)

    async def _call(self, script: Script, name: str, *arguments: Argument) -> Any:
        return await self._redis.call(self._for(script, name, *arguments))

    def _for(self, script: Script, name: str, *arguments: Argument) -> Call:
        return Call(script, name, ("" if self._clock is None else microseconds(self._clock()), *arguments))

    def _found(self, key: int, answer: Any) -> Found:
        took, value, now = answer
        return Found(took=took == 1, row=_read(key, value), at=self._at(now))

    def _at(self, now: int) -> datetime:
        return instant(now) if self._clock is None else self._clock()


# Names


def hex_of(key: int) -> str:
    return f"{key:016x}"


def row_name(key: int) -> str:
    return f"doorward:session:{hex_of(key)}"


def pointer_name(session_id: str) -> str:
    return f"doorward:id:{session_id}"


def index_name(account_id: str) -> str:
    return f"doorward:account:{account_id}"


def seen_of(session: Session) -> Seen:
    """What must not have changed since a row was judged; the secret moves when the password is changed."""
    return Seen(
        secret_hash=base64url.encode(session.secret_hash),
        generation=session.generation,
        made_at=microseconds(session.made_at),
        acknowledged=session.acknowledged,
        retried=session.retried,
    )


def _as_seen(seen: Seen) -> tuple[Argument, ...]:
    return seen.secret_hash, seen.generation, seen.made_at, int(seen.acknowledged), int(seen.retried)


def _is_carried(noted: Noted, key: int, row: Kept | None) -> bool:
    work = noted.work
    if work.carried is None:
        return False
    if work.spared is not None:
        return key == work.spared
    # What one token alone carries has nothing but that token, and it is revoked.
    return row is not None and row.session.strategy != "jwt"


def _read(key: int, value: bytes | None) -> Kept | None:
    return None if not value else read_row(key, value)


def _member(name: bytes, score: bytes) -> Member:
    order = int(float(score))
    return Member(key=int(name, 16), order=abs(order), settled=order > 0)
