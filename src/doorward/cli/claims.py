"""What a token says, claim by claim, and whether it is to be believed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from doorward.blocking import run_blocking
from doorward.cli.output import relative, time
from doorward.errors import ConfigurationError, InvalidToken, Problem
from doorward.keys.model import InvalidKey, VerificationKey, import_verification_key
from doorward.secret import Secret
from doorward.server.settings import Settings
from doorward.sessions.flow import verify_token
from doorward.tokens.access import AccessTokenVerifier

_HEADER = {
    "alg": "how it is signed; a reader goes by its key and not by this",
    "kid": "which key signed it",
    "typ": "what it is; at+jwt is an access token (RFC 9068)",
    "cty": "what it contains",
}
_CLAIMS = {
    "iss": "who issued it",
    "sub": "the account that it speaks for",
    "aud": "whom it is for; nobody else may take it",
    "exp": "when it stops being good",
    "iat": "when it was issued",
    "nbf": "before this it is not good",
    "jti": "its own id",
    "client_id": "the client that it was issued to",
    "sid": "the session that it is a lease on; see: doorward sessions explain",
    "gen": "the generation of the refresh token that came with it",
    "ver": "the account's version; a higher one at the server revokes it",
    "auth_time": "when the account's owner proved to be it",
    "amr": "how: pwd is a password (RFC 8176)",
    "roles": "what the account is",
    "scope": "what it allows",
}
_INSTANTS = frozenset({"exp", "iat", "nbf", "auth_time"})
_LAST_INSTANT = 253_402_300_799  # the end of the year 9999


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a token is to be believed.

    Args:
        kind: ``verified``, ``refused``, or ``unverified`` where there was nothing to check it with.
        why: in words.
    """

    kind: Literal["verified", "refused", "unverified"]
    why: str

    @property
    def headline(self) -> str:
        lead = {"verified": "VERIFIED", "refused": "REFUSED", "unverified": "NOT VERIFIED"}[self.kind]
        warning = {"refused": " Believe nothing of what it says:", "unverified": " Anybody can have written this:"}
        return f"{lead}: {self.why}.{warning.get(self.kind, '')}"


def unjudged(why: str) -> Verdict:
    return Verdict(kind="unverified", why=why)


def judge_by_database(text: str, settings: Settings) -> Verdict:
    """Check it as the server would, revocations included."""
    auth = settings.doorward(blocking=True)
    run_blocking(auth.open())
    try:
        verified = verify_token(auth.deployment, Secret(text))
    except InvalidToken as error:
        return Verdict(kind="refused", why=error.detail)
    finally:
        run_blocking(auth.close())
    if verified.revoked:
        return Verdict(kind="refused", why="signature and times are right, and it has been revoked")
    return Verdict(kind="verified", why="signed by a key of this deployment, meant for it, in time, and not revoked")


def judge_by_key_set(text: str, file: Path, settings: Settings) -> Verdict:
    """Check it as a service that has only the key set would; whether it has been revoked is not known."""
    issuer = settings.options["issuer"]
    verifier = AccessTokenVerifier(issuer=issuer, audience=settings.audience or issuer, keys=read_key_set(file))
    try:
        verifier.verify(text, now=datetime.now(UTC))
    except InvalidToken as error:
        return Verdict(kind="refused", why=error.detail)
    return Verdict(
        kind="verified",
        why=f"signed by a key of {file}, issued by {issuer} and in time; whether it has been revoked, only the"
        " issuer knows",
    )


def read_key_set(file: Path) -> dict[str, VerificationKey]:
    """The keys of a JWKS file that verify access tokens.

    Raises:
        ConfigurationError: it cannot be read, or is none.
    """
    try:
        members = json.loads(file.read_text(encoding="utf-8"))["keys"]
        keys = [import_verification_key(member) for member in members]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        cause = (
            error.detail if isinstance(error, InvalidKey) else (getattr(error, "strerror", None) or "it is no JWK Set")
        )
        remedy = "Save what the issuer answers at /.well-known/jwks.json, and give the name of that file."
        message = f"{file} cannot be used as a key set: {cause}."
        raise ConfigurationError([Problem(id="DW071", message=message, remedy=remedy)]) from None
    return {key.kid: key for key in keys}


def describe(
    header: Mapping[str, Any], claims: Mapping[str, Any], *, now: datetime
) -> Iterator[tuple[str, str, str, str]]:
    """Each member: where it stands, its name, its value, what it means."""
    for name, value in header.items():
        yield "header", name, _written(value), _HEADER.get(name, "not one of ours")
    for name, value in claims.items():
        meaning = _CLAIMS.get(name, "added by the deployment")
        if name in _INSTANTS and type(value) is int and 0 <= value <= _LAST_INSTANT:
            instant = datetime.fromtimestamp(value, UTC)
            yield "claim", name, f"{time(instant)} ({relative(instant, now=now)})", meaning
        else:
            yield "claim", name, _written(value), meaning


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
