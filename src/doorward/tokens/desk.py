"""Where access tokens are issued and taken back: the keys in memory, and what was verified before."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from typing import NamedTuple

import msgspec

from doorward.accounts.model import Owner
from doorward.errors import InvalidToken, StoreUnavailable
from doorward.keys.model import SigningKey, VerificationKey
from doorward.memory import Memory
from doorward.options import Options
from doorward.ports import Entropy
from doorward.principal import Principal
from doorward.revocation.model import LiveSet
from doorward.secret import Secret
from doorward.sessions.model import IssuedToken, Session
from doorward.tokens.access import (
    AccessClaims,
    AccessTokenVerifier,
    principal_of,
    read_unverified_access_token,
    sign_access_token,
)
from doorward.tokens.cache import RememberedToken
from doorward.tokens.status_list import refer
from doorward.wire.identifiers import new_identifier

MOST_REMEMBERED = 20_000
"""How many verified tokens are remembered: about 20 MB."""


class Verified(NamedTuple):
    """An access token that is genuine.

    Args:
        claims: what it says.
        principal: who that is.
        revoked: whether it is accepted no more all the same.
    """

    claims: AccessClaims
    principal: Principal
    revoked: bool


UPSTREAM_LIFETIME = timedelta(seconds=60)
"""How long a token lives that a proxy hands to what is behind it: a request's way, and some allowance for clocks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardedToken:
    """A token for what is behind a proxy.

    Args:
        text: the token.
        claims: what it says.
        kid: what signed it.
    """

    text: Secret
    claims: AccessClaims
    kid: str


class TokenDesk:
    """Issues access tokens, and checks those that are presented.

    Args:
        options: of the deployment.
        entropy: what ``jti`` is made of.

    ``remembered`` are the tokens that were verified before.
    """

    def __init__(self, options: Options, *, entropy: Entropy) -> None:
        self._options = options
        self._entropy = entropy
        self._signing: SigningKey | None = None
        self.remembered: Memory[RememberedToken] = Memory(MOST_REMEMBERED)
        self._acknowledged: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._verifier = AccessTokenVerifier(
            issuer=options.issuer, audience=options.token_audience, keys={}, clock_skew=options.clock_skew
        )

    @property
    def ready(self) -> bool:
        """Whether there is a key to sign with."""
        return self._signing is not None

    @property
    def signing_key(self) -> SigningKey:
        """The key to sign with.  Raises StoreUnavailable where none has been loaded."""
        if self._signing is None:
            raise StoreUnavailable(detail="the signing keys have not been loaded yet")
        return self._signing

    def knows(self, signing: str | None, verifying: AbstractSet[str]) -> bool:
        """Whether these are, by their ``kid``, the keys in use."""
        mine = self._signing.kid if self._signing is not None else None
        return mine == signing and self._verifier.keys.keys() == verifying

    def take_keys(self, signing: SigningKey | None, verifying: Mapping[str, VerificationKey]) -> None:
        """Put other keys in place of those known, and forget every token that was verified with those."""
        self._signing = signing
        self._verifier.keys = verifying
        # After the keys: a thread that is verifying with the old ones right now remembers nothing.
        self.remembered.forget_all()

    def drop(self, revoked: Collection[str]) -> bool:
        """Neither sign nor verify with these keys any more, whatever takes their place.  Whether there were any."""
        keys = self._verifier.keys
        if keys.keys().isdisjoint(revoked):
            return False
        left = {kid: key for kid, key in keys.items() if kid not in revoked}
        self.take_keys(None if self._signing is None or self._signing.kid in revoked else self._signing, left)
        return True

    def issue(self, session: Session, account: Owner, *, now: datetime) -> IssuedToken:
        """Mint an access token for a session.

        Args:
            session: the row.
            account: whose it is.
            now: read before the statement that the row comes from, so that ``exp`` is counted from what was known.
        """
        claims = self._claims(session, account, self._options.token_audience, self._options.access_lifetime, now=now)
        if session.strategy == "hybrid":
            claims = msgspec.structs.replace(claims, gen=session.generation)
        text = Secret(sign_access_token(claims, self.signing_key))
        return IssuedToken(text=text, expires_in=timedelta(seconds=max(claims.exp - claims.iat, 0)))

    def issue_for_upstream(self, session: Session, account: Owner, *, audience: str, now: datetime) -> ForwardedToken:
        """Mint a short token for a session, which a proxy hands to what is behind it.

        It names no generation: the client of the session never sees it, so it acknowledges nothing.
        """
        key = self.signing_key
        claims = self._claims(session, account, audience, UPSTREAM_LIFETIME, now=now)
        text = Secret(sign_access_token(claims, key))
        return ForwardedToken(text=text, claims=claims, kid=key.kid)

    def _claims(
        self, session: Session, account: Owner, audience: str, lifetime: timedelta, *, now: datetime
    ) -> AccessClaims:
        issued_at = int(now.timestamp())
        return AccessClaims(
            iss=self._options.issuer,
            sub=account.id,
            aud=audience,
            # No lease outlives what it is a lease on.
            exp=min(issued_at + int(lifetime.total_seconds()), int(session.leaves_at.timestamp())),
            iat=issued_at,
            jti=new_identifier(self._entropy),
            client_id=session.client,
            sid=session.id,
            ver=account.version,
            auth_time=int(session.authenticated_at.timestamp()),
            amr=session.methods,
            status=None if session.status_index is None else refer(session.status_index, issuer=self._options.issuer),
            roles=account.roles,
            scope=" ".join(self._options.scopes_of(account.roles)),
        )

    def is_acknowledged(self, session_id: str, generation: int, *, seconds: float) -> bool:
        """Whether the store need not be told, at an instant (seconds since 1970), that this generation was seen."""
        known = self._acknowledged.get(session_id)
        return known is not None and known[0] >= generation and seconds < known[1]

    def note_acknowledged(self, session_id: str, generation: int, *, until: float = inf) -> None:
        """Remember that the store was told, or that it could not be and is not asked again until an instant."""
        self._acknowledged[session_id] = (generation, until)
        self._acknowledged.move_to_end(session_id)
        if len(self._acknowledged) > MOST_REMEMBERED:
            self._acknowledged.popitem(last=False)

    def verify(self, text: Secret, *, live: LiveSet, seconds: float) -> Verified:
        """Check an access token, and whether it has been revoked.

        Args:
            text: what was presented, anything at all.
            live: the revocations.
            seconds: the instant of the request, in seconds since 1970.

        Raises:
            InvalidToken: it is not ours, not now or not for us.
        """
        token, memory = text.reveal(), self.remembered
        # Taken before the keys are; see take_keys.
        young = memory.young
        found = young.get(token) or memory.find_among_old(token)
        if found is not None and found.since <= seconds < found.until:
            memory.hits += 1
        else:
            memory.misses += 1
            claims, _ = self._verifier.check(token, seconds=seconds)
            found = _remembered(claims, since=seconds)
            memory.keep(token, found, among=young)
        # Remembered or not: what was true a moment ago may have been revoked since.
        revoked = live.revokes(session=found.session, account=found.account, version=found.version, token=found.token)
        return Verified(found.claims, found.principal, revoked is not None)

    def is_last_of_revoked_key(self, text: Secret, *, live: LiveSet) -> bool:
        """Whether a token names a revoked key, and a session that has nothing but such a token.

        Nothing of it has been verified, since whoever has the key can sign: it decides what the refusal says, and
        neither whether there is one nor what becomes of the session.
        """
        if not live.keys:
            return False
        try:
            header, claims = read_unverified_access_token(text.reveal())
        except InvalidToken:
            return False
        kid = header.get("kid")
        return isinstance(kid, str) and kid in live.keys and "gen" not in claims


def _remembered(claims: AccessClaims, *, since: float) -> RememberedToken:
    return RememberedToken(
        since=since,
        until=claims.exp,
        session=claims.sid,
        account=claims.sub,
        version=claims.ver,
        token=claims.jti,
        generation=claims.gen,
        principal=principal_of(claims),
        claims=claims,
    )
