"""Verifiers in a process of their own, for ``benchmarks/fleet.py``: told a token, they tell when each refused it.

``python -m benchmarks.fleet_verifiers COUNT ISSUER CREDENTIAL``
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import timedelta

from doorward.errors import InvalidToken
from doorward.revocation.freshness import boot_seconds
from doorward.verifier import Verifier
from tests.e2e.watcher import AUDIENCE

_WITHIN = timedelta(seconds=60)


class Noting(Verifier):
    """Notes when it first refuses a token: it asks itself whenever it has learned something."""

    watched: str | None = None
    refused_at = 0.0

    def watch(self, token: str) -> None:
        """Accept the token once, and note when it is accepted no more."""
        self.verify(token)
        self.refused = threading.Event()
        self.watched = token

    def _take_news(self) -> None:
        super()._take_news()
        if self.watched is None:
            return
        try:
            self.verify(self.watched)
        except InvalidToken:
            self.refused_at, self.watched = boot_seconds(), None
            self.refused.set()


def main(count: str, issuer: str, credential: str) -> None:
    """Watch one token after the other."""
    with ExitStack() as stack:
        verifiers = [
            stack.enter_context(
                Noting(
                    issuer=issuer, audience=AUDIENCE, credential=credential, insecure_http=True, start_within=_WITHIN
                )
            )
            for _ in range(int(count))
        ]
        tell({"ready": len(verifiers)})
        for line in sys.stdin:
            for verifier in verifiers:
                verifier.watch(line.strip())
            tell({"watched": len(verifiers)})
            for verifier in verifiers:
                verifier.refused.wait()
            tell({"refused": [verifier.refused_at for verifier in verifiers]})


def tell(what: Mapping[str, object]) -> None:
    """Print a line."""
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
