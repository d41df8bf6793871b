"""Verifying access tokens in a service that holds no accounts."""

from __future__ import annotations

import asyncio
import os
import random
import ssl
import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Self

from doorward.assurance import Demand, Demands, decide_assurance
from doorward.clocks import seconds_of, system_clock
from doorward.errors import Busy, InvalidToken, Unavailable
from doorward.keys.model import VerificationKey
from doorward.memory import Memory
from doorward.principal import Principal
from doorward.revocation.freshness import Ticks, boot_seconds
from doorward.secret import Secret
from doorward.tokens.access import CLOCK_SKEW, AccessTokenVerifier, principal_of
from doorward.tokens.compact import parse_compact
from doorward.verifier.options import CREDENTIAL_VARIABLE, OnStale, WhenCold, checked_options
from doorward.verifier.remembered import Remembered
from doorward.verifier.replica import Replica, State, Topic
from doorward.verifier.reports import Reports

if TYPE_CHECKING:
    from doorward.ports import Clock
    from doorward.verifier.background import Background
    from doorward.verifier.transport import IssuerClient

_MOST_INTROSPECTIONS = 32
_CLOSE_WITHIN = timedelta(seconds=1)
_random = random.SystemRandom()


class NotFresh(Unavailable):
    """Which sessions have ended is not known well enough to decide this.  It is not the caller's fault."""

    code = "not_fresh"
    public = "It cannot be told right now whether this session still lives. Try again."


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierState:
    """What a verifier knows and has done, for a host's metrics.

    Args:
        state: cold, fresh or stale.
        staleness: how old what is known of revocations is; None while nothing is.
        live_revocations: how many entries are held.
        keys: how many keys of the issuer are known.
        tokens_remembered: how many verified tokens are.
        hits: how many tokens were answered from there; counted without a lock, so a few may be missing.
        misses: how many were verified anew, likewise.
        reconnects: how many streams have ended or could not be had.
        issuer_ahead_by: how far the issuer's clock was ahead of this machine's when it last answered, less the way of
            that answer; None where it has not.
    """

    state: State
    staleness: timedelta | None
    live_revocations: int
    keys: int
    tokens_remembered: int
    hits: int
    misses: int
    reconnects: int
    issuer_ahead_by: timedelta | None


class Verifier:
    """Verifies access tokens of one issuer for one audience, in memory.

    The issuer's keys and its revocations arrive by themselves, by two threads that ``start`` begins (so do ``with``
    and ``async with``, and the first token of a process that was forked).  It may be used from any thread and any
    event loop.

    The options are those of `VerifierOptions`.

    Args:
        clock: this machine's time.
        ticks: a clock that nobody steps and that goes on while the machine sleeps (`Freshness`).

    Raises:
        ConfigurationError: the options cannot be honoured.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        credential: Secret | str | None = None,
        max_staleness: timedelta = timedelta(seconds=5),
        on_stale: OnStale = "allow",
        when_cold: WhenCold = "wait",
        start_within: timedelta = timedelta(seconds=5),
        introspect_within: timedelta = timedelta(seconds=2),
        clock_skew: timedelta = CLOCK_SKEW,
        tokens_remembered: int = 20_000,
        tls: ssl.SSLContext | None = None,
        insecure_http: bool = False,
        insecure_without_revocations: bool = False,
        clock: Clock | None = None,
        ticks: Ticks = boot_seconds,
    ) -> None:
        self.options = checked_options(
            issuer=issuer,
            audience=audience,
            credential=_credential(credential, wanted=not insecure_without_revocations),
            max_staleness=max_staleness,
            on_stale=on_stale,
            when_cold=when_cold,
            start_within=start_within,
            introspect_within=introspect_within,
            clock_skew=clock_skew,
            tokens_remembered=tokens_remembered,
            tls=tls,
            insecure_http=insecure_http,
            insecure_without_revocations=insecure_without_revocations,
        )
        self._clock = clock or system_clock
        self._seconds = seconds_of(clock)
        self._ticks = ticks
        self._reports = Reports()
        self._access = AccessTokenVerifier(
            issuer=issuer, audience=audience, keys={}, clock_skew=self.options.clock_skew
        )
        self._remembered: Memory[Remembered] = Memory(tokens_remembered)
        self._always_fresh_enough = on_stale == "allow"
        self._hits = self._misses = 0
        self._starting = threading.Lock()
        self._introspecting = threading.BoundedSemaphore(_MOST_INTROSPECTIONS)
        self._background: Background | None = None
        self._client: IssuerClient | None = None
        self._closed = False
        self._take_replica(self._a_replica())
        _verifiers.add(self)

    # Starting and ending

    def start(self) -> None:
        """Begin to learn keys and revocations.  Twice does nothing.

        With ``when_cold="wait"`` it returns when they are known, or after ``start_within``: it raises nothing then, and
        tokens are refused with `NotFresh` until the keys are known, so that a service does not die with its issuer.
        """
        with self._starting:
            self._closed = False
        background = self._running()
        if self.options.when_cold == "wait":
            background.ready.wait(self.options.start_within.total_seconds())

    def close(self) -> None:
        """End the threads.  Tokens are refused from then on."""
        with self._starting:
            self._closed = True
            background, self._background = self._background, None
        self._remembered.forget_all()
        if background is not None:
            background.close(within=_CLOSE_WITHIN)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)

    # Verifying

    def verify(self, token: str, *, revocation: Demand = "policy") -> Principal:
        """Tell who an access token speaks for.  A local call, but while ``on_stale="introspect"`` has to ask.

        Args:
            token: what was presented, anything at all.
            revocation: ``immediate`` where the route must not act on stale knowledge.

        Raises:
            InvalidToken: it is not ours, not now, not for us, or has been revoked; answer 401.
            NotFresh: that cannot be told now; answer 503.
        """
        seconds = self._seconds()
        found = self._remembered.young.get(token)
        if found is None or not found[0] <= seconds < found[1]:
            found = self._verify_anew(token, seconds)
        else:
            self._hits += 1
        # Remembered or not: what was true a moment ago may have been revoked since.
        sessions, accounts, tokens, keys = self._live
        _, _, session, account, version, jti, kid, principal = found
        if session in sessions or version < accounts.get(account, 0) or jti in tokens or kid in keys:
            raise InvalidToken("revoked")
        if (revocation != "policy" or not self._always_fresh_enough) and not self._is_fresh(seconds):
            self._when_not_fresh(token, revocation)
        return principal

    async def verify_async(self, token: str, *, revocation: Demand = "policy") -> Principal:
        """As ``verify``, for an event loop: where the issuer has to be asked, that happens in a thread."""
        if self.options.on_stale == "introspect" and revocation == "policy" and not self._is_fresh(self._seconds()):
            return await asyncio.to_thread(self.verify, token)
        return self.verify(token, revocation=revocation)

    def assure(self, principal: Principal, demands: Demands) -> None:
        """Raises what `decide_assurance` says, if anything.  Revocations are judged with the token, by ``verify``."""
        refused = decide_assurance(principal, demands, now=self._clock())
        if refused is not None:
            raise refused

    @property
    def state(self) -> VerifierState:
        """What is known, and what was done."""
        background, replica = self._background, self._replica
        state, staleness, reconnects = (State.COLD, None, 0) if background is None else background.state()
        return VerifierState(
            state=state,
            staleness=staleness,
            live_revocations=len(replica.live),
            keys=len(self._access.keys),
            tokens_remembered=len(self._remembered),
            hits=self._hits,
            misses=self._misses,
            reconnects=reconnects,
            issuer_ahead_by=replica.issuer_clock.ahead_by(at=self._ticks(), wall=self._clock()),
        )

    def _verify_anew(self, token: str, seconds: float) -> Remembered:
        young = self._remembered.young
        found = self._remembered.find_among_old(token)
        if found is None or not found.since <= seconds < found.until:
            background = self._running()
            if not self._access.keys:
                raise NotFresh(detail="the issuer's keys are not known yet")
            found = self._verify_signature(token, seconds, background)
        self._remembered.keep(token, found, among=young)
        return found

    def _verify_signature(self, token: str, seconds: float, background: Background) -> Remembered:
        self._misses += 1
        keys = self._access.keys
        try:
            claims, kid = self._access.check(token, seconds=seconds)
        except InvalidToken:
            if _names_unknown_key(token, keys):
                self._reports.tell(Topic.UNKNOWN_KEY, "a token names a key that the issuer has not published")
                background.want_keys()
            raise
        # By position, which takes half the time: since, until, then what may be revoked, then who that is.
        return Remembered(
            seconds, claims.exp, claims.sid, claims.sub, claims.ver, claims.jti, kid, principal_of(claims)
        )

    def _is_fresh(self, seconds: float) -> bool:
        ticks = self._ticks()
        fresh_until, offset = self._fresh
        return ticks <= fresh_until and seconds - ticks >= offset

    def _when_not_fresh(self, token: str, revocation: Demand) -> None:
        """The token is genuine, and not known to be revoked; return only if it may be accepted."""
        if revocation not in ("policy", "immediate"):
            raise ValueError("revocation is policy or immediate")
        if revocation == "immediate" or self.options.on_stale == "deny":
            raise NotFresh(detail="what is known of revocations is too old")
        self._introspect(token)

    def _introspect(self, token: str) -> None:
        from doorward.verifier.transport import NoAnswer

        client = self._client
        if client is None or not self._introspecting.acquire(blocking=False):
            raise Busy(detail="too many tokens are being asked about")
        try:
            active = client.is_active(token, within=self.options.introspect_within)
        except NoAnswer as error:
            self._reports.tell(Topic.INTROSPECTION, str(error))
            raise NotFresh(detail="the issuer did not say whether the token is good") from None
        finally:
            self._introspecting.release()
        self._reports.tell(Topic.INTROSPECTION, None)
        if not active:
            raise InvalidToken("the issuer says that it is not active")

    # The threads, and what they tell

    def _running(self) -> Background:
        background = self._background
        if background is not None:
            return background
        from doorward.verifier.background import Background
        from doorward.verifier.transport import IssuerClient

        options = self.options
        with self._starting:
            if self._closed:
                raise Unavailable(detail="the verifier is closed")
            if self._background is None:
                self._client = IssuerClient(options.issuer, credential=options.credential, tls=options.tls)
                self._background = Background(
                    self._replica,
                    self._client,
                    feed=options.credential is not None,
                    max_staleness=options.max_staleness,
                    clock=self._clock,
                    ticks=self._ticks,
                    chance=_random.random,
                    on_keys=self._take_keys,
                    on_news=self._take_news,
                    tell=self._reports.tell,
                )
                self._background.start()
            return self._background

    def _take_keys(self, keys: Mapping[str, VerificationKey]) -> None:
        known = self._access.keys
        if keys.keys() != known.keys() or any(keys[kid].material != known[kid].material for kid in keys):
            self._access.keys = keys
            self._remembered.forget_all()
            self._reports.tell(Topic.UNKNOWN_KEY, None)

    def _take_news(self) -> None:
        # One value, so that no request sees one half of it from before and the other from after.
        self._fresh = self._replica.fresh_until(), self._replica.issuer_clock.offset()

    def _a_replica(self) -> Replica:
        return Replica(
            max_staleness=self.options.max_staleness,
            clock_skew=self.options.clock_skew,
            chance=_random.random,
            tell=self._reports.tell,
        )

    def _take_replica(self, replica: Replica) -> None:
        self._replica = replica
        live = replica.live
        self._live = live.sessions, live.accounts, live.tokens, live.keys
        self._take_news()

    def after_fork(self) -> None:
        """A child has none of its parent's threads, and its locks may be held by one: it begins anew.

        It keeps the keys and the revocations that its parent knew, and counts as cold.  The first token starts it.
        """
        known = self._replica.live
        self._reports = Reports()
        self._starting = threading.Lock()
        self._introspecting = threading.BoundedSemaphore(_MOST_INTROSPECTIONS)
        self._remembered = Memory(self.options.tokens_remembered)
        self._background = self._client = None
        replica = self._a_replica()
        replica.remember(known, wall=self._clock())
        self._take_replica(replica)


def _credential(given: Secret | str | None, *, wanted: bool) -> Secret | None:
    if given is None and wanted:
        given = os.environ.get(CREDENTIAL_VARIABLE) or None
    return Secret(given) if isinstance(given, str) else given


def _names_unknown_key(token: str, keys: Mapping[str, VerificationKey]) -> bool:
    try:
        kid = parse_compact(token).header.kid
    except InvalidToken:
        return False
    return kid is not None and kid not in keys


_verifiers: weakref.WeakSet[Verifier] = weakref.WeakSet()


def _after_fork() -> None:
    for verifier in list(_verifiers):
        verifier.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
