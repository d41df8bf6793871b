"""What tests of the store on Redis share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from doorward.ports import Store
from doorward.secret import Secret
from doorward.sessions.model import Session
from doorward.stores import open_store
from doorward.stores.redis.store import RedisSessionStore
from doorward.testing.store_suite.case import sign_up, start


def a_store(database: str, redis_url: str, *, clock: Any = None, blocking: bool = False) -> RedisSessionStore:
    store = open_store(database, redis_url=redis_url, clock=clock, blocking=blocking)
    assert isinstance(store, RedisSessionStore)
    return store


@asynccontextmanager
async def opened(database: str, redis_url: str, **options: Any) -> AsyncIterator[RedisSessionStore]:
    store = a_store(database, redis_url, **options)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def with_a_session(store: Store, number: int = 1) -> Session:
    await sign_up(store)
    return await start(store, number)


def sqlite_in(folder: Path) -> str:
    return f"sqlite:///{folder}/doorward.db"


def instead(store: RedisSessionStore, script: str, happens: Callable[[], Any]) -> None:
    """Let something happen instead of the first call of a script, as when its connection is lost."""
    call = store._redis.call
    left = [script]

    async def meddled(asked: Any) -> Any:
        if left and asked.script.name == left[0]:
            left.clear()
            return await happens()
        return await call(asked)

    store._redis.call = meddled  # type: ignore[assignment, method-assign]


PASSWORD_HASH = Secret("another hash")
