from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any

import pytest

from doorward.revocation.freshness import boot_seconds
from doorward.verifier import Verifier
from tests.verifier.issuer import AUDIENCE, CREDENTIAL, Issuer, an_issuer


class FakeTicks:
    """Real ticks, and what they are moved by."""

    def __init__(self) -> None:
        self.moved = 0.0

    def __call__(self) -> float:
        return boot_seconds() + self.moved


def eventually(true: Callable[[], bool], *, within: float = 20) -> None:
    """Wait for what another thread is about to do; no test passes or fails by how long that takes."""
    end = time.monotonic() + within
    while not true():
        assert time.monotonic() < end, "it has not come to that"
        time.sleep(0.005)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with an_issuer() as running:
        yield running


Verifiers = Callable[..., Verifier]


@contextmanager
def verifiers_of(issuer: Issuer, kind: type[Verifier] = Verifier) -> Iterator[Verifiers]:
    """Makes started verifiers of an issuer, and closes them."""
    with ExitStack() as stack:

        def a_verifier(**changes: Any) -> Verifier:
            options: dict[str, Any] = {
                "issuer": issuer.address,
                "audience": AUDIENCE,
                "credential": CREDENTIAL,
                "max_staleness": timedelta(seconds=2),
                "insecure_http": True,
                "start_within": timedelta(seconds=20),
            }
            return stack.enter_context(kind(**options | changes))

        yield a_verifier


@pytest.fixture
def a_verifier(issuer: Issuer) -> Iterator[Verifiers]:
    with verifiers_of(issuer) as make:
        yield make
