"""How often may be tried what can be guessed, or costs the server more than the caller.

The state of one limit is one instant: when all that was spent will have come back (the generic cell rate algorithm, a
token bucket that needs no clockwork).  It is kept in the memory of this process alone: each process of a deployment
counts for itself.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from secrets import token_bytes
from typing import Literal, get_args

from doorward.audit.model import Origin
from doorward.errors import RateLimited
from doorward.options import Options
from doorward.ports import Clock

# Rates


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How many attempts at once, and how fast they come back.

    Args:
        burst: how many at once.
        every: how long one takes to come back.
    """

    burst: int
    every: timedelta


FAILURES_PER_EMAIL = Rate(burst=20, every=timedelta(minutes=1))
"""Sign-ins that fail, whoever tries: one account withstands 1,460 guesses on the first day, 1,440 on any other."""

SIGN_INS_PER_ADDRESS = Rate(burst=100, every=timedelta(seconds=1))
"""An office behind one address signs in on a Monday morning."""

SIGN_UPS_PER_ADDRESS = Rate(burst=60, every=timedelta(seconds=5))

REFRESHES_PER_SESSION = Rate(burst=120, every=timedelta(milliseconds=500))
"""Many tabs and many retries of an honest client stay far below."""

REFUSED_CREDENTIALS_PER_ADDRESS = Rate(burst=30, every=timedelta(seconds=10))
"""An operator's typing, and a few services whose credential was revoked and that go on asking."""

RECORDED_PER_ADDRESS = Rate(burst=1, every=timedelta(minutes=10))
RECORDED_AT_ALL = Rate(burst=20, every=timedelta(minutes=1))
"""Audit events of refused credentials: a flood, from however many addresses, is 1,460 events on the first day."""

CredentialKind = Literal["admin", "verifier", "introspection"]
"""What a key or credential was presented for: the admin operations, the revocation feed, or introspection."""


# Rules


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """What was spent of a rate.

    Args:
        whole_at: when all of it will have come back.
    """

    whole_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """Go on, with this bucket from now on."""

    bucket: Bucket


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """Not now.  The bucket stays as it is: who goes on knocking does not make it worse.

    Args:
        retry_after: when the next attempt will be allowed.
    """

    retry_after: timedelta


def decide_attempt(bucket: Bucket | None, *, now: datetime, rate: Rate) -> Allowed | Denied:
    """Decide whether one more attempt is within the rate.

    Args:
        bucket: what was spent so far, or None for nothing.
        now: the instant of the attempt, UTC.
        rate: how many at once, and how fast they come back.
    """
    whole_at = max(bucket.whole_at, now) if bucket is not None else now
    if whole_at > now + rate.burst * rate.every:
        # No more can be spent than the burst: the clock was set back, and nobody shall wait for that.
        whole_at = now
    wait = whole_at + rate.every - (now + rate.burst * rate.every)
    if wait > timedelta(0):
        return Denied(retry_after=wait)
    return Allowed(bucket=Bucket(whole_at=whole_at + rate.every))


def forgive_attempt(bucket: Bucket, *, rate: Rate) -> Bucket:
    """The bucket with one attempt put back."""
    return Bucket(whole_at=bucket.whole_at - rate.every)


# Memory


class AttemptLimiter:
    """One rate for many keys, in bounded memory.

    A key that was not used for longest is dropped when there are too many, and with it what was spent of it: whoever
    can make attempts under that many other keys gets the burst anew.  So every limit by something that a caller chooses
    freely stands behind one by the caller's address.

    Keys are kept as a MAC under a key of this process: a dump of the memory holds no e-mail and no address.

    Args:
        rate: how many attempts at once, and how fast they come back.
        most_keys: how many keys are remembered.
    """

    def __init__(self, rate: Rate, *, most_keys: int = 10_000) -> None:
        if most_keys < 1 or rate.burst < 1:
            raise ValueError("a limiter remembers at least one key and allows at least one attempt")
        self._rate = rate
        self._most_keys = most_keys
        self._pepper = token_bytes(32)
        self._buckets: OrderedDict[bytes, Bucket] = OrderedDict()
        # Synchronous hosts sign in from many threads.
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._buckets)

    def check(self, key: str, now: datetime) -> None:
        """Nothing, where one more attempt would be allowed.  Raises RateLimited."""
        decision = decide_attempt(self._buckets.get(self._name(key)), now=now, rate=self._rate)
        if isinstance(decision, Denied):
            raise RateLimited(decision.retry_after)

    def spend(self, key: str, now: datetime) -> None:
        """Count an attempt before it is made, so that a hundred at once are a hundred.  Raises RateLimited."""
        name = self._name(key)
        with self._lock:
            decision = decide_attempt(self._buckets.get(name), now=now, rate=self._rate)
            if isinstance(decision, Denied):
                self._buckets.move_to_end(name)
                raise RateLimited(decision.retry_after)
            self._buckets[name] = decision.bucket
            self._buckets.move_to_end(name)
            while len(self._buckets) > self._most_keys:
                self._buckets.popitem(last=False)

    def forgive(self, key: str) -> None:
        """Put one attempt back: it was none that counts.

        One, not all: the owner's signing in must not give whoever guesses beside them a fresh burst.
        """
        name = self._name(key)
        with self._lock:
            bucket = self._buckets.get(name)
            if bucket is not None:
                self._buckets[name] = forgive_attempt(bucket, rate=self._rate)

    def _name(self, key: str) -> bytes:
        return blake2b(key.encode(errors="surrogatepass"), key=self._pepper, digest_size=16).digest()


# Which limit applies where


class Limits:
    """The limits of a deployment.

    Each is told of an attempt before it is made.  The command line has no address and is not limited by one; requests
    whose address is unknown are limited as one.

    Args:
        clock: this machine's.
        is_on: False allows everything; for load tests.
    """

    def __init__(self, clock: Clock, *, is_on: bool = True) -> None:
        self._clock = clock
        self._is_on = is_on
        self._failures = AttemptLimiter(FAILURES_PER_EMAIL)
        self._sign_ins = AttemptLimiter(SIGN_INS_PER_ADDRESS)
        self._sign_ups = AttemptLimiter(SIGN_UPS_PER_ADDRESS)
        self._refreshes = AttemptLimiter(REFRESHES_PER_SESSION)
        self._refused_credentials = AttemptLimiter(REFUSED_CREDENTIALS_PER_ADDRESS)
        self._recorded_per_address = AttemptLimiter(RECORDED_PER_ADDRESS)
        self._recorded = AttemptLimiter(RECORDED_AT_ALL, most_keys=1)
        self.refused_credentials: dict[str, int] = dict.fromkeys(get_args(CredentialKind), 0)
        """How many were refused so far, by kind; for the metrics."""

    def before_sign_in(self, origin: Origin, email_key: str) -> None:
        """Count an attempt to prove a password.  Raises RateLimited."""
        # The address first: one that is over its limit must not spend what others have left for this e-mail.
        self._count_network(self._sign_ins, origin)
        self._count(self._failures.spend, email_key)

    def after_sign_in(self, email_key: str) -> None:
        """The attempt succeeded, so that it was no guess."""
        if self._is_on:
            self._failures.forgive(email_key)

    def before_sign_up(self, origin: Origin) -> None:
        """Count an attempt to open an account.  Raises RateLimited."""
        self._count_network(self._sign_ups, origin)

    def before_refresh(self, session: str) -> None:
        """Count a presentation of a genuine refresh token.  Raises RateLimited."""
        self._count(self._refreshes.spend, session)

    def before_admin_key(self, origin: Origin) -> None:
        """Raises RateLimited where too many credentials from this address were refused."""
        if origin.network is not None and self._is_on:
            self._refused_credentials.check(origin.network, self._clock())

    def after_refused_credential(self, origin: Origin) -> None:
        """Count a key or credential that was refused.  Raises RateLimited."""
        self._count_network(self._refused_credentials, origin)

    def is_refusal_recorded(self, kind: CredentialKind, origin: Origin) -> bool:
        """Count a refusal; whether an audit event is to be written of it."""
        self.refused_credentials[kind] += 1
        now = self._clock()
        try:
            self._recorded_per_address.spend(f"{kind} {origin.network}", now)
            self._recorded.spend("", now)
        except RateLimited:
            return False
        return True

    def _count_network(self, limiter: AttemptLimiter, origin: Origin) -> None:
        if origin.network is not None:
            self._count(limiter.spend, origin.network)

    def _count(self, spend: Callable[[str, datetime], None], key: str) -> None:
        if self._is_on:
            spend(key, self._clock())


def limits_for(options: Options, *, clock: Clock) -> Limits:
    """The limits that a deployment has."""
    return Limits(clock, is_on=options.rate_limits)
