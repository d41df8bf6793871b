"""Keeping what one process knows up to date with what the others do."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import weakref
from collections.abc import Sequence
from datetime import timedelta

from doorward.blocking import run_blocking
from doorward.deployment import DUE_EVERY, Deployment
from doorward.errors import DoorwardError
from doorward.keys import flow as keys
from doorward.options import Options, findings_of
from doorward.ports import Announcements
from doorward.pulse import BEATS_EVERY, Pulse
from doorward.revocation.flow import read_revocations
from doorward.revocation.model import Kind, Revocation
from doorward.verifiers.flow import read_verifiers

LEAST_PAUSE = timedelta(milliseconds=50)
"""Between two reads, however often somebody hints that there is something to read."""

STOP_TIMEOUT = timedelta(seconds=2)
"""How long closing waits for a thread in the middle of a read; it is a daemon, and ends with that read."""

_log = logging.getLogger(__name__)


async def read_changes(deployment: Deployment, *, makes_keys: bool) -> None:
    """Learn what other processes have revoked, and which keys and verifiers there are."""
    asked_at = deployment.ticks()
    as_of = await read_revocations(deployment)
    deployment.heed_revoked_keys()
    deployment.hub.read(as_of=as_of, asked_at=asked_at, over=deployment.timekeeper.trust(as_of, ticks=asked_at))
    await keys.load_keys(deployment, make=makes_keys)
    await read_verifiers(deployment)


class _Reads:
    """Reads again and again; what fails is logged, and must not silently end the watch: revocations by others would go
    unnoticed.
    """

    def __init__(self, deployment: Deployment, *, makes_keys: bool) -> None:
        self._deployment = deployment
        self._makes_keys = makes_keys
        self._failing = False

    async def once(self) -> None:
        try:
            await read_changes(self._deployment, makes_keys=self._makes_keys)
            self._failing = False
        except DoorwardError as error:
            if not self._failing:
                _log.warning("the store cannot be read, what is known stays in force: %s", error.detail)
            self._failing = True
        except Exception:  # noqa: BLE001 -- whatever it is
            _log.exception("watching the store failed; it goes on")


class Watch:
    """The background of an open deployment, under an event loop.

    Args:
        deployment: what is kept up to date.
        makes_keys: as for ``keys.flow.load_keys``.
        announcements: where other servers tell at once what they have revoked, or None.
    """

    def __init__(self, deployment: Deployment, *, makes_keys: bool, announcements: Announcements | None) -> None:
        self._deployment = deployment
        self._makes_keys = makes_keys
        self._hinted = asyncio.Event()
        _warn_of(deployment.options)
        deployment.pulse.start()
        self._loop = asyncio.get_running_loop()
        work = {"watch the store": self._read(), "beat": self._beat()}
        if announcements is not None:
            work["listen"] = announcements.listen(self._heard)
        self._tasks = [asyncio.create_task(each, name=f"doorward: {name}") for name, each in work.items()]

    def cancel(self) -> None:
        """Ask the background to end, from whatever thread.  With a loop that is closed its tasks are over as well."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def stop(self) -> None:
        """Come to rest, and end the streams of those who read the feed."""
        self.cancel()
        if self._loop is asyncio.get_running_loop():
            await asyncio.gather(*self._tasks, return_exceptions=True)
        self._deployment.hub.close()

    def _heard(self, revocations: Sequence[Revocation] | None) -> None:
        """Another server has told what it revoked; None: it had too much to tell, or something may have been missed."""
        if revocations is not None:
            # One that is dead already must not stay until the next complete read.
            now = self._deployment.clock()
            self._deployment.live.merge([each for each in revocations if each.dies_at > now])
            self._deployment.heed_revoked_keys()
        if revocations is None or any(each.kind is Kind.KEY for each in revocations):
            self._hinted.set()

    async def _read(self) -> None:
        reads = _Reads(self._deployment, makes_keys=self._makes_keys)
        while True:
            await self._until_due()
            await reads.once()

    async def _until_due(self) -> None:
        await asyncio.sleep(LEAST_PAUSE.total_seconds())
        try:
            async with asyncio.timeout((DUE_EVERY - LEAST_PAUSE).total_seconds()):
                await self._hinted.wait()
        except TimeoutError:
            return
        self._hinted.clear()

    async def _beat(self) -> None:
        # On its own: a server that waits for its store goes on to say how old its knowledge is.
        while True:
            await asyncio.sleep(BEATS_EVERY.total_seconds())
            self._deployment.pulse.beat()
            self._deployment.hub.beat()


class WatchingThread:
    """The background of a host without an event loop: a thread, in each process that asks for it.

    A fork takes no thread along, so whoever answers requests says so each time (``keep_on``), and the first request of
    a forked process starts its own.  A process that asks for none, such as a command, has none.  It ends with
    ``stop``, with the process, and with whose it is.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._process = 0

    def is_on(self) -> bool:
        """Whether it runs, in this process."""
        return self._process == os.getpid() and self._thread is not None and self._thread.is_alive()

    def keep_on(self, deployment: Deployment, *, makes_keys: bool, whose: object) -> None:
        """Start it unless it runs in this process; costs next to nothing where it does."""
        if self.is_on():
            return
        with self._lock:
            if self.is_on():
                return
            over = self._over = threading.Event()
            _warn_of(deployment.options)
            deployment.pulse.start()
            reads = _Reads(deployment, makes_keys=makes_keys)
            # A daemon: whoever waits for the store must not keep a process from ending.
            arguments = (over, reads, deployment.pulse)
            self._thread = threading.Thread(target=_read_until, args=arguments, name="doorward-watch", daemon=True)
            self._thread.start()
            self._process = os.getpid()
            # The thread does not know whose it is, so that it ends when nobody holds that any more, or at exit.
            weakref.finalize(whose, over.set)

    def stop(self) -> None:
        """End it, and come back once it has ended, or soon will have."""
        self._over.set()
        if self.is_on() and self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(STOP_TIMEOUT.total_seconds())
        self._thread = None


def _read_until(over: threading.Event, reads: _Reads, pulse: Pulse) -> None:
    while not over.wait(DUE_EVERY.total_seconds()):
        pulse.beat()
        run_blocking(reads.once())
        pulse.beat()
    pulse.stop()


def _warn_of(options: Options) -> None:
    """Log what may be meant and deserves a second look, in a process that answers requests."""
    for finding in findings_of(options):
        _log.warning("%s: %s %s", finding.id, finding.message, finding.remedy)
