"""How others verify an access token: PyJWT and joserfc in this process, Authlib and Node's jose in one of their own."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain, cycle, repeat
from typing import Any

import jwt
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from benchmarks.installed import has_node_peers, has_python_peers, versions_in_node, versions_in_python
from benchmarks.measuring import Round
from benchmarks.serving import HERE, NODE_PEERS, PEERS, node_binary
from doorward.keys.model import SigningKey
from tests.tokens.rfc_keys import EDDSA_JWK, ES256_JWK, HS256_JWK, RS256_JWK
from tests.verifier.issuer import AUDIENCE

Sync = Callable[[], object]

_REQUIRED = ("exp", "iat", "iss", "aud", "sub", "jti", "sid")
_FIRST = 5
"""How many times as long the round is that does not count: V8 compiles what it finds to be used."""

_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi"})
_KEYS: Mapping[str, tuple[type[Key], Mapping[str, Any]]] = {
    "ES256": (ECKey, ES256_JWK),
    "EdDSA": (OKPKey, EDDSA_JWK),
    "RS256": (RSAKey, RS256_JWK),
    "HS256": (OctKey, HS256_JWK),
}


def in_this_process(tokens: Sequence[str], key: SigningKey, *, issuer: str) -> dict[str, Sync]:
    """PyJWT and joserfc, by name: each call verifies the next token."""
    algorithm = str(key.algorithm)
    turn, joserfc_turn = cycle(tokens), cycle(tokens)
    material: Any = key.verification_key().material
    options: Any = {"require": [*_REQUIRED]}
    kind, jwk = _KEYS[algorithm]
    joserfc_key: Any = kind.import_key(dict(jwk))
    rules: dict[str, Any] = {name: {"essential": True} for name in _REQUIRED}
    rules["iss"]["value"], rules["aud"]["value"] = issuer, AUDIENCE
    claims = joserfc_jwt.JWTClaimsRegistry(**rules)

    def by_joserfc() -> None:
        claims.validate(joserfc_jwt.decode(next(joserfc_turn), joserfc_key, algorithms=[algorithm]).claims)

    return {
        "joserfc": by_joserfc,
        "PyJWT": lambda: jwt.decode(
            next(turn), material, algorithms=[algorithm], audience=AUDIENCE, issuer=issuer, options=options
        ),
    }


@contextmanager
def elsewhere(tokens: Sequence[str], key: SigningKey, *, issuer: str, seconds: float) -> Iterator[dict[str, Round]]:
    """Authlib and jose, by name, as far as they are installed: their processes wait between rounds."""
    algorithm = str(key.algorithm)
    job = {
        "tokens": tokens,
        "jwk": {name: value for name, value in _KEYS[algorithm][1].items() if name not in _PRIVATE},
        "algorithm": algorithm,
        "required": _REQUIRED,
        "issuer": issuer,
        "audience": AUDIENCE,
    }
    commands = {}
    if has_python_peers():
        commands["Authlib"] = (str(PEERS), str(HERE / "peers" / "verifying.py"))
    if has_node_peers():
        commands["jose, in Node"] = (node_binary(), str(NODE_PEERS / "verifying.mjs"))
    with ExitStack() as stack:
        yield {name: stack.enter_context(_asking(command, job, seconds)) for name, command in commands.items()}


@contextmanager
def _asking(command: Sequence[str], job: Mapping[str, object], seconds: float) -> Iterator[Round]:
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        question, answers, complaints = process.stdin, process.stdout, process.stderr
        print(json.dumps(job), file=question, flush=True)

        lasting = chain([_FIRST * seconds], repeat(seconds))

        def ask() -> float:
            print(next(lasting), file=question, flush=True)
            answer = answers.readline()
            if not answer:
                raise RuntimeError(complaints.read())
            return float(answer)

        async def measure() -> float:
            return await asyncio.to_thread(ask)

        try:
            yield measure
        finally:
            # Each of them ends with its input.
            question.close()


def versions() -> dict[str, str]:
    """Of those in processes of their own."""
    return {**versions_in_python("authlib", "cryptography"), **versions_in_node("jose")}
