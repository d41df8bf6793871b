"""Access tokens: JWTs as RFC 9068 profiles them, made and checked.

How RFC 8725 (JSON Web Token Best Current Practices) is followed:

| section | asks | here |
| --- | --- | --- |
| 3.1 | the algorithm is the reader's choice | a key has one; the header must name it (`verify_signature`) |
| 3.2 | adequate algorithms | ES256, RS256, EdDSA, HS256; there is no ``none`` |
| 3.3 | every operation checked | one signature, no nesting, no encryption |
| 3.4 | valid inputs | points on their curve, by ``cryptography``, when a key is imported |
| 3.5 | keys with entropy | checked when a key is imported; a passphrase is none |
| 3.6 | no compression before encryption | ``zip`` is refused |
| 3.7 | UTF-8 | anything else is refused, and so are a BOM and lone surrogates |
| 3.8 | issuer and subject | ``iss`` compared exactly; ``sub`` required |
| 3.9 | audience | required, and must name us |
| 3.10 | claims that arrive are not trusted | ``kid`` looks up a known key; ``jku``, ``x5u``, ``jwk`` are refused |
| 3.11 | explicit typing | ``typ`` must be ``at+jwt`` |
| 3.12 | one kind of JWT never passes for another | ``typ`` and required claims; the same keys sign status lists |
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any

import msgspec

from doorward.errors import InvalidToken
from doorward.keys.model import SigningKey, VerificationKey
from doorward.principal import Principal
from doorward.tokens.compact import (
    MAX_INTEGER,
    parse_compact,
    parse_object,
    read_unverified_parts,
)
from doorward.tokens.signature import sign, verify_signature

MEDIA_TYPE = "at+jwt"
CLOCK_SKEW = timedelta(seconds=60)

_NAMES_REMEMBERED = 256

Name = Annotated[str, msgspec.Meta(min_length=1)]
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)]
Instant = Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)]


class StatusReference(msgspec.Struct, frozen=True, kw_only=True):
    """Which bit of which status list tells whether a token is still good."""

    idx: Count
    uri: Name


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The claim ``status`` (draft-ietf-oauth-status-list-21 section 6.1)."""

    status_list: StatusReference


class AccessClaims(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an access token says.

    Args:
        exp: when it dies, in seconds since 1970; ``iat``, ``nbf`` and ``auth_time`` likewise.
        sid: the session that it is a lease on.
        gen: the generation of the refresh token it was issued with (strategy ``hybrid``).
        ver: the account's version when it was issued; a revocation raises the least valid one.
        amr: how the subject was authenticated (RFC 8176).
        status: where a reader without a connection finds out whether it has been revoked.
        scope: the scopes, with a space between two (RFC 8693 section 4.2).
        extra: the claims that the deployment added, by their names.

    RFC 9068 section 2.2.
    """

    iss: Name
    sub: Name
    aud: str | tuple[str, ...]
    exp: Instant
    iat: Instant
    jti: Name
    client_id: Name
    sid: Name
    gen: Count | None = None
    ver: Count
    auth_time: Instant
    amr: tuple[str, ...]
    roles: tuple[str, ...]
    scope: str
    nbf: Instant | None = None
    status: Status | None = None
    extra: dict[str, Any] = msgspec.field(default_factory=dict)


_CLAIMS = frozenset(AccessClaims.__struct_fields__) - {"extra"}
_RESERVED = frozenset(AccessClaims.__struct_fields__)
_read_claims = msgspec.json.Decoder(AccessClaims).decode
_write = msgspec.json.Encoder().encode


def sign_access_token(claims: AccessClaims, key: SigningKey) -> str:
    """Mint an access token.

    Raises:
        ValueError: an added claim has the name of one of ours, or the name ``extra``.

    RFC 9068 section 2; RFC 7515 section 5.1.
    """
    return sign_compact(_write(_members(claims)), media_type=MEDIA_TYPE, key=key)


def sign_compact(payload: bytes, *, media_type: str, key: SigningKey) -> str:
    """Sign a payload in the JWS compact form (RFC 7515 section 7.1), its kind in ``typ`` (RFC 8725 section 3.11)."""
    signing_input = _header(str(key.algorithm), key.kid, media_type) + b"." + _base64url(payload)
    return (signing_input + b"." + _base64url(sign(signing_input, key))).decode()


@lru_cache(maxsize=64)
def _header(algorithm: str, kid: str, media_type: str) -> bytes:
    """The first part of a token, the same for all of a key and a kind."""
    return _base64url(_write({"alg": algorithm, "kid": kid, "typ": media_type}))


class AccessTokenVerifier:
    """Checks access tokens for one audience.

    Args:
        issuer: what ``iss`` must be, exactly.
        audience: what ``aud`` must name.
        keys: the keys that the issuer signs with, by ``kid``.  Replaced as a whole by assigning ``keys``.
        clock_skew: how far the clocks of issuer and verifier may be apart.
    """

    __slots__ = ("_audience", "_issuer", "_skew_seconds", "keys")

    def __init__(
        self, *, issuer: str, audience: str, keys: Mapping[str, VerificationKey], clock_skew: timedelta = CLOCK_SKEW
    ) -> None:
        if not issuer or not audience:
            raise ValueError("a verifier needs an issuer and an audience: without them any token would do")
        if clock_skew < timedelta():
            raise ValueError("a clock skew is not negative")
        self.keys = keys
        self._issuer = issuer
        self._audience = audience
        self._skew_seconds = clock_skew.total_seconds()

    def verify(self, token: str, *, now: datetime) -> AccessClaims:
        """Check an access token, all but its revocation.

        Args:
            token: what was presented, anything at all.
            now: the instant of the request, aware.

        Raises:
            InvalidToken: whatever the reason; the answer to the client is always the same.
        """
        if now.tzinfo is None:
            raise ValueError("now must be an aware datetime")
        return self.check(token, seconds=now.timestamp())[0]

    def check(self, token: str, *, seconds: float) -> tuple[AccessClaims, str]:
        """As ``verify``, for who knows the instant in seconds since 1970.  Returns also the key's ``kid``.

        The order matters: nothing of the payload is read before its signature is known to be right.

        RFC 9068 section 4; RFC 8725 section 3.
        """
        compact = parse_compact(token)
        header = compact.header
        kid = header.kid
        key = self.keys.get(kid) if kid is not None else None
        if key is None or kid is None:
            raise InvalidToken("the kid names no key of the issuer")
        verify_signature(compact, key)
        if header.media_type != MEDIA_TYPE:
            raise InvalidToken("the typ is not at+jwt")
        claims = parse_claims(compact.payload)
        if claims.iss != self._issuer:
            raise InvalidToken("the iss is not our issuer")
        aud = claims.aud
        if aud != self._audience and (type(aud) is str or self._audience not in aud):
            raise InvalidToken("the aud does not name us")
        self._check_times(claims, seconds)
        return claims, kid

    def _check_times(self, claims: AccessClaims, seconds: float) -> None:
        # Of the two clocks either may be behind.
        earliest = seconds - self._skew_seconds
        if earliest >= claims.exp:
            raise InvalidToken("the token has expired")
        latest = earliest + 2 * self._skew_seconds
        if claims.iat > latest:
            raise InvalidToken("the token was issued in the future")
        if claims.nbf is not None and claims.nbf > latest:
            raise InvalidToken("the token is not valid yet")


def parse_claims(payload: bytes) -> AccessClaims:
    """Read the claims of a token whose signature has been checked.

    Raises:
        InvalidToken: it is no strict JSON object, or a claim is missing or of the wrong JSON type.

    RFC 9068 section 2.2.
    """
    try:
        claims = _read_claims(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise InvalidToken("the payload is no JSON object, or a claim is missing or of the wrong type") from None
    if not claims.extra and _write(claims) == payload:
        # What we mint is, written again, the same to the byte: nothing stood in it twice, and nothing was passed over.
        return claims
    return _with_added_claims(claims, parse_object(payload))


def principal_of(claims: AccessClaims) -> Principal:
    """Who an access token speaks for."""
    return Principal(
        subject=claims.sub,
        session_id=claims.sid,
        client_id=claims.client_id,
        roles=_roles(claims.roles),
        scopes=_scopes(claims.scope),
        methods=claims.amr,
        authenticated_at=datetime.fromtimestamp(claims.auth_time, UTC),
        expires_at=datetime.fromtimestamp(claims.exp, UTC),
        carrier="token",
    )


# Few are different, and all of them an issuer of ours has signed.
@lru_cache(maxsize=_NAMES_REMEMBERED)
def _roles(roles: tuple[str, ...]) -> frozenset[str]:
    return frozenset(roles)


@lru_cache(maxsize=_NAMES_REMEMBERED)
def _scopes(scope: str) -> frozenset[str]:
    return frozenset(scope.split())


def read_unverified_access_token(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a token's header and claims for showing them.  NOTHING has been verified: never decide on them.

    Raises:
        InvalidToken: it has not the form of a token.
    """
    return read_unverified_parts(token)


def _with_added_claims(claims: AccessClaims, members: dict[str, Any]) -> AccessClaims:
    """Add what the reader of claims passed over, now that the strict one has seen all of it."""
    if any(members.get(name, 0) is None for name in ("gen", "nbf", "status")):
        raise InvalidToken("a claim is null")  # None is how we say that it is absent
    if "extra" in members:
        raise InvalidToken("no claim may be named extra")  # it would be taken for all the added ones
    return msgspec.structs.replace(claims, extra={name: members[name] for name in members.keys() - _CLAIMS})


def _members(claims: AccessClaims) -> AccessClaims | dict[str, Any]:
    if not claims.extra:
        return claims
    if claims.extra.keys() & _RESERVED:
        raise ValueError("an added claim has the name of one of Doorward's, or the name extra")
    members: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(claims, extra={}))
    return {**members, **claims.extra}


def _base64url(raw: bytes) -> bytes:
    return b2a_base64(raw, newline=False).rstrip(b"=").translate(_TO_BASE64URL)


_TO_BASE64URL = bytes.maketrans(b"+/", b"-_")
