"""What ``doorward serve`` serves: the ASGI app of the contract with housekeeping, metrics and logs around it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime, timedelta
from multiprocessing import parent_process
from typing import TYPE_CHECKING

from doorward.doorward import Doorward
from doorward.errors import DoorwardError
from doorward.revocation.model import Change
from doorward.secret import Secret
from doorward.secret_file import read_or_make_secret
from doorward.server.forwarded import ForwardedMiddleware, parse_proxies
from doorward.server.logs import set_up_logs
from doorward.server.metrics import Metrics, Readings
from doorward.server.settings import Settings, load_settings, pages_of
from doorward.web.asgi import App, DoorwardApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess as ParentProcess

    from doorward.lab.app import Lab

HOUSEKEEPING_EVERY = timedelta(minutes=1)
REFRESHED_EVERY = timedelta(seconds=5)
MOST_BATCHES = 20
"""Batches of one round of housekeeping: what is left is left for the next, so that requests never wait for it long."""

_FREQUENT = frozenset({"read_health", "read_readiness", "read_metrics", "page_asset", "read_revocation_digests"})

_log = logging.getLogger("doorward.server")


class ServerApp:
    """The ASGI app of a server process.

    Args:
        auth: the deployment, opened and closed by ``life``.
        settings: of the server.
        supervisor: the process that has started this one as a worker, or None.
    """

    def __init__(self, auth: Doorward, settings: Settings, *, supervisor: ParentProcess | None = None) -> None:
        self.auth = auth
        self._supervisor = supervisor
        self._settings = settings
        self._metrics = Metrics(self._readings)
        self._lab = _lab(settings)
        contract = DoorwardApp(auth, metrics=self._metrics.text, observer=self._observe, pages=pages_of(settings))
        self._api = contract.api
        proxies = parse_proxies(settings.forwarded_allow_ips)
        self._contract: App = ForwardedMiddleware(contract, proxies) if proxies else contract

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif self._lab is not None and scope["type"] == "http" and f"{scope['path']}/".startswith("/lab/"):
            await self._lab(scope, receive, send)
        else:
            await self._contract(scope, receive, send)

    @contextlib.asynccontextmanager
    async def life(self) -> AsyncIterator[None]:
        """The deployment is open and kept in order.

        Raises:
            DatabaseUnusable, ConfigurationError, Unavailable: it cannot be opened; says what to do.
        """
        async with self.auth, self._lab.life() if self._lab is not None else contextlib.nullcontext():
            # Once more, now that the secret is known that may have been made just now.
            set_up_logs(
                self._settings.log_format, level=self._settings.log_level, known=secrets_of(self.auth, self._settings)
            )
            self.auth.deployment.hub.observer = self._measure
            work = {"housekeeping": self._keep_house(), "metrics": self._refresh_metrics()}
            tasks = [asyncio.create_task(each, name=f"doorward: {name}") for name, each in work.items()]
            try:
                with _ending_with(self._supervisor):
                    yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            async with self.life():
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except DoorwardError as error:
            failed: Message = {"type": "lifespan.startup.failed", "message": error.detail or error.public}
            await send(failed)
        else:
            await send({"type": "lifespan.shutdown.complete"})

    def _observe(self, operation: str, status: int, seconds: float) -> None:
        self._metrics.observe(operation, status, seconds)
        level = logging.DEBUG if operation in _FREQUENT else logging.INFO
        if _log.isEnabledFor(level):
            # Neither address nor query: an operation's name says what was asked, and nothing of who asked.
            about = {"operation": operation, "status": status, "milliseconds": round(seconds * 1000, 2)}
            _log.log(level, "request", extra=about)

    def _readings(self) -> Readings | None:
        if not self.auth.is_open:
            return None
        known = self.auth.deployment
        return Readings(
            staleness=known.freshness.staleness(now=known.ticks()),
            live_revocations=len(known.live),
            readers=known.hub.readers,
            readers_cut=known.hub.cut,
            hits={"sessions": known.cookies.hits, "tokens": known.desk.remembered.hits},
            incidents=known.incidents,
            refused_credentials=dict(known.limits.refused_credentials),
            misses={"sessions": known.cookies.misses, "tokens": known.desk.remembered.misses},
            in_flight=self._api.admission.in_flight,
            unavailable=dict(self._api.unavailable),
        )

    def _measure(self, now: datetime, changes: Sequence[Change]) -> None:
        """Note how long ago what readers were told has been committed: an entry dies so long after that."""
        for before, entry in changes:
            if before is None:
                self._metrics.told(now - (entry.dies_at - self.auth.options.revocations_live_for))

    async def _refresh_metrics(self) -> None:
        # Another worker may be the one that is asked for the metrics of all.
        while True:
            await asyncio.sleep(REFRESHED_EVERY.total_seconds())
            self._metrics.refresh()

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(HOUSEKEEPING_EVERY.total_seconds())
            try:
                await self.keep_house()
            except DoorwardError as error:
                _log.warning("housekeeping waits for the next round", extra={"cause": error.detail or error.public})
            except Exception:  # noqa: BLE001 -- whatever it is, it must not silently end housekeeping
                _log.exception("housekeeping failed; it goes on with the next round")

    async def keep_house(self) -> None:
        """One round: remove what has expired, in batches, and let requests in between them.

        Where another server is about it, the round is left to that one.
        """
        for _ in range(MOST_BATCHES):
            removed = await self.auth.remove_expired()
            self._metrics.removed(removed)
            if not removed.more:
                return
            await asyncio.sleep(0)


@contextlib.contextmanager
def _ending_with(supervisor: ParentProcess | None) -> Iterator[None]:
    """End this process in order when its supervisor is gone, however that ended: nobody else would end it.

    The supervisor holds the other end of a pipe, which closes with it.
    """
    if supervisor is None:
        yield
        return
    loop = asyncio.get_running_loop()

    def end() -> None:
        loop.remove_reader(supervisor.sentinel)
        _log.warning("the supervisor is gone; this worker ends")
        os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(supervisor.sentinel, end)
    try:
        yield
    finally:
        loop.remove_reader(supervisor.sentinel)


def _lab(settings: Settings) -> Lab | None:
    """The lab where it is asked for: what it needs is imported then alone."""
    if not settings.lab:
        return None
    from doorward.lab.app import Lab

    return Lab(settings.address)


def secrets_of(auth: Doorward, settings: Settings) -> list[Secret]:
    """Every secret of this deployment, so that logs can mask what equals one."""
    kept = [read_or_make_secret(auth.secret_file)] if auth.secret_file is not None and auth.secret_file.exists() else []
    return [*settings.secrets, *kept]


def create_app() -> ServerApp:
    """The app of one of several workers, which find their settings in the environment."""
    settings = load_settings().settings
    set_up_logs(settings.log_format, level=settings.log_level)
    app = ServerApp(settings.doorward(), settings, supervisor=parent_process())
    keep_for_good()
    return app


def keep_for_good() -> None:
    """Leave what there is to itself: modules, tables and classes, which live as long as the process.

    The collector would go through all of it again and again, and every request of that moment would wait meanwhile.
    """
    gc.collect()
    gc.freeze()
