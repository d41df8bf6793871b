"""The small application in each framework, in each way that is measured over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.serving import Way, asgi, node, wsgi

STRATEGIES = ("session", "jwt", "hybrid")
CALLERS = 256
"""Sessions that are asked with in turns where each is looked up: with one alone, a statement would be for one row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Framework:
    """Ways to authenticate under one framework, the first of them without."""

    name: str
    ways: Sequence[Way]


def _framework(name: str, server: Callable[..., Way], module: str, *peers: Way) -> Framework:
    doorward = [server(f"Doorward, {strategy}", module, way=strategy) for strategy in STRATEGIES]
    return Framework(name=name, ways=(server("no authentication", module, way="none"), *doorward, *peers))


BARE = _framework("Bare ASGI", asgi, "bare", asgi("a token that is not read", "bare", way="unread"))
STARLETTE = _framework("Starlette", asgi, "on_starlette")
FASTAPI = _framework(
    "FastAPI",
    asgi,
    "on_fastapi",
    asgi("a dependency that does nothing", "on_fastapi", way="dependency"),
    asgi("PyJWT by hand", "pyjwt_by_hand", peer=True),
    asgi("fastapi-users, JWT", "with_fastapi_users", way="jwt", peer=True),
    asgi("fastapi-users, database", "with_fastapi_users", way="database", peer=True),
)
LITESTAR = _framework(
    "Litestar", asgi, "on_litestar", asgi("a dependency that does nothing", "on_litestar", way="dependency")
)
FLASK = _framework("Flask", wsgi, "on_flask", wsgi("Flask-JWT-Extended", "with_flask_jwt_extended", peer=True))
DJANGO = _framework(
    "Django",
    wsgi,
    "on_django",
    wsgi("Django's sessions", "with_django", way="sessions", peer=True),
    wsgi("simplejwt", "with_django", way="simplejwt", peer=True),
)
FRAMEWORKS = (BARE, STARLETTE, FASTAPI, LITESTAR, FLASK, DJANGO)


def express(*, redis: str, database: str, cached_database: str) -> Framework:
    """Express in Node.

    Args:
        redis: the address of a Redis for express-session.
        database: of an empty PostgreSQL for better-auth.
        cached_database: of another one, for better-auth with its cookie cache.
    """
    return Framework(
        name="Express, in Node",
        ways=(
            node("no authentication", "express_session.mjs", way="none"),
            node("express-session on Redis", "express_session.mjs", way="redis", settings={"REDIS_URL": redis}),
            _better_auth("better-auth on PostgreSQL", database, way="database"),
            _better_auth("better-auth, cookie cache", cached_database, way="cookie cache"),
        ),
    )


def _better_auth(name: str, database: str, *, way: str) -> Way:
    return node(name, "better_auth.mjs", way=way, settings={"DATABASE_URL": database})


def behind_stores(*, postgres: str, redis: str, memcached: str | None, callers: int = CALLERS) -> Framework:
    """Doorward where no session is remembered in the process, so that each request looks one up.

    Args:
        postgres: the address of a PostgreSQL with Doorward's tables.
        redis: of a Redis that keeps nothing yet.
        memcached: likewise of a Memcached, or None where it is not installed.
        callers: so many sessions.
    """
    places: dict[str, dict[str, str]] = {
        "Doorward on SQLite": {},
        "Doorward on PostgreSQL": {"DATABASE": postgres},
        "Doorward on Redis": {"REDIS": redis},
    }
    if memcached is not None:
        places["Doorward, Memcached"] = {"MEMCACHED": memcached}
    shared = {"SESSIONS": str(callers), "FORGETTING": "yes"}
    return Framework(
        name="Behind a store",
        ways=(
            asgi("no authentication", "bare", way="none"),
            *(asgi(name, "bare", way="session", settings=shared | place) for name, place in places.items()),
            asgi("asyncpg on PostgreSQL", "by_asyncpg", way="session", settings={**shared, "DATABASE": postgres}),
        ),
    )
