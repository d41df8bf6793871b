"""That Redis does not answer, as the rest of the house understands it."""

from __future__ import annotations

from doorward.errors import Busy, StoreUnavailable


class RedisUnavailable(StoreUnavailable):
    """Redis does not answer, or not now, or it is not known what it did."""

    dependency = "redis"


class RedisBusy(Busy):
    """All connections to Redis are in use."""

    dependency = "redis"
