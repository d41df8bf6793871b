"""A reader of status lists, written from draft-ietf-oauth-status-list-21 and from nothing of ours.

The standard library and ``cryptography``; no JOSE library.
"""

from __future__ import annotations

import json
import zlib
from base64 import urlsafe_b64decode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

VALID, INVALID, SUSPENDED = 0x00, 0x01, 0x02  # section 7.1
LARGEST = 16 * 1024 * 1024
"""Bytes of a list once it is decompressed; a reader of any list sets itself a limit (section 11.5)."""


class Rejected(Exception):
    """Section 8.3: no statement about the status can be made, and the token is rejected."""


@dataclass(frozen=True)
class Fetched:
    """An answer over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Fetch = Callable[[str, Mapping[str, str]], Awaitable[Fetched]]


def _number(text: str) -> int:
    return int.from_bytes(decoded(text))


def decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _verify(jwk: Mapping[str, str], algorithm: str, signature: bytes, signed: bytes) -> None:
    """RFC 7518 section 3, RFC 8037 section 3.1; raises InvalidSignature."""
    match jwk["kty"], algorithm:
        case "EC", "ES256":
            assert jwk["crv"] == "P-256"
            assert len(signature) == 64
            point = ec.EllipticCurvePublicNumbers(_number(jwk["x"]), _number(jwk["y"]), ec.SECP256R1()).public_key()
            r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
            point.verify(encode_dss_signature(r, s), signed, ec.ECDSA(SHA256()))
        case "RSA", "RS256":
            numbers = rsa.RSAPublicNumbers(_number(jwk["e"]), _number(jwk["n"]))
            numbers.public_key().verify(signature, signed, padding.PKCS1v15(), SHA256())
        case "OKP", "EdDSA" | "Ed25519":
            assert jwk["crv"] == "Ed25519"
            ed25519.Ed25519PublicKey.from_public_bytes(decoded(jwk["x"])).verify(signature, signed)
        case other:
            raise Rejected(f"no algorithm for {other}")


def opened(token: str, keys: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and payload of a JWS in the compact form whose signature is right."""
    head, body, tail = token.split(".")
    header = json.loads(decoded(head))
    [jwk] = [key for key in keys["keys"] if key["kid"] == header["kid"]]
    assert jwk.get("alg", header["alg"]) == header["alg"]
    assert jwk.get("use", "sig") == "sig"
    _verify(jwk, header["alg"], decoded(tail), f"{head}.{body}".encode())
    return header, json.loads(decoded(body))


def unpacked(status_list: Mapping[str, Any]) -> list[int]:
    """Section 4: statuses of ``bits`` bits each, the first in the least significant bits of the first byte."""
    bits = status_list["bits"]
    assert bits in {1, 2, 4, 8}
    stream = zlib.decompressobj()
    raw = stream.decompress(decoded(status_list["lst"]), LARGEST)
    assert stream.eof
    assert not stream.unused_data
    return [byte >> shift & ((1 << bits) - 1) for byte in raw for shift in range(0, 8, bits)]


async def status_of(token: str, *, issuer: str, now: float, fetch: Fetch) -> int:
    """The status of a token whose issuer is trusted: its signature, its reference, the list, the bit (section 8.3).

    Raises:
        Rejected: nothing can be said.
    """
    json_type = {"Accept": "application/json"}
    keys = json.loads((await fetch(f"{issuer}/.well-known/jwks.json", json_type)).body)
    header, claims = opened(token, keys)
    assert header["typ"] == "at+jwt"
    assert claims["iss"] == issuer
    if "status" not in claims or "status_list" not in claims["status"]:
        raise Rejected("the token refers to no status list")  # step 1
    reference = claims["status"]["status_list"]
    index, uri = reference["idx"], reference["uri"]
    assert isinstance(index, int)
    assert index >= 0
    assert isinstance(uri, str)
    answer = await fetch(uri, {"Accept": "application/statuslist+jwt"})  # step 2, section 8.1
    if answer.status != 200:
        raise Rejected(f"the list cannot be had: {answer.status}")
    assert answer.headers["content-type"] == "application/statuslist+jwt"
    kind, said = opened(answer.body.decode("ascii"), keys)  # step 3, section 5.1
    assert kind["typ"] == "statuslist+jwt"
    if said["sub"] != uri:  # step 4
        raise Rejected("it is another list")
    assert isinstance(said["iat"], int)
    if "exp" in said and said["exp"] <= now:
        raise Rejected("the list is out of date")
    if "ttl" in said:
        assert said["ttl"] > 0
        assert answer.headers["cache-control"] == f"public, max-age={said['ttl']}"
    statuses = unpacked(said["status_list"])  # step 5
    if index >= len(statuses):
        raise Rejected("the index is beyond the list")  # step 6
    return statuses[index]
