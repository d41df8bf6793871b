"""``doorward serve`` with sessions in Redis: several servers are one, beside SQLite and beside PostgreSQL."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.valkey import ValkeyServer, a_valkey, missing

COMMAND = (sys.executable, "-c", "from doorward.cli import main; main()")
PASSWORD = "a-long-walk-by-the-sea"
WITHIN_SECONDS = 60

Start = Callable[..., Any]


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyServer]:
    """With a password, as it should have; of this module alone, since it is stopped."""
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    with a_valkey() as server:
        yield server


def let_ada_in(valkey: ValkeyServer) -> None:
    valkey.say("ACL", "SETUSER", "ada", "reset", "on", ">swordfish-9", "allkeys", "allchannels", "allcommands")


@pytest.fixture
def redis_url(valkey: ValkeyServer) -> Iterator[str]:
    valkey.emptied()
    let_ada_in(valkey)
    yield valkey.url.replace("redis://", "redis://ada:swordfish-9@")
    valkey.say("ACL", "DELUSER", "ada")


@contextlib.contextmanager
def gone(valkey: ValkeyServer) -> Iterator[None]:
    """Not there: whoever calls is turned away at once.  It comes back with what it had."""
    valkey.say("SAVE")
    valkey.kill()
    try:
        yield
    finally:
        valkey.start()
        let_ada_in(valkey)


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/shared.db"
    return str(request.getfixturevalue("postgres").emptied())


@pytest.fixture
def variables(database: str, redis_url: str) -> dict[str, str]:
    return {
        "DOORWARD_DATABASE": database,
        "DOORWARD_REDIS_URL": redis_url,
        "DOORWARD_SECRET": "one secret for all servers of this deployment",
        "DOORWARD_RATE_LIMITS": "off",
        "DOORWARD_ISSUER": "https://auth.example.com",
    }


def refresh(server: Any, token: str) -> tuple[int, dict[str, Any], str | None]:
    """Status, answer and when to come back."""
    form = urllib.parse.urlencode({"grant_type": "refresh_token", "refresh_token": token}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
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


def sign_up(server: Any, email: str = "ada@example.com") -> None:
    assert server.call("POST", "/v1/accounts", {"email": email, "password": PASSWORD})[0] == 201


def sign_in(server: Any, email: str = "ada@example.com") -> dict[str, Any]:
    status, answer = server.call("POST", "/v1/sessions", {"email": email, "password": PASSWORD, "carrier": "token"})
    assert status == 201
    return dict(answer)


@pytest.mark.parametrize(
    ("database", "away"),
    [("sqlite", ValkeyServer.paused), ("postgresql", gone)],
    indirect=["database"],
    ids=["sqlite, Redis paused", "postgresql, Redis gone"],
)
def test_servers_side_by_side_are_one_and_outlive_redis(
    *,
    start_apart: Start,
    variables: dict[str, str],
    valkey: ValkeyServer,
    environment: dict[str, str],
    tmp_path: Path,
    away: Callable[[ValkeyServer], AbstractContextManager[None]],
) -> None:
    one = start_apart(**variables)
    other = start_apart(**variables)
    assert f"sessions  Redis at 127.0.0.1:{valkey.port}" in one.banner
    sign_up(one)
    signed_in = sign_in(one)
    status, fresh, _ = refresh(other, signed_in["refresh_token"])
    assert status == 200
    for server in (one, other):
        assert server.call("GET", "/v1/sessions/current", bearer=fresh["access_token"])[0] == 200
        assert server.call("GET", "/readyz")[0] == 200
    assert one.call("DELETE", "/v1/sessions/current", bearer=fresh["access_token"])[0] == 204
    until(lambda: other.call("GET", "/v1/sessions/current", bearer=fresh["access_token"])[0] == 401)
    assert refresh(other, fresh["refresh_token"])[0] == 400

    # The command line works on the same sessions.
    signed_in = sign_in(other)
    command = [*COMMAND, "accounts", "disable", "ada@example.com"]
    given = environment | variables
    done = subprocess.run(command, cwd=tmp_path, env=given, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert refresh(one, signed_in["refresh_token"])[0] == 400

    # An outage: told by name, answered by 503, over by itself.
    sign_up(one, "grace@example.com")
    signed_in = sign_in(one, "grace@example.com")
    with away(valkey), ThreadPoolExecutor() as threads:
        # At once: where Redis does not answer, each waits for it in vain.
        readiness = threads.submit(other.call, "GET", "/readyz")
        status, _, retry_after = refresh(one, signed_in["refresh_token"])
        assert status == 503
        status, problem = readiness.result()
        assert (status, problem["dependency"]) == (503, "redis")
        assert int(str(retry_after)) >= 1
        assert one.call("GET", "/healthz")[0] == 200
    until(lambda: all(server.call("GET", "/readyz")[0] == 200 for server in (one, other)))
    assert refresh(other, signed_in["refresh_token"])[0] == 200
    assert valkey.say("DBSIZE") > 0
    assert one.end() == other.end() == 0
    assert "swordfish" not in one.log + other.log + one.banner + other.banner
    assert "Traceback" not in one.log + other.log


def test_workers_find_redis_by_the_flag_as_well(
    start: Callable[..., Any], redis_url: str, valkey: ValkeyServer, tmp_path: Path
) -> None:
    server = start("--redis-url", redis_url, "--workers", "2")
    until(lambda: server.call("GET", "/readyz")[0] == 200)
    sign_up(server)
    with ThreadPoolExecutor() as threads:
        tokens = [each["refresh_token"] for each in threads.map(lambda _: sign_in(server), range(4))]
        said = list(threads.map(lambda token: refresh(server, token)[0], tokens))
    assert said == [200] * 4
    assert len(valkey.keys("doorward:session:*")) == 4
    with sqlite3.connect(tmp_path / "doorward.db") as database:
        assert database.execute("SELECT count(*) FROM doorward_session").fetchone() == (0,)
    assert server.end() == 0
    assert "swordfish" not in server.log + server.banner


def test_a_redis_that_lets_nobody_in_is_told_with_its_remedy(
    redis_url: str, environment: dict[str, str], tmp_path: Path
) -> None:
    wrong = redis_url.replace("swordfish-9", "catfish-8")
    done = subprocess.run(
        [*COMMAND, "serve", "--port", "0"],
        cwd=tmp_path,
        env=environment | {"DOORWARD_REDIS_URL": wrong},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode != 0
    assert "does not let Doorward in" in done.stderr
    assert "catfish" not in done.stderr + done.stdout
