"""Signing in over HTTP, beside the raw rate of argon2id on all cores; and what other requests wait meanwhile."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any

from benchmarks.installed import has_node_peers, has_python_peers, versions_in_node, versions_in_python
from benchmarks.measuring import Measured, Part, Round, Run, in_turns, publish, tell
from benchmarks.serving import Server, Way, asgi, node, serving, wrk, wsgi
from doorward.authenticators.password import OWASP, Argon2Parameters, PasswordHash, count_cores
from doorward.secret import Secret

ABOUT = """
One server process each, by its own defaults on SQLite, with the limits on attempts switched off. Clients sign in with
the right password over 8 connections, one after the other on each (`wrk`). Meanwhile others ask who they are with a
credential of theirs, over 4 connections that rest for 100 ms after each answer: forty requests a second at most.

What a password costs is a choice, and each has its own:

| | by | with |
| --- | --- | --- |
| Doorward | argon2id | 19 MiB, 2 passes, 1 lane (OWASP) |
| fastapi-users | argon2id, pwdlib's defaults | 64 MiB, 3 passes, 4 lanes |
| Django | PBKDF2-SHA256 | 1,000,000 rounds |
| better-auth | scrypt | N = 16384, r = 16, p = 1 |

So the rates of different ones are not to be compared without that in mind; **the ratio is to the raw rate of argon2id
with Doorward's parameters**, in as many threads as there are cores and with nothing else, measured in the same turns.
What others wait depends less on that choice than on where it is computed: in threads beside the event loop (Doorward,
better-auth), in the threads that serve (Django), or in the event loop (fastapi-users).

"of a core" is how many in one second of its own time on a core.

**What the measurement said, and what was done.** With every core busy hashing, the event loop waited for a slice of
theirs before it answered anybody else. On Linux the threads that hash now give way to it: on a machine with other work,
what others waited fell from 43 ms to 15 (p99, the median of eight rounds in turns), and no fewer people signed in.
Beside the hash, 20 ms of a core, a sign-in took 1.8 where hashing was made cheap: the transaction in its thread 0.7,
what the loop does 0.6, of which signing the access token is 0.2, and HTTP 0.5.
"""

AT_ONCE = 8
OTHERS, PAUSE_MS = 4, 100
RAW = "raw argon2id"
_EMAIL, _PASSWORD = "ada@example.com", "seven green kettles"
_OWN_PASSWORD = "seven green kettles whistle at dawn"
_JSON = {"Content-Type": "application/json"}
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_CSRF = "0123456789abcdefghijklmnopqrstuv"


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningIn:
    """How one signs in somewhere.

    Args:
        way: the server.
        path: that is posted to.
        body: what is.
        headers: of it.
        me: the path that tells who is asking.
    """

    way: Way
    path: str
    body: str
    headers: Mapping[str, str]
    me: str = "/me"


def by_doorward() -> SigningIn:
    """``doorward serve``, where nobody has signed up yet."""
    command = (sys.executable, "-c", "from doorward.cli import main; main()", "serve", "--port", "{port}")
    settings = {"DOORWARD_RATE_LIMITS": "off", "DOORWARD_SECRET": "the secret of a deployment in benchmarks"}
    way = Way(name="Doorward", command=command, settings=settings, ready="/readyz")
    body = json.dumps({"email": _EMAIL, "password": _OWN_PASSWORD})
    return SigningIn(way=way, path="/v1/sessions", body=body, headers=_JSON, me="/v1/sessions/current")


def by_peers() -> list[SigningIn]:
    """Those that are installed."""
    form = "username={}&password=" + _PASSWORD.replace(" ", "+")
    csrf = {"Cookie": f"csrftoken={_CSRF}", "X-CSRFToken": _CSRF}
    found = []
    if has_python_peers():
        users = asgi("fastapi-users", "with_fastapi_users", way="jwt", peer=True)
        django = wsgi("Django", "with_django", way="sessions", peer=True)
        found += [
            SigningIn(way=users, path="/login", body=form.format(_EMAIL), headers=_FORM),
            SigningIn(way=django, path="/login", body=form.format("ada"), headers=_FORM | csrf),
        ]
    if has_node_peers():
        body = json.dumps({"email": _EMAIL, "password": _PASSWORD})
        better_auth = node("better-auth", "signing_in.mjs")
        found.append(SigningIn(way=better_auth, path="/api/auth/sign-in/email", body=body, headers=_JSON))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured.

    Args:
        rounds: of each way.
        seconds: how long one takes; wrk counts in whole ones.
    """

    rounds: int = 5
    seconds: int = 5


QUICK = Plan(rounds=1, seconds=3)


# One server


def _post(server: Server, path: str, body: str, headers: Mapping[str, str]) -> tuple[int, Any]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request("POST", path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def credential(signing_in: SigningIn, server: Server) -> Mapping[str, str]:
    """The header of one who is signed in; a peer hands it over when it starts.  Ours signs up first.

    What lets in anybody, or nobody, is not worth measuring.
    """
    headers = server.headers
    if not headers:
        assert _post(server, "/v1/accounts", signing_in.body, _JSON)[0] == 201
        headers = {"Authorization": f"Bearer {json.loads(_sign_in(signing_in, server)[1])['access_token']}"}
    status, _ = _sign_in(signing_in, server)
    assert status in {200, 201, 302}, (signing_in.way, status)
    wrong = _post(server, signing_in.path, signing_in.body.replace("kettles", "bottles"), signing_in.headers)
    # Django would show its form again, by a template that there is none of.
    assert wrong[0] not in {201, 302}, (signing_in.way, wrong)
    assert server.ask(signing_in.me, headers)[0] == 200, signing_in.way
    assert server.ask(signing_in.me, {})[0] == 401, signing_in.way
    return headers


def _sign_in(signing_in: SigningIn, server: Server) -> tuple[int, Any]:
    return _post(server, signing_in.path, signing_in.body, signing_in.headers)


@dataclass(slots=True, kw_only=True)
class Load:
    """What is found at one server, round by round."""

    signing_in: SigningIn
    server: Server
    headers: Mapping[str, str]
    seconds: int
    alone: list[float] = field(default_factory=list)
    meanwhile: list[float] = field(default_factory=list)
    of_a_core: list[float] = field(default_factory=list)

    async def measure(self) -> float:
        """Sign-ins a second, once; and what others waited before, and meanwhile."""
        self.alone.append((await self._others())["p99"] / 1_000)
        before = self.server.core_seconds()
        report, others = await asyncio.gather(self._sign_ins(), self._others())
        spent = self.server.core_seconds() - before
        self.meanwhile.append(others["p99"] / 1_000)
        self.of_a_core.append(report["requests"] / spent if spent else float("nan"))
        return report["requests"] * 1_000_000 / report["duration"]

    async def _sign_ins(self) -> dict[str, int]:
        ask = self.signing_in
        address = f"http://127.0.0.1:{self.server.port}{ask.path}"
        return await asyncio.to_thread(
            wrk, address, seconds=self.seconds, headers=ask.headers, connections=AT_ONCE, body=ask.body
        )

    async def _others(self) -> dict[str, int]:
        address = f"http://127.0.0.1:{self.server.port}{self.signing_in.me}"
        return await asyncio.to_thread(
            wrk, address, seconds=self.seconds, headers=self.headers, connections=OTHERS, pause_ms=PAUSE_MS
        )


# The raw rate


@dataclass(slots=True, kw_only=True)
class Raw:
    """The primitive in as many threads as there are cores."""

    parameters: Argon2Parameters
    seconds: float
    of_a_core: list[float] = field(default_factory=list)

    async def measure(self) -> float:
        """Hashes a second, once."""
        return await asyncio.to_thread(self._run)

    def _run(self) -> float:
        argon2, password = PasswordHash(self.parameters), Secret(_OWN_PASSWORD)
        password_hash = argon2.hash(password)
        done: list[None] = []

        def work() -> None:
            while time.perf_counter() - begun < self.seconds:
                assert argon2.verify(password, password_hash)
                done.append(None)

        begun, spent = time.perf_counter(), time.process_time()
        threads = [threading.Thread(target=work) for _ in range(count_cores())]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.of_a_core.append(len(done) / (time.process_time() - spent))
        return len(done) / (time.perf_counter() - begun)


# All of them


async def measured(ways: Sequence[SigningIn], plan: Plan, *, parameters: Argon2Parameters = OWASP) -> list[Part]:
    """Two parts: signing in, and what others wait."""
    tell(f"starting {len(ways)} servers")
    with serving([each.way for each in ways]) as servers:
        loads = {}
        for each in ways:
            server = servers[each.way.name]
            headers = credential(each, server)
            loads[each.way.name] = Load(signing_in=each, server=server, headers=headers, seconds=plan.seconds)
        raw = Raw(parameters=parameters, seconds=plan.seconds)
        found: Mapping[str, Raw | Load] = {RAW: raw, **loads}
        rounds: dict[str, Round] = {name: each.measure for name, each in found.items()}

        def beside(name: str) -> Mapping[str, float]:
            counted = found[name].of_a_core[1:]
            return {"of a core": sum(counted) / len(counted)}

        signing_in = await in_turns("Signing in", rounds, rounds=plan.rounds, beside=beside)
    return [signing_in, Part(title="What others wait, p99", measured=tuple(_waiting(loads)), unit="ms")]


def _waiting(loads: Mapping[str, Load]) -> list[Measured]:
    found = []
    for name, load in loads.items():
        alone = f"{name}, nobody signs in"
        found.append(Measured(name=alone, rounds=tuple(load.alone[1:])))
        found.append(Measured(name=f"{name}, meanwhile", rounds=tuple(load.meanwhile[1:]), to=alone))
    return found


def main(run: Run) -> None:
    if shutil.which("wrk") is None:
        print("Not installed: wrk; signing in is not measured.", file=sys.stderr)
        return
    publish_parts(run, asyncio.run(measured([by_doorward(), *by_peers()], QUICK if run.quick else Plan())))


def publish_parts(run: Run, parts: Sequence[Part]) -> None:
    packages = ("argon2-cffi", "uvicorn", "gunicorn")
    versions = versions_in_python("fastapi-users", "pwdlib", "django") | versions_in_node("better-auth", "express")
    publish(run, "signing_in", title="Signing in", about=ABOUT, parts=parts, packages=packages, versions=versions)
