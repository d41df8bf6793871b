"""``doorward serve`` on PostgreSQL: several servers on one database, and an engine that dies."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from doorward.stores.sql.migrations import HEAD
from tests.postgres import PostgresServer

COMMAND = (sys.executable, "-c", "from doorward.cli import main; main()")
PASSWORD = "a-long-walk-by-the-sea"
SECRET = "one secret for all servers of this deployment"
WITHIN_SECONDS = 60
TABS = 4

Start = Callable[..., Any]


@pytest.fixture
def variables(postgres: PostgresServer) -> dict[str, str]:
    return {
        "DOORWARD_DATABASE": postgres.emptied().replace("doorward@", "doorward:hunter2@"),
        "DOORWARD_SECRET": SECRET,
        "DOORWARD_RATE_LIMITS": "off",
        "DOORWARD_ISSUER": "https://auth.example.com",
    }


def sign_in(server: Any, email: str = "ada@example.com") -> dict[str, Any]:
    who = {"email": email, "password": PASSWORD}
    assert server.call("POST", "/v1/accounts", who)[0] == 201
    status, answer = server.call("POST", "/v1/sessions", {**who, "carrier": "token"})
    assert status == 201
    return dict(answer)


def refresh(server: Any, token: str, *, attempt: str | None = None) -> tuple[int, dict[str, Any], str | None]:
    """Status, answer and when to come back."""
    form = urllib.parse.urlencode({"grant_type": "refresh_token", "refresh_token": token}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    headers |= {"Idempotency-Key": attempt} if attempt is not None else {}
    request = urllib.request.Request(server.address + "/v1/token", data=form, method="POST", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read()), None
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read()), error.headers["Retry-After"]


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WITHIN_SECONDS
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


def run(folder: Path, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_a_shared_database_is_migrated_by_the_command_and_never_by_the_server(
    postgres: PostgresServer, tmp_path: Path, environment: dict[str, str], variables: dict[str, str]
) -> None:
    address = postgres.new_database().replace("doorward@", "doorward:hunter2@")
    given = environment | variables | {"DOORWARD_DATABASE": address}
    refused = run(tmp_path, given, "serve", "--port", "0")
    assert refused.returncode != 0
    assert "doorward migrate" in refused.stderr
    assert run(tmp_path, given, "migrate").stdout == f"Migrated from nothing to revision {HEAD}.\n"
    assert run(tmp_path, given, "migrate").stdout == f"Already at revision {HEAD}.\n"
    listed = run(tmp_path, given, "accounts", "list")
    assert listed.returncode == 0, listed.stderr
    unsecret = {name: value for name, value in given.items() if name != "DOORWARD_SECRET"}
    assert "DW053" in run(tmp_path, unsecret, "serve", "--port", "0").stderr
    assert "hunter2" not in refused.stderr + refused.stdout + listed.stderr


def test_servers_side_by_side_are_one(start_apart: Start, variables: dict[str, str]) -> None:
    with ThreadPoolExecutor() as threads:
        one, other = threads.map(lambda _: start_apart(**variables), range(2))
    assert "hunter2" not in one.banner + other.banner
    assert "PostgreSQL at 127.0.0.1" in one.banner
    signed_in = sign_in(one)
    # Both sign with the same keys, made by whichever came first.
    assert one.call("GET", "/.well-known/jwks.json") == other.call("GET", "/.well-known/jwks.json")
    status, fresh, _ = refresh(other, signed_in["refresh_token"])
    assert status == 200
    for server in (one, other):
        assert server.call("GET", "/v1/sessions/current", bearer=fresh["access_token"])[0] == 200
        assert server.call("GET", "/readyz")[0] == 200
    assert one.call("DELETE", "/v1/sessions/current", bearer=fresh["access_token"])[0] == 204
    # The other learns of it with its next read, a second later at most.
    until(lambda: other.call("GET", "/v1/sessions/current", bearer=fresh["access_token"])[0] == 401)
    assert refresh(other, fresh["refresh_token"])[0] == 400
    assert one.end() == other.end() == 0
    assert "hunter2" not in one.log + other.log
    assert "Traceback" not in one.log + other.log


@dataclass(slots=True, kw_only=True)
class Tab:
    """A client that refreshes until it is told to stop, and repeats what failed with the same key."""

    server: Any
    token: str
    statuses: list[int] = field(default_factory=list)
    turned_away: Event = field(default_factory=Event)
    good_since: int = 0

    def refresh_until(self, stop: Event) -> None:
        attempt = 0
        while not stop.is_set():
            status, answer, retry_after = refresh(self.server, self.token, attempt=f"{attempt}")
            self.statuses.append(status)
            if status == 200:
                attempt, self.token, self.good_since = attempt + 1, answer["refresh_token"], self.good_since + 1
                continue
            assert status == 503, answer
            assert int(str(retry_after)) >= 1
            self.turned_away.set()
            self.good_since = 0
            stop.wait(0.05)


@pytest.fixture
def killed_and_back(postgres: PostgresServer) -> Iterator[Callable[[], None]]:
    """Whatever becomes of the test, the engine runs for those after it."""
    yield postgres.kill
    if postgres.process is None or postgres.process.poll() is not None:
        postgres.start()


def test_an_engine_killed_in_mid_rotation_signs_nobody_out(
    postgres: PostgresServer, killed_and_back: Callable[[], None], start_apart: Start, variables: dict[str, str]
) -> None:
    # Without a grace there is no rest either, so that every presentation rotates.
    server = start_apart(**variables, DOORWARD_REFRESH_GRACE="0")
    signed_in = [sign_in(server, f"ada{number}@example.com") for number in range(TABS)]
    tabs = [Tab(server=server, token=each["refresh_token"]) for each in signed_in]
    stop = Event()
    with ThreadPoolExecutor(TABS) as threads:
        running = [threads.submit(tab.refresh_until, stop) for tab in tabs]
        try:
            until(lambda: all(tab.good_since > 5 for tab in tabs))
            killed_and_back()
            until(
                lambda: all(
                    tab.turned_away.is_set() or future.done() for tab, future in zip(tabs, running, strict=True)
                )
            )
            status, problem = server.call("GET", "/readyz")
            assert (status, problem["dependency"]) == (503, "database")
            assert server.call("GET", "/healthz")[0] == 200
            postgres.start()
            until(lambda: all(tab.good_since > 5 or future.done() for tab, future in zip(tabs, running, strict=True)))
        finally:
            stop.set()
        for future in running:
            future.result()
    assert {status for tab in tabs for status in tab.statuses} == {200, 503}
    until(lambda: server.call("GET", "/readyz")[0] == 200)
    assert postgres.run("SELECT count(*) FROM doorward_session WHERE ended_at IS NULL") == [(TABS,)]
    # One chain each: every generation was made once.
    made = postgres.run(
        "SELECT s.generation, count(*) FROM doorward_session s JOIN doorward_audit_event e ON e.session = s.id"
        " WHERE e.action IN ('refresh.rotated', 'refresh.recovered') GROUP BY s.key"
    )
    assert len(made) == TABS
    assert all(generation == rotations for generation, rotations in made)
    assert "Traceback" not in server.log
    assert server.end() == 0
