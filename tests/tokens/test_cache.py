"""A token that was verified is not verified again, while time alone cannot have changed the answer."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from doorward.options import Options
from doorward.revocation.model import Kind, LiveSet, Revocation
from doorward.secret import Secret
from doorward.tokens.access import sign_access_token
from doorward.tokens.desk import TokenDesk
from tests.tokens.minting import AUDIENCE, ES256, ISSUER, NOW, T, some_claims

TICK = timedelta(milliseconds=1)
DEATH = NOW + timedelta(seconds=900)


@pytest.fixture
def desk() -> TokenDesk:
    desk = TokenDesk(Options(issuer=ISSUER, audience=AUDIENCE), entropy=bytes)
    desk.take_keys(ES256, {ES256.kid: ES256.verification_key()})
    return desk


def verified_anew(desk: TokenDesk, token: Secret, *, now: datetime) -> bool:
    before = desk.remembered.misses
    desk.verify(token, live=LiveSet(), seconds=now.timestamp())
    return desk.remembered.misses > before


@pytest.mark.parametrize(
    ("now", "anew"),
    [(NOW - TICK, True), (NOW, False), (NOW + TICK, False), (DEATH - TICK, False), (DEATH, True), (DEATH + TICK, True)],
)
def test_it_is_remembered_from_its_verification_until_its_death(desk: TokenDesk, now: datetime, *, anew: bool) -> None:
    token = Secret(sign_access_token(some_claims(iat=T, exp=T + 900), ES256))
    assert verified_anew(desk, token, now=NOW)
    # Outside, the allowance for clocks that verifying makes still holds.
    assert verified_anew(desk, token, now=now) is anew


def test_what_has_been_revoked_since_is_revoked(desk: TokenDesk) -> None:
    claims, live = some_claims(), LiveSet()
    token = Secret(sign_access_token(claims, ES256))
    assert not desk.verify(token, live=live, seconds=T).revoked
    live.merge([Revocation(kind=Kind.TOKEN, id=claims.jti, value=0, dies_at=DEATH)])
    assert desk.verify(token, live=live, seconds=T).revoked
