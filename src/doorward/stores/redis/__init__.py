"""Sessions in Redis or Valkey."""

from __future__ import annotations

from typing import TYPE_CHECKING

from doorward.errors import ConfigurationError, Problem
from doorward.ports import Announcements, Clock
from doorward.stores.redis.address import parse_redis
from doorward.stores.sql.runners import Runner

if TYPE_CHECKING:
    from doorward.stores.sql.store import SqlStore


def redis_store(runner: Runner, redis_url: str, *, clock: Clock | None, blocking: bool, announces: bool) -> SqlStore:
    """The store with sessions in Redis and everything else in SQL.

    Args:
        runner: of the database.
        redis_url: as ``parse_redis`` takes it.
        clock: the time of both, instead of their own.
        blocking: whether it is used from synchronous code.
        announces: whether it tells by Redis what is revoked, since the database has no way to do so.

    Raises:
        ConfigurationError: the address cannot be used, or the client is not installed.
    """
    address = parse_redis(redis_url)
    try:
        # Late: it takes most of a second, which whoever has no Redis is spared.
        from doorward.stores.redis.clients import AsyncRedis, BlockingRedis
    except ImportError:
        message, remedy = "Redis needs its client.", "Install it with: pip install 'doorward[redis]'"
        raise ConfigurationError([Problem(id="DW054", message=message, remedy=remedy)]) from None
    from doorward.stores.redis.announcing import Telling
    from doorward.stores.redis.store import RedisSessionStore

    redis = BlockingRedis(address) if blocking else AsyncRedis(address)
    telling = Telling(runner, redis) if announces else runner
    return RedisSessionStore(telling, redis, clock=clock, blocking=blocking)


def redis_announcements(redis_url: str) -> Announcements:
    """Announcements by Redis.  Raises ConfigurationError where the address cannot be used."""
    from doorward.stores.redis.announcing import RedisAnnouncements

    return RedisAnnouncements(parse_redis(redis_url))
