"""Every known attack on an access token, as data.

``python -m tests.tokens.attacks`` writes ``vectors/access_tokens.json``.  Each token is right in all but one thing, so
that it is refused for that thing.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from doorward.keys.model import SigningKey
from tests.tokens.attacks_on_form import forms, json_forms
from tests.tokens.minting import (
    ALL_KEYS,
    AUDIENCE,
    CLAIMS,
    EDDSA,
    ES256,
    HS256,
    ISSUER,
    NOW,
    RS256,
    T,
    a_header,
    a_payload,
    a_token,
    base64url,
    nested_lists,
    signed,
    to_json,
)
from tests.tokens.rfc_keys import EXAMPLES
from tests.tokens.vector import Vector
from tests.tokens.vector import vector as _v

VECTORS: Final = Path(__file__).parents[2] / "vectors" / "access_tokens.json"
P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def accepted() -> Iterator[Vector]:
    for key in ALL_KEYS:
        yield _v(f"{key.algorithm}", None, a_token(key=key))
    yield _v(
        "aud is a list that names us", None, a_token(payload=a_payload(aud=["https://other.example.com", AUDIENCE]))
    )
    yield _v("without gen", None, a_token(payload=a_payload(gen=...)))
    yield _v("with a claim that the deployment added", None, a_token(payload=a_payload(tenant={"id": [1, None, 2.5]})))
    yield _v("members in another order", None, a_token(payload=dict(reversed(CLAIMS.items()))))
    yield _v("white space in the JSON", None, a_token(payload=json.dumps(CLAIMS, indent=1).encode()))
    yield _v("escapes in the JSON", None, a_token(payload=to_json(CLAIMS).replace(b"acc_", b"\\u0061cc_")))
    yield _v("nesting of depth 8", None, a_token(payload=a_payload(deep=nested_lists(7))))
    yield _v("the integer 2^53", None, a_token(payload=a_payload(big=2**53)))
    for typ in ("AT+JWT", "application/at+jwt", "Application/AT+jwt"):
        yield _v(f"typ {typ}", None, a_token(a_header(typ=typ)))
    yield _v("exp one second ago, within the skew", None, a_token(payload=a_payload(exp=T - 1)))
    yield _v("exp 59 s ago", None, a_token(payload=a_payload(exp=T - 59)))
    yield _v("iat 60 s ahead", None, a_token(payload=a_payload(iat=T + 60)))
    yield _v("nbf 60 s ahead", None, a_token(payload=a_payload(nbf=T + 60)))


def algorithms() -> Iterator[Vector]:
    """RFC 8725 sections 2.1 and 3.1."""
    for none in ("none", "None", "NONE", "nOnE", " none", "none\u0000", ""):
        for kind, signature in (("no signature", b""), ("the right signature", None), ("a byte", b"\0")):
            token = a_token(a_header(alg=none), signature=signature)
            yield _v(f"alg {none!r} and {kind}", "form" if signature == b"" else "alg", token)
    for encoding, secret in public_key_encodings():
        key = RS256 if "RSA" in encoding else EDDSA if "Ed25519" in encoding else ES256
        signing_input = f"{base64url(to_json(a_header(key, alg='HS256')))}.{base64url(to_json(CLAIMS))}"
        mac = hmac.digest(secret, signing_input.encode(), "sha256")
        yield _v(f"HMAC with the public key as {encoding}", "alg", f"{signing_input}.{base64url(mac)}")
    for alg in ("HS384", "HS512", "ES384", "ES512", "ES256K", "RS384", "RS512", "PS256", "Ed25519", "Ed448", "es256"):
        yield _v(f"alg {alg} with the key of ES256", "alg", a_token(a_header(alg=alg)))
    for key in ALL_KEYS:
        for other in ALL_KEYS:
            if key is not other:
                header = a_header(key, alg=str(other.algorithm))
                yield _v(f"alg {other.algorithm} with the kid of {key.algorithm}", "alg", a_token(header, key=other))
                header = a_header(key, kid=other.kid)
                yield _v(f"all of {key.algorithm} but the kid, of {other.algorithm}", "alg", a_token(header, key=key))
    for alg in ("dir", "RSA-OAEP", "A256GCM", "ECDH-ES"):
        yield _v(f"alg {alg}: an encryption", "alg", a_token(a_header(alg=alg)))


def public_key_encodings() -> Iterator[tuple[str, bytes]]:
    for name, key in (("RSA", RS256), ("P-256", ES256), ("Ed25519", EDDSA)):
        material: Any = key.verification_key().material
        pem = material.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        yield f"{name} SPKI PEM", pem
        yield f"{name} SPKI PEM without its last line break", pem.rstrip(b"\n")
        yield f"{name} SPKI PEM with CRLF", pem.replace(b"\n", b"\r\n")
        yield f"{name} SPKI DER", material.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        jwk = key.verification_key().public_jwk()
        assert jwk is not None
        yield f"{name} JWK", to_json(jwk)
        yield (
            f"{name} JWK of the key alone",
            to_json({n: jwk[n] for n in sorted(jwk) if n not in {"kid", "alg", "use"}}),
        )
        yield f"{name} JWK n or x alone", (jwk.get("n") or jwk["x"]).encode()
    rsa: Any = RS256.verification_key().material
    yield "RSA PKCS#1 PEM", rsa.public_bytes(Encoding.PEM, PublicFormat.PKCS1)
    yield "RSA PKCS#1 DER", rsa.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    point: Any = ES256.verification_key().material
    yield "P-256 point", point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    yield "P-256 compressed point", point.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    ed25519: Any = EDDSA.verification_key().material
    yield "Ed25519 raw", ed25519.public_bytes_raw()
    yield "Ed25519 nothing at all", b""


def headers() -> Iterator[Vector]:
    """RFC 8725 sections 3.1 and 3.10; RFC 7515 section 4.1; RFC 7797."""
    value: Any
    for kid in (
        "../../../../dev/null",
        "es256' OR '1'='1",
        "es256\u0000",
        "\u0000",
        "ES256",
        "es256 ",
        " ",
        "",
        "https://evil.example/key",
    ):
        yield _v(f"kid {kid!r}", "kid", a_token(a_header(kid=kid)))
    yield _v("kid missing", "kid", a_token(a_header(kid=...)))
    yield _v("kid of 129 characters", "header", a_token(a_header(kid="k" * 129)))
    yield _v("kid of 5,000 characters", "header", a_token(a_header(kid="k" * 5000)))
    for name in ("alg", "kid", "typ", "cty"):
        for value in (None, 1, 1.5, True, [], ["ES256"], {}):
            yield _v(f"{name} is {json.dumps(value)}", "header", a_token(a_header(**{name: value})))
    yield _v("alg missing", "header", a_token(a_header(alg=...)))
    public = ES256.verification_key().public_jwk()
    for name, value in (
        ("jwk", public),
        ("jku", "https://evil.example/jwks.json"),
        ("x5u", "https://evil.example/cert.pem"),
        ("x5c", ["MIIB"]),
        ("x5t", "AAAA"),
        ("x5t#S256", "AAAA"),
        ("crit", ["exp"]),
        ("crit", []),
        ("crit", ["b64"]),
        ("b64", False),
        ("b64", True),
        ("zip", "DEF"),
        ("enc", "A256GCM"),
        ("p2c", 2**31),
        ("p2s", "AAAA"),
        ("epk", public),
        ("apu", "AAAA"),
        ("iss", ISSUER),
        ("unheard-of", "x"),
        ("", "x"),
        ("ALG", "none"),
    ):
        yield _v(f"header member {name} {json.dumps(value)[:20]}", "header", a_token(a_header(**{name: value})))
    crit = a_header(crit=["b64"], b64=False)
    yield _v("unencoded payload (RFC 7797)", "header", a_token(crit))


def signatures() -> Iterator[Vector]:
    """RFC 7518 section 3.4; RFC 8725 section 3.3; CVE-2022-21449."""
    right = signed(a_token().rpartition(".")[0].encode(), ES256)
    r, s = int.from_bytes(right[:32]), int.from_bytes(right[32:])
    n = P256_ORDER
    for name, (first, second) in {
        "r and s of 0": (0, 0),
        "r of 0": (0, s),
        "s of 0": (r, 0),
        "r of the order": (n, s),
        "s of the order": (r, n),
        "r and s of the order": (n, n),
        "r and s of 1": (1, 1),
        "the largest r and s": (2**256 - 1, 2**256 - 1),
        "r and s exchanged": (s, r),
    }.items():
        yield _v(f"ES256 with {name}", "signature", a_token(signature=first.to_bytes(32) + second.to_bytes(32)))
    for name, signature in (
        ("DER", encode_dss_signature(r, s)),
        ("63 bytes", right[:-1]),
        ("65 bytes", right + b"\0"),
        ("65 bytes, with a zero before s", right[:32] + b"\0" + right[32:]),
        ("33 bytes a coordinate", b"\0" + right[:32] + b"\0" + right[32:]),
        ("P-384's length", bytes(96)),
        ("1 byte", b"\0"),
        ("4,000 bytes", b"\1" * 4000),
    ):
        yield _v(f"ES256 signature as {name}", "signature", a_token(signature=signature))
    for key in (RS256, EDDSA, HS256):
        length = len(signed(b"", key))
        for name, signature in (("zeros", bytes(length)), ("ones", b"\xff" * length), ("1 byte", b"\1")):
            yield _v(f"{key.algorithm} signature of {name}", "signature", a_token(key=key, signature=signature))
        full = signed(a_token(key=key).rpartition(".")[0].encode(), key)
        yield _v(f"{key.algorithm} signature cut short", "signature", a_token(key=key, signature=full[:-1]))
        yield _v(f"{key.algorithm} signature with a byte more", "signature", a_token(key=key, signature=full + b"\0"))
    for key in ALL_KEYS:
        yield from changed_after_signing(key)


def changed_after_signing(key: SigningKey) -> Iterator[Vector]:
    header, payload, signature = a_token(key=key).split(".")
    other = base64url(to_json(a_payload(sub="acc_admin")))
    yield _v(f"{key.algorithm}: the payload of another token", "signature", f"{header}.{other}.{signature}")
    another_header = base64url(to_json(a_header(key, typ="application/at+jwt")))
    yield _v(f"{key.algorithm}: the header of another token", "signature", f"{another_header}.{payload}.{signature}")
    foreign = signed(b"something else", key)
    yield _v(f"{key.algorithm}: the signature of another text", "signature", a_token(key=key, signature=foreign))


def types() -> Iterator[Vector]:
    """RFC 9068 section 4; RFC 8725 sections 3.11 and 3.12: our other tokens in the place of this one."""
    yield _v("typ missing", "typ", a_token(a_header(typ=...)))
    for typ in ("JWT", "jwt", "", "logout+jwt", "token-introspection+jwt", "dpop+jwt", "secevent+jwt", "id_token+jwt",
                "statuslist+jwt", "JOSE", "at-jwt", "at+jwt ", "application/application/at+jwt", "text/at+jwt",
                "at+jwt\u0000", "at+jwt; charset=utf-8", "\u212at+jwt"):  # fmt: skip
        yield _v(f"typ {typ!r}", "typ", a_token(a_header(typ=typ)))
    for source, _, token in EXAMPLES:
        yield _v(f"the example of {source}", "kid", token)


WRONG_TYPES: Final[tuple[Any, ...]] = (None, True, False, "1767269700", "", 1.5, [], [1], {}, -1)


def claims() -> Iterator[Vector]:
    """RFC 9068 section 2.2."""
    value: Any
    for name in CLAIMS:
        if name != "gen":
            yield _v(f"{name} missing", "claims", a_token(payload=a_payload(**{name: ...})))
    for name in ("exp", "iat", "nbf", "auth_time", "ver", "gen"):
        for value in (*WRONG_TYPES, float(T), 2**53 + 1, 2**64):
            yield _v(f"{name} is {json.dumps(value)}", "claims", a_token(payload=a_payload(**{name: value})))
        exponent = to_json(a_payload(**{name: "@"})).replace(b'"@"', b"17672697e2")
        yield _v(f"{name} is 17672697e2", "claims", a_token(payload=exponent))


def claims_of_text() -> Iterator[Vector]:
    """RFC 9068 section 2.2; RFC 7519 section 4.1."""
    value: Any
    for name in ("iss", "sub", "jti", "client_id", "sid"):
        for value in (None, True, 1, 1.5, "", [], ["x"], {}):
            yield _v(f"{name} is {json.dumps(value)}", "claims", a_token(payload=a_payload(**{name: value})))
    for value in (None, True, 1, {}, [1], [None], [[AUDIENCE]]):
        yield _v(f"aud is {json.dumps(value)}", "claims", a_token(payload=a_payload(aud=value)))
    for name in ("amr", "roles"):
        for value in (None, "admin", 1, {}, [1], [["admin"]], {"admin": True}):
            yield _v(f"{name} is {json.dumps(value)}", "claims", a_token(payload=a_payload(**{name: value})))
    for value in (None, 1, ["read"], {}):
        yield _v(f"scope is {json.dumps(value)}", "claims", a_token(payload=a_payload(scope=value)))
    for value in ({}, {"sub": "admin"}, None, 1):
        yield _v(f"extra is {json.dumps(value)}", "claims", a_token(payload=a_payload(extra=value)))


def issuers_and_audiences() -> Iterator[Vector]:
    """RFC 8725 sections 3.8 and 3.9."""
    value: Any
    for value in (
        ISSUER + "/",
        ISSUER.upper(),
        ISSUER + ".evil.example",
        "http://auth.example.com",
        ISSUER + "\u0000",
        " ",
    ):
        yield _v(f"iss {value!r}", "iss", a_token(payload=a_payload(iss=value)))
    for value in (
        "",
        "https://other.example.com",
        AUDIENCE + "/",
        AUDIENCE[:-1],
        AUDIENCE.upper(),
        "*",
        [],
        [""],
        [AUDIENCE + "x"],
    ):
        yield _v(f"aud {json.dumps(value)}", "aud", a_token(payload=a_payload(aud=value)))


def times() -> Iterator[Vector]:
    """RFC 7519 section 4.1."""
    yield _v("exp 60 s ago", "time", a_token(payload=a_payload(exp=T - 60)))
    yield _v("exp an hour ago", "time", a_token(payload=a_payload(exp=T - 3600)))
    yield _v("exp 0", "time", a_token(payload=a_payload(exp=0)))
    yield _v("iat 61 s ahead", "time", a_token(payload=a_payload(iat=T + 61)))
    yield _v("iat in milliseconds", "time", a_token(payload=a_payload(iat=T * 1000)))
    yield _v("nbf 61 s ahead", "time", a_token(payload=a_payload(nbf=T + 61)))


def vectors() -> list[Vector]:
    families = (
        accepted,
        algorithms,
        headers,
        json_forms,
        forms,
        signatures,
        types,
        claims,
        claims_of_text,
        issuers_and_audiences,
        times,
    )
    return [each for family in families for each in family()]


def document() -> str:
    """The vectors with all that a reader needs to check them."""
    keys = [key.verification_key().public_jwk() for key in ALL_KEYS[:3]]
    symmetric = json.loads(HS256.private_jwk_json().reveal())
    content = {
        "format": "doorward access tokens, version 1",
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "now": NOW.isoformat().replace("+00:00", "Z"),
        "clock_skew_seconds": 60,
        "keys": [*keys, symmetric],
        "vectors": [asdict(each) for each in vectors()],
    }
    return json.dumps(content, indent=1, ensure_ascii=True) + "\n"


if __name__ == "__main__":
    VECTORS.write_text(document())
