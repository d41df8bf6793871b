"""The state of a verifier for Prometheus."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from doorward.errors import InvalidToken
from doorward.prometheus import VerifierCollector
from tests.verifier.conftest import Verifiers, eventually
from tests.verifier.issuer import Issuer


def text_of(registry: CollectorRegistry) -> str:
    return generate_latest(registry).decode()


def test_the_state_is_shown_as_it_is_when_the_metrics_are_read(issuer: Issuer, a_verifier: Verifiers) -> None:
    verifier = a_verifier(when_cold="refuse")
    registry = CollectorRegistry()
    registry.register(VerifierCollector(verifier))
    eventually(lambda: 'doorward_verifier_fresh{audience="payments"} 1.0' in text_of(registry))
    token = issuer.a_token()
    verifier.verify(token)
    verifier.verify(token)
    issuer.revoke(name="ses_2")
    eventually(lambda: 'doorward_verifier_live_revocations{audience="payments"} 1.0' in text_of(registry))
    text = text_of(registry)
    for line in ("keys", "tokens_remembered", "hits_total", "misses_total"):
        assert f'doorward_verifier_{line}{{audience="payments"}} 1.0' in text, line
    for line in ("staleness_seconds", "reconnects_total", "issuer_ahead_seconds"):
        assert f"doorward_verifier_{line}{{" in text, line
    with pytest.raises(InvalidToken):
        verifier.verify(issuer.a_token(sid="ses_2"))


def test_a_cold_verifier_is_infinitely_stale(issuer: Issuer, a_verifier: Verifiers) -> None:
    verifier = a_verifier(when_cold="refuse")
    verifier.close()
    registry = CollectorRegistry()
    registry.register(VerifierCollector(verifier))
    text = text_of(registry)
    assert 'doorward_verifier_fresh{audience="payments"} 0.0' in text
    assert 'doorward_verifier_staleness_seconds{audience="payments"} +Inf' in text


def test_two_verifiers_of_one_audience_are_not_mixed_up(issuer: Issuer, a_verifier: Verifiers) -> None:
    one = a_verifier(when_cold="refuse")
    with pytest.raises(ValueError, match="audience"):
        VerifierCollector(one, a_verifier(when_cold="refuse"))
    VerifierCollector(one, a_verifier(when_cold="refuse", audience="search"))
