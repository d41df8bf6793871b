"""What a service installs that takes Doorward's access tokens: keys, claims, revocations (docs/guides/verifier.md).

It needs the base install alone, and imports no store and no HTTP server.
"""

from __future__ import annotations

from doorward.assurance import Demand, Demands
from doorward.verifier.options import OnStale, VerifierOptions, WhenCold
from doorward.verifier.replica import State
from doorward.verifier.verifier import NotFresh, Verifier, VerifierState

__all__ = [
    "Demand",
    "Demands",
    "NotFresh",
    "OnStale",
    "State",
    "Verifier",
    "VerifierOptions",
    "VerifierState",
    "WhenCold",
]
