"""Those that are refreshed over HTTP, and how: one process each, with a database of its own in one PostgreSQL."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from benchmarks.serving import NODE_PEERS, PEERS, Way, asgi, node, wsgi

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
TOOLKIT_GRACE = Refresher(
    name="django-oauth-toolkit, grace",
    way=_django("toolkit", GRACE="10"),
    exchange=_TOOLKIT,
    packages=TOOLKIT.packages,
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
NOTHING = Refresher(name="nothing done", way=_doorward("nothing"), exchange=_OAUTH)


def installed(refresher: Refresher) -> bool:
    """Whether it can be started here."""
    python = PEERS.exists() or not refresher.packages
    return python and all((NODE_PEERS / "node_modules" / name).exists() for name in refresher.node_packages)


def versions_of(refreshers: Iterable[Refresher]) -> dict[str, str]:
    """Of the peers' packages, as they are installed."""
    there = [each for each in refreshers if installed(each)]
    wanted = list(dict.fromkeys(name for each in there for name in each.packages))
    script = (
        "import json, sys; from importlib.metadata import version; print(json.dumps([*map(version, sys.argv[1:])]))"
    )
    found: dict[str, str] = {}
    if wanted:
        told = subprocess.run([PEERS, "-c", script, *wanted], text=True, capture_output=True, check=True).stdout
        found = {f"{name} (peers)": each for name, each in zip(wanted, json.loads(told), strict=True)}
    for name in dict.fromkeys(name for each in there for name in each.node_packages):
        package = NODE_PEERS / "node_modules" / name / "package.json"
        found[f"{name} (peers)"] = json.loads(package.read_text())["version"]
    return found
