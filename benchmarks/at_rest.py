"""What a session of others' takes at rest.

Each writes one session itself, by its real library and into the tables that it makes; what it wrote is then put in as
often as is wanted, under other keys of the same length.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from uuid import uuid4

import psycopg
import redis

from benchmarks.installed import has_node_peers
from benchmarks.measuring import Measured, tell
from benchmarks.serving import HERE, NODE_PEERS, node_binary

_BATCH = 5_000
_DJANGO = """
INSERT INTO django_session SELECT md5(number::text), session_data, expire_date
FROM django_session, generate_series(2, %(count)s) AS number
"""
# Four sessions to a user, as ours.
_BETTER_AUTH = (
    """
INSERT INTO "user" (id, name, email, "emailVerified", "createdAt", "updatedAt")
SELECT md5((-number)::text), name, number || email, "emailVerified", "createdAt", "updatedAt"
FROM "user", generate_series(0, %(count)s / 4) AS number
""",
    """
INSERT INTO session (id, "expiresAt", token, "createdAt", "updatedAt", "ipAddress", "userAgent", "userId")
SELECT md5(number::text), "expiresAt", md5('token' || number), "createdAt", "updatedAt", '203.0.113.77', "userAgent",
       md5((-number / 4)::text)
FROM session, generate_series(2, %(count)s) AS number
""",
)


def _write_one(*command: str | Path) -> None:
    done = subprocess.run(command, cwd=NODE_PEERS, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stdout + done.stderr


def _by_django(postgres: str, valkey: str) -> None:
    _write_one(sys.executable, HERE / "peers" / "django_at_rest.py", postgres, valkey)


def _by_node(script: str, address: str) -> None:
    _write_one(node_binary(), NODE_PEERS / script, address)


# As often as is wanted


def in_postgres(address: str, statements: Sequence[str], table: str, count: int) -> float:
    """Bytes a session of a table that holds one, once it holds so many; with all its indexes."""
    with psycopg.connect(address, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement, {"count": count})
        connection.execute("VACUUM ANALYZE")
        size = connection.execute("SELECT count(*), pg_total_relation_size(%s) FROM " + table, [table]).fetchone()
    assert size is not None
    assert size[0] == count, size
    return float(size[1] / count)


def in_redis(url: str, count: int) -> float:
    """Bytes a session of a database that holds one, once it holds so many."""
    with redis.Redis.from_url(url) as client:
        (name,) = client.keys("*")
        text, lives_ms = client.get(name), client.pttl(name)
        empty(client)
        before = client.info("memory")["used_memory"]
        for some in _batches(_names(name, count)):
            with client.pipeline(transaction=False) as pipeline:
                for each in some:
                    pipeline.set(each, text, px=lives_ms)
                pipeline.execute()
        assert client.dbsize() == count
        return float((client.info("memory")["used_memory"] - before) / count)


def _names(name: bytes, count: int) -> Iterator[bytes]:
    """As long as one, which ends with what is drawn."""
    for _ in range(count):
        drawn = uuid4().hex[:24].encode()
        yield name[: -len(drawn)] + drawn


def _batches(names: Iterator[bytes]) -> Iterator[list[bytes]]:
    some: list[bytes] = []
    for each in names:
        some.append(each)
        if len(some) == _BATCH:
            yield some
            some = []
    yield some


# All of them


def peers_at_rest(counts: Sequence[int], *, new_database: Callable[[], str], valkey: str) -> list[Measured]:
    """Bytes a session of each peer that is installed, at each count.

    Args:
        counts: of sessions.
        new_database: the address of a PostgreSQL database without a table.
        valkey: the address of a Valkey that may be emptied.
    """
    found: list[Measured] = []

    def tell_of(name: str, engine: str, count: int, size: float) -> None:
        to = f"{engine}, {count:,} sessions"
        found.append(Measured(name=f"{name} on {engine}, {count:,} sessions", rounds=(size,), to=to))

    for count in counts:
        tell(f"Others at rest: {count:,} sessions")
        postgres = new_database()
        with redis.Redis.from_url(valkey) as client:
            empty(client)
        _by_django(postgres, valkey)
        tell_of("Django", "PostgreSQL", count, in_postgres(postgres, [_DJANGO], "django_session", count))
        tell_of("Django", "Redis", count, in_redis(valkey, count))
        if not has_node_peers():
            continue
        with redis.Redis.from_url(valkey) as client:
            empty(client)
        _by_node("express_at_rest.mjs", valkey)
        tell_of("express-session", "Redis", count, in_redis(valkey, count))
        postgres = new_database()
        _by_node("better_auth_at_rest.mjs", postgres)
        tell_of("better-auth", "PostgreSQL", count, in_postgres(postgres, _BETTER_AUTH, "session", count))
    return found


def empty(client: redis.Redis) -> None:
    """Remove everything, and come back once its memory is free: by itself that is done behind one's back."""
    client.execute_command("FLUSHALL", "SYNC")
