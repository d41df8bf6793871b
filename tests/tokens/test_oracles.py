"""What we mint is accepted by implementations that are not ours, and means the same to them."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any, Final

import jwt as pyjwt
import pytest
from joserfc import jwt as joserfc_jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import import_key

from doorward.keys.model import SigningKey
from doorward.tokens.access import sign_access_token
from tests.tokens.minting import ALL_KEYS, AUDIENCE, CLAIMS, ISSUER, NOW, T, a_header, a_token, a_verifier, some_claims

ORACLES: Final = Path(__file__).parents[1] / "oracles"
each_key = pytest.mark.parametrize("key", ALL_KEYS, ids=lambda key: key.algorithm)


def jwk_of(key: SigningKey) -> dict[str, str]:
    """The public key, or the secret where there is none."""
    jwk: dict[str, str] = key.verification_key().public_jwk() or json.loads(key.private_jwk_json().reveal())
    return jwk


@each_key
def test_pyjwt_takes_what_we_mint(key: SigningKey) -> None:
    # Its clock is the machine's: the times are checked by the other two.
    options: Any = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}
    found = pyjwt.decode_complete(
        sign_access_token(some_claims(), key),
        pyjwt.PyJWK(jwk_of(key)),
        algorithms=[str(key.algorithm)],
        issuer=ISSUER,
        audience=AUDIENCE,
        options=options,
    )
    assert (found["header"], found["payload"]) == (a_header(key), CLAIMS)


@each_key
def test_joserfc_takes_what_we_mint(key: SigningKey) -> None:
    with warnings.catch_warnings():
        # RFC 9864 has a new name for EdDSA, which PyJWT and many verifiers in use do not know.
        warnings.simplefilter("ignore", SecurityWarning)
        jwk: Any = jwk_of(key)
        found = joserfc_jwt.decode(sign_access_token(some_claims(), key), import_key(jwk), [str(key.algorithm)])
    registry = joserfc_jwt.JWTClaimsRegistry(
        now=T, iss={"essential": True, "value": ISSUER}, aud={"essential": True, "value": AUDIENCE}
    )
    registry.validate(found.claims)
    assert (found.header, found.claims) == (a_header(key), CLAIMS)


def node_verifies(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if not (ORACLES / "node_modules" / "jose").is_dir():
        pytest.skip("Node's jose is not installed: run python3 dev.py setup --all")
    node = Path(sys.executable).with_name("node")
    if not node.exists():
        pytest.skip("Node is not installed: run python3 dev.py setup")
    common = {"issuer": ISSUER, "audience": AUDIENCE, "now": T}
    answer = subprocess.run(
        [node, ORACLES / "verify.mjs"],
        input=json.dumps([common | case for case in cases]),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found: list[dict[str, Any]] = json.loads(answer.stdout)
    return found


def test_node_jose_takes_what_we_mint() -> None:
    cases = [{"token": sign_access_token(some_claims(), key), "jwk": jwk_of(key)} for key in ALL_KEYS]
    assert node_verifies(cases) == [{"claims": CLAIMS}] * len(ALL_KEYS)


def test_node_jose_refuses_what_was_changed() -> None:
    # Else the test above could not fail.
    cases = [{"token": a_token(key=key, signature=bytes(64)), "jwk": jwk_of(key)} for key in ALL_KEYS]
    assert [set(found) for found in node_verifies(cases)] == [{"error"}] * len(ALL_KEYS)


@each_key
def test_we_take_what_pyjwt_mints(key: SigningKey) -> None:
    secret = json.loads(key.private_jwk_json().reveal())
    token = pyjwt.encode(
        CLAIMS, pyjwt.PyJWK(secret).key, str(key.algorithm), headers={"kid": key.kid, "typ": "application/at+jwt"}
    )
    assert a_verifier().verify(token, now=NOW) == some_claims()
