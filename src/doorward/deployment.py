"""What every operation is handed: the options and the ports of one deployment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from doorward.accounts.hook import SignUpHook
from doorward.audit.model import Actor
from doorward.keyring import Keyring
from doorward.limits import Limits
from doorward.memory import Memory
from doorward.options import Options
from doorward.ports import BackgroundWrites, Clock, Entropy, PasswordHashing, Store
from doorward.pulse import Pulse
from doorward.revocation.freshness import Freshness, Ticks
from doorward.revocation.hub import Hub
from doorward.revocation.model import LiveSet
from doorward.rotation.model import RefreshPolicy
from doorward.sessions.cache import MOST_SESSIONS, RememberedSession
from doorward.sessions.model import Ending, EndReason, Session
from doorward.sessions.rules import decide_idle_limit
from doorward.tokens.desk import ForwardedToken, TokenDesk
from doorward.tokens.status_list import Statuses
from doorward.trusted_time import Timekeeper
from doorward.verifiers.model import StoredVerifier
from doorward.wire.cookies import SESSION_COOKIE


class Incident(StrEnum):
    """What an operator wants to know of, counted for the metrics."""

    REFRESH_REUSED = "refresh_reused"
    REFRESH_LATE = "refresh_late"
    REFRESH_AHEAD = "refresh_ahead"
    REFRESH_HEALED = "refresh_healed"
    SESSION_REVIVED = "session_revived"
    STORE_PUT_BACK = "store_put_back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One deployment of Doorward.

    Args:
        options: checked.
        store: where everything is kept.
        hashing: of passwords.
        keyring: what is derived from the secret.
        clock: this machine's; what the store writes and judges goes by the store's own.
        seconds: the same clock's seconds since 1970, which takes a fifth of the time.
        entropy: what secrets are made of.
        hub: tells those who read the revocation feed.
        freshness: how old they are.
        ticks: what that is measured by.
        pulse: whether this process runs all the time.
        timekeeper: watches the store's clock for jumps.
        desk: issues access tokens and takes them back.
        limits: how often may be tried what can be guessed.
        statuses: the status lists, where there are any.
        cookies: sessions that were looked up a moment ago.
        forwarded: tokens for upstreams that were made a moment ago, by session.
        verifiers: who may read the feed, by id, as of the last look.
        incidents: how often what has happened in this process.
        session_cookies: what the header of a request with nothing but our session cookie begins with, by whether it
            came over HTTPS: nearly every request asks.
        on_sign_up: the application's own step of opening an account, or None.
        watches: whether somebody keeps this up to date in the background, in this process.
        background: runs writes that no request has to wait for.
    """

    options: Options
    store: Store
    hashing: PasswordHashing
    keyring: Keyring
    clock: Clock
    seconds: Callable[[], float]
    entropy: Entropy
    hub: Hub
    freshness: Freshness
    ticks: Ticks
    timekeeper: Timekeeper
    pulse: Pulse
    desk: TokenDesk
    limits: Limits
    statuses: Statuses
    cookies: Memory[RememberedSession] = field(default_factory=lambda: Memory(MOST_SESSIONS))
    forwarded: dict[str, ForwardedToken] = field(default_factory=dict)
    verifiers: dict[str, StoredVerifier] = field(default_factory=dict)
    incidents: dict[Incident, int] = field(default_factory=lambda: dict.fromkeys(Incident, 0))
    session_cookies: Mapping[bool, str]
    on_sign_up: SignUpHook | None
    watches: Callable[[], bool]
    background: BackgroundWrites

    @property
    def live(self) -> LiveSet:
        """The revocations that every request is checked against."""
        return self.hub.live

    @property
    def refresh_policy(self) -> RefreshPolicy:
        return RefreshPolicy(
            grace=self.options.refresh_grace,
            rest=self.options.rest,
            window=self.options.lost_reply_window,
            idle=self.options.session_idle,
            idle_remembered=self.options.session_idle_remembered,
            heal_lost_writes=self.options.heal_lost_writes,
        )

    def idle_limit(self, session: Session) -> timedelta:
        """For how long a session may be left unused."""
        options = self.options
        return decide_idle_limit(session, idle=options.session_idle, idle_remembered=options.session_idle_remembered)

    @property
    def is_fresh(self) -> bool:
        """Whether what this process knows of revocations is recent enough to answer from memory."""
        return self.is_fresh_at(self.ticks())

    def is_fresh_at(self, ticks: float) -> bool:
        """Whether it is, at an instant of ``ticks``."""
        return self.freshness.is_fresh(now=ticks, max_staleness=self.options.max_staleness) and self.watches()

    def heed_revoked_keys(self) -> None:
        """Neither sign nor verify with keys that have been revoked, and forget what was found by their tokens."""
        if self.desk.drop(self.live.keys):
            # A key is revoked because somebody may have it, or because everybody's sessions have ended.
            self.forget_sessions()

    def forget_sessions(self) -> None:
        """Ask the store for each session anew."""
        self.cookies.forget_all()
        self.forwarded.clear()

    def count(self, incident: Incident) -> None:
        """Count what has happened, for the metrics."""
        self.incidents[incident] += 1

    def ending(self, reason: EndReason, actor: Actor) -> Ending:
        return Ending(reason=reason, actor=actor, remember_for=self.options.revocations_live_for)


DUE_EVERY = timedelta(seconds=1)
"""How often a server reads what others have revoked, and which keys there are."""


def session_cookies_of(options: Options) -> Mapping[bool, str]:
    """How the session cookie begins, by whether it came over HTTPS."""
    prefix = options.cookie_prefix
    return {https: f"{SESSION_COOKIE.name_on(prefix=prefix, https=https)}=" for https in (False, True)}
