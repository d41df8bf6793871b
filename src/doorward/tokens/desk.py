"""Where access tokens are issued and taken back: the keys in memory, and what was verified before."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from doorward.accounts.model import Owner
from doorward.errors import StoreUnavailable
from doorward.keys.model import SigningKey, VerificationKey
from doorward.options import Options
from doorward.ports import Entropy
from doorward.principal import Principal
from doorward.revocation.model import LiveSet
from doorward.secret import Secret
from doorward.sessions.model import IssuedToken, Session
from doorward.tokens.access import AccessClaims, AccessTokenVerifier, sign_access_token
from doorward.tokens.cache import VerifiedTokens
from doorward.tokens.status_list import refer
from doorward.wire.identifiers import new_identifier

_FOR_GOOD = datetime.max.replace(tzinfo=UTC)

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


class TokenDesk:
    """Issues access tokens, and checks those that are presented.

    Args:
        options: of the deployment.
        entropy: what ``jti`` is made of.
    """

    def __init__(self, options: Options, *, entropy: Entropy) -> None:
        self._options = options
        self._entropy = entropy
        self._signing: SigningKey | None = None
        self._remembered = VerifiedTokens(MOST_REMEMBERED)
        self._acknowledged: OrderedDict[str, tuple[int, datetime]] = OrderedDict()
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
        """Put other keys in place of those known."""
        self._signing = signing
        self._verifier.keys = verifying
        self._remembered.forget_all()

    def issue(self, session: Session, account: Owner, *, now: datetime) -> IssuedToken:
        """Mint an access token for a session.

        Args:
            session: the row.
            account: whose it is.
            now: read before the statement that the row comes from, so that ``exp`` is counted from what was known.
        """
        issued_at = int(now.timestamp())
        # No lease outlives what it is a lease on.
        lifetime = int(self._options.access_lifetime.total_seconds())
        expires_at = min(issued_at + lifetime, int(session.leaves_at.timestamp()))
        claims = AccessClaims(
            iss=self._options.issuer,
            sub=account.id,
            aud=self._options.token_audience,
            exp=expires_at,
            iat=issued_at,
            jti=new_identifier(self._entropy),
            client_id=session.client,
            sid=session.id,
            gen=session.generation if session.strategy == "hybrid" else None,
            ver=account.version,
            auth_time=int(session.authenticated_at.timestamp()),
            amr=session.methods,
            status=None if session.status_index is None else refer(session.status_index, issuer=self._options.issuer),
            roles=account.roles,
            scope=" ".join(self._options.scopes_of(account.roles)),
        )
        text = Secret(sign_access_token(claims, self.signing_key))
        return IssuedToken(text=text, expires_in=timedelta(seconds=max(expires_at - issued_at, 0)))

    def is_acknowledged(self, session_id: str, generation: int, *, now: datetime) -> bool:
        """Whether the store need not be told, for now, that this generation has been seen."""
        known = self._acknowledged.get(session_id)
        return known is not None and known[0] >= generation and now < known[1]

    def note_acknowledged(self, session_id: str, generation: int, *, until: datetime = _FOR_GOOD) -> None:
        """Remember that the store was told, or that it could not be and is not asked again until an instant."""
        self._acknowledged[session_id] = (generation, until)
        self._acknowledged.move_to_end(session_id)
        if len(self._acknowledged) > MOST_REMEMBERED:
            self._acknowledged.popitem(last=False)

    def verify(self, text: Secret, *, live: LiveSet, now: datetime) -> Verified:
        """Check an access token, and whether it has been revoked.

        Raises:
            InvalidToken: it is not ours, not now or not for us.
        """
        token = text.reveal()
        found = self._remembered.get(token, now=now)
        if found is None:
            found = self._remembered.put(token, self._verifier.verify(token, now=now), now=now)
        # Remembered or not: what was true a moment ago may have been revoked since.
        claims, principal, _ = found
        revoked = live.revokes(session=claims.sid, account=claims.sub, version=claims.ver, token=claims.jti)
        return Verified(claims, principal, revoked is not None)
