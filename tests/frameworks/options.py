"""What all applications are given alike: the same deployment, whatever the framework."""

from __future__ import annotations

from typing import Any

from doorward import Secret
from doorward.options import Strategy
from tests.frameworks.clock import SharedClock

ADMIN_KEY = "an-admin-key-that-nobody-guesses"
ELSEWHERE = "https://app.example.com"
"""The origin of a page that may call with credentials."""


def options(strategy: Strategy, clock: SharedClock, *, issuer: str, database: str = "memory:") -> dict[str, Any]:
    """The arguments of ``Doorward``."""
    return {
        "database": database,
        "strategy": strategy,
        "issuer": issuer,
        "secret": "the secret of a deployment in tests, long enough",
        "clock": clock,
        "ticks": clock.ticks,
        "admin_key": Secret(ADMIN_KEY),
        "cors_origins": (ELSEWHERE,),
        "role_scopes": {"editor": ("write",)},
        "insecure_fast_hashing": True,
    }
