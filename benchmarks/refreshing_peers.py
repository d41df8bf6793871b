"""Those that are refreshed over HTTP, and how: one process each, with a database of its own in one PostgreSQL."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from benchmarks.installed import has_node_peers, has_python_peers, versions_in_node, versions_in_python
from benchmarks.serving import HERE, Way, asgi, node, wsgi

JSON, FORM = "application/json", "application/x-www-form-urlencoded"

CLIENT = "client-of-the-benchmark"
"""As ``peers/refreshing_django.py`` has it registered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request that refreshes.  ``{token}`` in body and cookie stands for what is presented.

    Args:
        path: of the address.
        method: of HTTP.
        type: of the body.
        body: of the request.
        member: of the answer's JSON, wherever in it, that holds the next token; empty where it stays as it is.
        cookie: header.
    """

    path: str
    method: str = "POST"
    type: str = JSON
    body: str = ""
    member: str = ""
    cookie: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refresher:
    """Something that refreshes.

    Args:
        name: for people.
        way: the server, given its surroundings.
        exchange: how it is asked.
        packages: of the peers' environment whose versions matter; none where it runs in ours.
        node_packages: of the peers in Node.
    """

    name: str
    way: Callable[[str, Mapping[str, str]], Way]
    exchange: Exchange
    packages: tuple[str, ...] = ()
    node_packages: tuple[str, ...] = ()


def _doorward(way: str, **own: str) -> Callable[[str, Mapping[str, str]], Way]:
    return lambda name, settings: asgi(name, "refreshing", way=way, settings={**settings, **own})


def _django(way: str, **own: str) -> Callable[[str, Mapping[str, str]], Way]:
    return lambda name, settings: wsgi(name, "refreshing_django", way=way, peer=True, settings={**settings, **own})


_OAUTH = Exchange(
    path="/v1/token", type=FORM, body="grant_type=refresh_token&refresh_token={token}", member="refresh_token"
)
_TOOLKIT = Exchange(
    path="/o/token/",
    type=FORM,
    body=f"grant_type=refresh_token&client_id={CLIENT}&refresh_token={{token}}",
    member="refresh_token",
)

SIMPLEJWT = Refresher(
    name="simplejwt",
    way=_django("simplejwt"),
    exchange=Exchange(path="/token/refresh", body='{"refresh": "{token}"}', member="refresh"),
    packages=("djangorestframework-simplejwt", "django", "djangorestframework"),
)
TOOLKIT = Refresher(
    name="django-oauth-toolkit",
    way=_django("toolkit"),
    exchange=_TOOLKIT,
    packages=("django-oauth-toolkit", "oauthlib", "django"),
)
FLASK_SECURITY = Refresher(
    name="Flask-Security",
    way=lambda name, settings: wsgi(name, "refreshing_flask_security", peer=True, settings=settings),
    exchange=Exchange(path="/refresh-token", body='{"refresh_token": "{token}"}', member="refresh_token"),
    packages=("flask-security", "flask"),
)
BETTER_AUTH = Refresher(
    name="better-auth",
    way=lambda name, settings: node(name, "rotating_better_auth.mjs", settings=settings),
    exchange=Exchange(path="/api/auth/get-session", method="GET", cookie="{token}"),
    node_packages=("better-auth", "pg"),
)
FASTAPI_USERS = Refresher(
    name="fastapi-users",
    way=lambda name, settings: asgi(name, "refreshing_fastapi_users", peer=True, settings=settings),
    exchange=Exchange(path=""),
    packages=("fastapi-users",),
)
DOORWARD = Refresher(name="Doorward", way=_doorward("doorward"), exchange=_OAUTH)
DOORWARD_EACH_TIME = Refresher(name="Doorward", way=_doorward("doorward", GRACE="0"), exchange=_OAUTH)
SERVED_EACH_TIME = Refresher(
    name="doorward serve",
    way=lambda name, settings: Way(
        name=name,
        command=(sys.executable, str(HERE / "applications" / "refreshing_server.py")),
        settings={**settings, "GRACE": "0"},
        ready="/healthz",
    ),
    exchange=_OAUTH,
)
NOTHING = Refresher(name="nothing done", way=_doorward("nothing"), exchange=_OAUTH)


def installed(refresher: Refresher) -> bool:
    """Whether it can be started here."""
    python = has_python_peers() or not refresher.packages
    return python and (has_node_peers() or not refresher.node_packages)


def versions_of(refreshers: Iterable[Refresher]) -> dict[str, str]:
    """Of the peers' packages, as they are installed."""
    there = [each for each in refreshers if installed(each)]
    python = dict.fromkeys(name for each in there for name in each.packages)
    node_packages = dict.fromkeys(name for each in there for name in each.node_packages)
    return versions_in_python(*python) | (versions_in_node(*node_packages) if node_packages else {})
