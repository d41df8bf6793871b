"""The flow over a real store, as a world that the state machine can play a history in."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest

from doorward.accounts.model import Account, AccountChange
from doorward.audit.model import Actor, AuditEvent, Origin
from doorward.blocking import run_blocking
from doorward.deployment import Deployment
from doorward.doorward import Doorward
from doorward.errors import InvalidGrant, InvalidToken, SessionEnded, StoreUnavailable, TooEarly
from doorward.options import FIRST_PARTY
from doorward.ports import Page, Store
from doorward.revocation.model import Kind, LiveSet, Revocation
from doorward.rotation.flow import refresh
from doorward.rotation.model import Taken
from doorward.secret import Secret
from doorward.sessions.flow import authenticate_token
from doorward.sessions.model import AccountMoved, EndReason, NewSession, Refreshed, Session
from doorward.stores.memory import MemoryStore
from doorward.stores.memory_tables import Tables
from doorward.stores.sql.schema import metadata
from doorward.testing import FakeClock, SeededEntropy
from doorward.tokens.access import read_unverified_access_token
from doorward.wire.refresh_token import RefreshToken, parse_refresh_token, write_refresh_token
from tests.rotation.machine import POLICY
from tests.rotation.reference import name_of_store
from tests.rotation.world import UNKNOWN, Answer, Crash, Interlude, secret_of
from tests.valkey import ValkeyServer

SECRET = "a secret of the deployment, long enough"
ORIGIN = Origin(ip="192.0.2.1", user_agent="Tester/1.0")
ACTOR = Actor(name="tester", origin=ORIGIN)
OTHER = "another-client"

FORGERIES: dict[str, Callable[[str, str], str]] = {
    "of another client": lambda genuine, others: others,
    "the MAC changed": lambda genuine, others: genuine[:-4] + ("AAAA" if genuine[-4:] != "AAAA" else "BBBB"),
    "the generation changed": lambda genuine, others: (
        genuine[:18] + ("A" if genuine[18] != "A" else "B") + genuine[19:]
    ),
    "the MAC of another client": lambda genuine, others: genuine[:48] + others[48:],
    "cut short": lambda genuine, others: genuine[:-1],
    "empty": lambda genuine, others: "",
}
"""How to make, of a genuine token and one of the same session and generation for another client, one that is not."""

_WRITES = {"replace_session", "end_reused", "record"}


class Meddled:
    """A store at which something happens between an operation's look and its write, or which dies around the write."""

    def __init__(self, store: Store, *, crash: Crash | None, interlude: Interlude | None) -> None:
        self._store = store
        self._crash = crash
        self._interlude = interlude

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._store, name)
        if name == "rotate":
            return self._around_rotate(operation)
        return self._around_write(operation) if name in _WRITES else operation

    def _around_rotate(self, operation: Callable[..., Any]) -> Callable[..., Any]:
        async def rotate(*args: Any, **named: Any) -> Any:
            found = await operation(*args, **named)
            if isinstance(found, Taken):
                self._die("after the commit")
            elif self._interlude is not None:
                interlude, self._interlude = self._interlude, None
                interlude()
            return found

        return rotate

    def _around_write(self, operation: Callable[..., Any]) -> Callable[..., Any]:
        async def write(*args: Any, **named: Any) -> Any:
            self._die("before the commit")
            done = await operation(*args, **named)
            if operation.__name__ == "record" or done not in {None, False}:
                self._die("after the commit")
            return done

        return write

    def _die(self, when: Crash) -> None:
        if self._crash == when:
            raise StoreUnavailable(detail=f"died {when}")


class Real:
    """The flow of a deployment over a store."""

    def __init__(
        self,
        name: str,
        database: str,
        account: Account,
        *,
        clock: FakeClock,
        heal: bool,
        redis: str | None = None,
    ) -> None:
        self.name = name
        self._clock = clock
        self._doorward = Doorward(
            database,
            secret=SECRET,
            redis=redis,
            blocking=True,
            clock=clock,
            ticks=clock.ticks,
            entropy=SeededEntropy(),
            heal_lost_writes=heal,
            lost_reply_window=POLICY.window,
            session_idle=POLICY.idle,
            session_idle_remembered=POLICY.idle_remembered,
            rate_limits=False,
            insecure_fast_hashing=True,
        )
        run_blocking(self._doorward.open())
        self._deployment: Deployment = self._doorward.deployment
        self._account_id = account.id
        self._identities: list[str | None] = [self._store.identity]
        self._access: list[Secret] = []
        assert run_blocking(self._store.create_account(account, actor=ACTOR))

    def close(self) -> None:
        run_blocking(self._doorward.close())

    @property
    def _store(self) -> Store:
        return self._deployment.store

    # Presenting

    def start(self, new: NewSession) -> None:
        ending = self._deployment.ending(EndReason.SIGNED_OUT, ACTOR)
        started = run_blocking(self._store.start_session(new, limit=None, replaces=(), ending=ending))
        assert not isinstance(started, AccountMoved)

    def text(self, key: int, generation: int, *, client: str = FIRST_PARTY) -> Secret:
        token = RefreshToken(key=key, generation=generation, secret=secret_of(key))
        return write_refresh_token(token, client=client, keyring=self._deployment.keyring)

    def present(
        self,
        key: int,
        generation: int,
        attempt: str | None,
        *,
        crash: Crash | None = None,
        interlude: Interlude | None = None,
    ) -> Answer:
        store = cast("Store", Meddled(self._store, crash=crash, interlude=interlude))
        deployment = replace(self._deployment, store=store)
        try:
            refreshed = run_blocking(
                refresh(deployment, self.text(key, generation), idempotency_key=attempt, origin=ORIGIN)
            )
        except InvalidGrant as refused:
            return Answer(kind="refused", reason=refused.reason)
        except TooEarly as early:
            return Answer(kind="early", retry_after=early.retry_after)
        except StoreUnavailable:
            return UNKNOWN
        return self._answered(key, refreshed)

    def _answered(self, key: int, refreshed: Refreshed) -> Answer:
        granted = refreshed.credentials
        assert granted.refresh_token is not None
        assert granted.access_token is not None
        token = parse_refresh_token(
            granted.refresh_token.reveal(), client=FIRST_PARTY, keyring=self._deployment.keyring
        )
        assert token is not None
        # The text of a generation is always the same: two tabs that are answered hold one token, not two.
        assert granted.refresh_token.matches(self.text(key, token.generation))
        _, claims = read_unverified_access_token(granted.access_token.text.reveal())
        row = self.row(key)
        assert claims["gen"] == token.generation
        assert (claims["sid"], claims["sub"]) == (row.id, row.account)
        assert claims["iat"] == int(self._clock().timestamp())
        # No lease outlives what it is a lease on.
        assert datetime.fromtimestamp(claims["exp"], UTC) <= refreshed.session.leaves_at
        self._access.append(granted.access_token.text)
        return Answer(
            kind="answered",
            generation=token.generation,
            unchanged=refreshed.unchanged,
            access=len(self._access) - 1,
        )

    def forge(self, key: int, generation: int, how: str) -> None:
        """Present what we did not make for this client: refused without a reason, nothing moves."""
        forged = FORGERIES[how](self.text(key, generation).reveal(), self.text(key, generation, client=OTHER).reveal())
        before = self.content()
        with pytest.raises(InvalidGrant) as refused:
            run_blocking(refresh(self._deployment, Secret(forged), origin=ORIGIN))
        assert refused.value.reason is None
        assert self.content() == before

    # Using

    def use(self, access: int) -> str:
        try:
            run_blocking(authenticate_token(self._deployment, self._access[access]))
        except SessionEnded as over:
            return f"ended: {over.reason}"
        except InvalidToken as refused:
            return refused.detail
        return "honoured"

    # Ending

    def end(self, session_id: str, reason: EndReason) -> None:
        ended = run_blocking(self._store.end_session(session_id, self._deployment.ending(reason, ACTOR)))
        self._learn(ended.revocations if ended is not None else ())

    def end_all(self) -> None:
        ending = self._deployment.ending(EndReason.ADMIN, ACTOR)
        self._learn(run_blocking(self._store.end_sessions(self._account_id, ending)).revocations)

    def disable(self, *, disabled: bool) -> None:
        ending = self._deployment.ending(EndReason.ACCOUNT_DISABLED, ACTOR)
        change = AccountChange(disabled=disabled)
        changed = run_blocking(self._store.change_account(self._account_id, change, ending))
        assert changed is not None
        self._learn(changed.revocations)

    def change_password(self, keep: int | None) -> None:
        ended = run_blocking(
            self._store.change_password(
                self.account(),
                Secret("another hash"),
                keep=self.row(keep) if keep is not None else None,
                new_secret_hash=None,
                ending=self._deployment.ending(EndReason.PASSWORD_CHANGED, ACTOR),
            )
        )
        assert not isinstance(ended, AccountMoved)
        self._learn(ended.revocations)

    def _learn(self, revocations: tuple[Revocation, ...]) -> None:
        self._deployment.live.merge(revocations)

    # Looking

    def read_changes(self) -> None:
        run_blocking(self._doorward.read_changes())
        if self._store.identity not in self._identities:
            self._identities.append(self._store.identity)

    def row(self, key: int) -> Session:
        row = run_blocking(self._store.session(key)).session
        assert row is not None
        # The names of stores are the one thing that differs from world to world: numbered as they were given.
        named = row.healed_in is not None
        return replace(row, healed_in=name_of_store(self._identities.index(row.healed_in)) if named else None)

    def account(self) -> Account:
        account = run_blocking(self._store.account(self._account_id))
        assert account is not None
        return account

    def revoked(self) -> dict[tuple[Kind, str], Revocation]:
        return {(entry.kind, entry.id): entry for entry in self._deployment.live}

    def trail(self) -> list[AuditEvent]:
        """The newest events, the oldest of them first."""
        return list(reversed(run_blocking(self._store.trail(Page(limit=20), account=self._account_id))))

    def events(self) -> list[tuple[str, ...]]:
        return [said for event in self.trail() if (said := _said(event)) is not None]

    def content(self) -> object:
        raise NotImplementedError

    def save(self) -> None:
        raise NotImplementedError

    def restore(self) -> None:
        raise NotImplementedError


def _said(event: AuditEvent) -> tuple[str, ...] | None:
    """An event of rotation in the reference's words."""
    noun, _, verb = event.action.value.partition(".")
    detail = event.detail
    if noun != "refresh":
        return None
    match verb:
        case "rotated":
            return (f"rotated to {detail['generation']}",)
        case "retried":
            return (f"retried: {detail['why']}",)
        case "recovered" | "healed":
            return (f"{verb} to {detail['current']}",)
        case "refused":
            return (f"refused: {detail['cause']}",)
        case _:
            return (verb,)


class InMemory(Real):
    """Over the memory store."""

    def __init__(self, account: Account, *, clock: FakeClock, heal: bool) -> None:
        super().__init__("memory", "memory:", account, clock=clock, heal=heal)
        self.save()

    @property
    def _memory(self) -> MemoryStore:
        store = self._store
        assert isinstance(store, MemoryStore)
        return store

    def content(self) -> object:
        tables = _copied(self._memory._tables)
        return {name: getattr(tables, name) for name in Tables.__slots__} | {"revocations": list(tables.revocations)}

    def save(self) -> None:
        self._saved = _copied(self._memory._tables)

    def restore(self) -> None:
        self._memory._tables = _copied(self._saved)


def _copied(tables: Tables) -> Tables:
    """The tables apart from what happens to them later; what is in them is frozen."""
    # A deep copy would want to copy secrets, which refuse it.
    apart = replace(tables, revocations=LiveSet(tables.revocations))
    for name in Tables.__slots__:
        if isinstance(getattr(tables, name), dict):
            setattr(apart, name, dict(getattr(tables, name)))
    return apart


class InSqlite(Real):
    """Over SQLite."""

    def __init__(
        self,
        account: Account,
        *,
        path: Path,
        clock: FakeClock,
        heal: bool,
        name: str = "sqlite",
        redis: str | None = None,
    ) -> None:
        self._path = path
        self._saved = sqlite3.connect(":memory:")
        super().__init__(name, f"sqlite:///{path}", account, clock=clock, heal=heal, redis=redis)
        self.save()

    def close(self) -> None:
        super().close()
        self._saved.close()

    def content(self) -> object:
        with closing(sqlite3.connect(self._path)) as connection:
            return list(connection.iterdump())

    def save(self) -> None:
        with closing(sqlite3.connect(self._path)) as connection:
            connection.backup(self._saved)

    def restore(self) -> None:
        with closing(sqlite3.connect(self._path)) as connection:
            self._saved.backup(connection)


class InRedis(InSqlite):
    """Sessions in Redis, the rest in SQLite."""

    def __init__(self, account: Account, *, path: Path, server: ValkeyServer, clock: FakeClock, heal: bool) -> None:
        self._server = server
        super().__init__(account, path=path, clock=clock, heal=heal, name="redis", redis=server.emptied())

    def content(self) -> object:
        return super().content(), self._dumped()

    def save(self) -> None:
        super().save()
        self._dump = self._dumped()

    def restore(self) -> None:
        super().restore()
        self._server.say("FLUSHALL")
        for name, value in self._dump.items():
            self._server.say("RESTORE", name, 0, value)

    def _dumped(self) -> dict[str, bytes]:
        return {name: self._server.say("DUMP", name) for name in self._server.keys()}  # noqa: SIM118 -- no mapping


class InPostgres(Real):
    """Over PostgreSQL."""

    def __init__(self, account: Account, *, address: str, clock: FakeClock, heal: bool) -> None:
        self._somebody = psycopg.connect(address, autocommit=True)
        super().__init__("postgres", address, account, clock=clock, heal=heal)
        self.save()

    def close(self) -> None:
        super().close()
        self._somebody.close()

    def content(self) -> object:
        return [sorted(self._read(table).splitlines()) for table in metadata.tables]

    def save(self) -> None:
        self._saved = {table: self._read(table) for table in metadata.tables}

    def restore(self) -> None:
        with self._somebody.transaction():
            self._somebody.execute(f"TRUNCATE {', '.join(metadata.tables)}".encode())
            for table in (each.name for each in metadata.sorted_tables):
                with self._somebody.cursor().copy(f"COPY {table} FROM STDIN".encode()) as copy:
                    copy.write(self._saved[table])

    def _read(self, table: str) -> bytes:
        with self._somebody.cursor().copy(f"COPY {table} TO STDOUT".encode()) as copy:
            return b"".join(bytes(part) for part in copy)
