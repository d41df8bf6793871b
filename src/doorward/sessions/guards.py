"""Connections that stay open: each is watched for as long as its session stands and what it demands is given."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta

from doorward.assurance import Demands, decide_assurance
from doorward.deployment import Deployment
from doorward.errors import DoorwardError, InvalidToken, StoreUnavailable, Unavailable
from doorward.principal import Principal
from doorward.revocation.model import Change, Kind
from doorward.sessions.reassessment import look_again

SWEEP_EVERY = timedelta(seconds=1)
"""How often it is looked which sessions may have run out.  What is ended on purpose is told at once."""

MOST_LOOK_UPS = 16
"""At once: the end of ten thousand sessions is no reason to keep the store from its other work."""

_log = logging.getLogger(__name__)


class Guard:
    """One connection that stays open.

    Attributes:
        principal: who is at its other end, as the store last said.
        demands: what must be given for as long as it is open.
        over: done with why as soon as it may stay open no more.
        look_at: when the store is asked anyway, in ticks.
        runs_out_at: when the session ends unless it is used, likewise.
        doubtful_since: when something was told that concerns it and has not been cleared up yet.
        judging: whether the store is being asked.
        told_again: whether something was told meanwhile.
    """

    __slots__ = ("demands", "doubtful_since", "judging", "look_at", "over", "principal", "runs_out_at", "told_again")

    def __init__(self, principal: Principal, demands: Demands) -> None:
        self.principal = principal
        self.demands = demands
        self.over: asyncio.Future[DoorwardError] = asyncio.get_running_loop().create_future()
        self.look_at = self.runs_out_at = math.inf
        self.doubtful_since: float | None = None
        self.judging = self.told_again = False


class Guards:
    """All connections of a process that stay open, by whose they are.

    Whatever ends a session or changes an account reaches the live set, which tells here; then the store is asked, once
    for each connection that it concerns.  It is asked too when a session may have run out, and every lifetime of an
    access token: a revocation may be forgotten after that, so one that was missed would never be heard of.

    A store that does not answer cuts off nobody of whom nothing is known.  Whoever is concerned by something, or may
    have run out, is cut off when that cannot be cleared up within ``max_staleness``; so is whoever demands revocations
    as they are now, as soon as what this process knows is stale.

    Used by one event loop.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._by_session: dict[str, set[Guard]] = {}
        self._by_account: dict[str, set[Guard]] = {}
        self._asking: set[asyncio.Task[None]] = set()
        self._at_once = asyncio.Semaphore(MOST_LOOK_UPS)
        self._sweeping: asyncio.Task[None] | None = None
        deployment.hub.listeners.add(self._told)

    def __len__(self) -> int:
        return sum(map(len, self._by_session.values()))

    @property
    def accounts(self) -> frozenset[str]:
        """Whose connections are open."""
        return frozenset(self._by_account)

    async def begin(self, principal: Principal, demands: Demands) -> Guard:
        """Watch a connection, once the store has said that its session stands.  ``end`` it in any case.

        Args:
            principal: who is at its other end.
            demands: what must be given for as long as it is open; how fresh the proof of identity is counts now alone.

        Raises:
            DoorwardError: why it may not be open.
        """
        refused = decide_assurance(principal, demands, now=self._deployment.clock())
        if refused is not None:
            raise refused
        guard = Guard(principal, replace(demands, fresh=None))
        # Before the store is asked: what happens from here on is told.
        self._by_session.setdefault(principal.session_id, set()).add(guard)
        self._by_account.setdefault(principal.subject, set()).add(guard)
        if self._sweeping is None:
            self._sweeping = asyncio.create_task(self._sweep(), name="doorward: watch connections")
        try:
            await self._judge(guard)
        except BaseException:
            self.end(guard)
            raise
        return guard

    def end(self, guard: Guard) -> None:
        """The connection is closed.  Twice does nothing."""
        _remove(self._by_session, guard.principal.session_id, guard)
        _remove(self._by_account, guard.principal.subject, guard)
        if not self._by_session and self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None

    def close(self) -> None:
        """Nobody watches any more: what is open is over."""
        self._deployment.hub.listeners.discard(self._told)
        for task in self._asking:
            task.cancel()
        for guard in self._all():
            self._finish(guard, Unavailable(detail="the server closes"))

    def _all(self) -> list[Guard]:
        return [guard for guards in self._by_session.values() for guard in guards]

    def _finish(self, guard: Guard, why: DoorwardError) -> None:
        self.end(guard)
        loop = guard.over.get_loop()
        if loop is _running_loop():
            _settle(guard.over, why)
        elif not loop.is_closed():
            # An application's tests may call from a loop of their own.
            loop.call_soon_threadsafe(_settle, guard.over, why)

    # What is told

    def _told(self, changes: Sequence[Change]) -> None:
        for _, entry in changes:
            match entry.kind:
                case Kind.SESSION:
                    self._doubt(self._by_session.get(entry.id, ()))
                case Kind.ACCOUNT:
                    self._doubt(self._by_account.get(entry.id, ()))
                case Kind.KEY:
                    # Whoever has the key can have made the token, of any session, whether that stands or not.
                    for guard in self._all():
                        if guard.principal.carrier == "token":
                            self._finish(guard, InvalidToken("a signing key has been revoked"))
                        else:
                            # Everybody's sessions may have ended with it, without an entry for each.
                            self._doubt([guard])
                case Kind.TOKEN:
                    pass  # the session is what is followed

    def _doubt(self, guards: Iterable[Guard]) -> None:
        now = self._deployment.ticks()
        for guard in tuple(guards):
            if guard.doubtful_since is None:
                guard.doubtful_since = now
            self._ask(guard)

    # What time does

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(min(SWEEP_EVERY, self._deployment.options.max_staleness / 2).total_seconds())
            self.sweep()

    def sweep(self) -> None:
        """Ask about whoever is due, and cut off those about whom there was no answer."""
        now, fresh = self._deployment.ticks(), self._deployment.is_fresh
        longest = self._deployment.options.max_staleness.total_seconds()
        for guard in self._all():
            if guard.doubtful_since is not None and now - guard.doubtful_since > longest:
                self._finish(guard, StoreUnavailable(detail="the store does not say whether the session stands"))
            elif guard.demands.revocation == "immediate" and not fresh:
                self._finish(guard, StoreUnavailable(detail="what is known of revocations is too old"))
            elif now >= guard.runs_out_at:
                self._doubt([guard])
            elif now >= guard.look_at or guard.doubtful_since is not None:
                self._ask(guard)

    # What the store says

    def _ask(self, guard: Guard) -> None:
        if guard.judging:
            guard.told_again = True  # what is being read may be from before
            return
        task = asyncio.create_task(self._judge_alone(guard), name="doorward: judge a connection")
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        guard.judging = True

    async def _judge_alone(self, guard: Guard) -> None:
        try:
            await self._judge(guard)
        except Unavailable as error:
            _log.warning("it cannot be told whether a connection may stay open: %s", error.detail or error.public)
        except DoorwardError as refusal:
            self._finish(guard, refusal)
        except Exception:  # noqa: BLE001 -- a bug, which must not leave the connection open for good
            _log.exception("judging a connection failed")
            self._finish(guard, Unavailable(detail="a bug"))

    async def _judge(self, guard: Guard) -> None:
        guard.judging = True
        try:
            async with self._at_once:
                await self._judge_once(guard)
                while guard.told_again:
                    await self._judge_once(guard)
            guard.doubtful_since = None
        finally:
            guard.judging = False

    async def _judge_once(self, guard: Guard) -> None:
        guard.told_again = False
        deployment = self._deployment
        asked_at = deployment.ticks()
        principal, stands_for = await look_again(deployment, guard.principal)
        refused = decide_assurance(principal, guard.demands, now=deployment.clock())
        if refused is not None:
            raise refused
        guard.principal = principal
        guard.runs_out_at = asked_at + stands_for.total_seconds()
        guard.look_at = min(guard.runs_out_at, asked_at + deployment.options.access_lifetime.total_seconds())


def _remove(index: dict[str, set[Guard]], name: str, guard: Guard) -> None:
    of_one = index.get(name, set())
    of_one.discard(guard)
    if not of_one:
        index.pop(name, None)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _settle(over: asyncio.Future[DoorwardError], why: DoorwardError) -> None:
    if not over.done():
        over.set_result(why)
