"""A service in a process of its own: it verifies the tokens that it is given again and again, until each is refused.

``python -m tests.e2e.watcher KIND ISSUER CREDENTIAL MAX_STALENESS``, where KIND is ``threads`` or ``asyncio``.  A line
of its input is a token to watch.  A line of its output is what became of one, or that nothing can be told for now, as
JSON with instants by the clock that all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta

from doorward.errors import InvalidToken
from doorward.revocation.freshness import boot_seconds
from doorward.verifier import NotFresh, Verifier
from doorward.verifier.replica import State

AUDIENCE = "payments"
PAUSE = 0.005


class Watcher:
    """Tokens that are still accepted, and when each was last."""

    def __init__(self, verifier: Verifier) -> None:
        self.verifier = verifier
        self.watched: dict[str, float | None] = {}
        self._stale = False

    def watch(self, lines: Iterator[str]) -> None:
        for line in lines:
            self.watched[line.strip()] = None

    def look(self, token: str) -> None:
        begun = boot_seconds()
        try:
            self.verifier.verify(token, revocation="immediate")
        except InvalidToken:
            tell({"token": token, "accepted": self.watched.pop(token), "refused": boot_seconds()})
        except NotFresh:
            if not self._stale:
                tell({"stale": boot_seconds()})
            self._stale = True
        else:
            self._stale = False
            self.watched[token] = begun


def tell(what: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def by_threads(watcher: Watcher) -> None:
    with watcher.verifier:
        threading.Thread(target=watcher.watch, args=(iter(sys.stdin),), daemon=True).start()
        while watcher.verifier.state.state is not State.FRESH:
            time.sleep(PAUSE)
        tell({"fresh": True})
        while True:
            for token in list(watcher.watched):
                watcher.look(token)
            time.sleep(PAUSE)


async def by_asyncio(watcher: Watcher) -> None:
    async with watcher.verifier:
        reading = asyncio.create_task(asyncio.to_thread(watcher.watch, iter(sys.stdin)))
        while watcher.verifier.state.state is not State.FRESH:  # noqa: ASYNC110 -- other threads are watched
            await asyncio.sleep(PAUSE)
        tell({"fresh": True})
        while not reading.done():
            for token in list(watcher.watched):
                watcher.look(token)
            await asyncio.sleep(PAUSE)


def main(kind: str, issuer: str, credential: str, max_staleness: str) -> None:
    verifier = Verifier(
        issuer=issuer,
        audience=AUDIENCE,
        credential=credential,
        max_staleness=timedelta(seconds=float(max_staleness)),
        insecure_http=True,
    )
    if kind == "asyncio":
        asyncio.run(by_asyncio(Watcher(verifier)))
    else:
        by_threads(Watcher(verifier))


if __name__ == "__main__":
    main(*sys.argv[1:])
