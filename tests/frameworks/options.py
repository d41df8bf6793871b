"""What all applications are given alike: the same deployment, whatever the framework."""

from __future__ import annotations

from typing import Any

from doorward import Secret
from doorward.doorward import Doorward
from doorward.options import Strategy
from doorward.stores import open_store
from tests.frameworks.clock import SharedClock

ADMIN_KEY = "an-admin-key-that-nobody-guesses"
ELSEWHERE = "https://app.example.com"
"""The origin of a page that may call with credentials."""


def options(strategy: Strategy, clock: SharedClock, *, issuer: str) -> dict[str, Any]:
    """The arguments of ``Doorward``."""
    return {**settings(strategy, issuer=issuer), "clock": clock, "ticks": clock.ticks}


def settings(strategy: Strategy, *, issuer: str) -> dict[str, Any]:
    """Those of them that an application has in its settings."""
    return {
        "database": "memory:",
        "strategy": strategy,
        "issuer": issuer,
        "secret": "the secret of a deployment in tests, long enough",
        "admin_key": Secret(ADMIN_KEY),
        "cors_origins": (ELSEWHERE,),
        "role_scopes": {"editor": ("write",)},
        "insecure_fast_hashing": True,
    }


def go_by(clock: SharedClock, auth: Doorward) -> None:
    """Give a deployment that was made from settings, which hold no clock, the one that tests move.  It is not open."""
    auth._clock, auth._ticks = clock, clock.ticks
    auth._store = open_store(auth.database, clock=clock, blocking=auth.is_blocking)
