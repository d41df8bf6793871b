"""What every operation is handed: the options and the ports of one deployment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from doorward.audit.model import Actor
from doorward.keyring import Keyring
from doorward.limits import Limits
from doorward.memory import Memory
from doorward.options import Options
from doorward.ports import BackgroundWrites, Clock, Entropy, PasswordHashing, Store
from doorward.revocation.freshness import Freshness, Ticks
from doorward.revocation.hub import Hub
from doorward.revocation.model import LiveSet
from doorward.rotation.model import RefreshPolicy
from doorward.sessions.cache import MOST_SESSIONS, RememberedSession
from doorward.sessions.model import Ending, EndReason, Session
from doorward.sessions.rules import decide_idle_limit
from doorward.tokens.desk import ForwardedToken, TokenDesk
from doorward.tokens.status_list import Statuses
from doorward.verifiers.model import StoredVerifier


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
        desk: issues access tokens and takes them back.
        limits: how often may be tried what can be guessed.
        statuses: the status lists, where there are any.
        cookies: sessions that were looked up a moment ago.
        forwarded: tokens for upstreams that were made a moment ago, by session.
        verifiers: who may read the feed, by id, as of the last look.
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
    desk: TokenDesk
    limits: Limits
    statuses: Statuses
    cookies: Memory[RememberedSession] = field(default_factory=lambda: Memory(MOST_SESSIONS))
    forwarded: dict[str, ForwardedToken] = field(default_factory=dict)
    verifiers: dict[str, StoredVerifier] = field(default_factory=dict)
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

    def ending(self, reason: EndReason, actor: Actor) -> Ending:
        return Ending(reason=reason, actor=actor, remember_for=self.options.revocations_live_for)


DUE_EVERY = timedelta(seconds=1)
"""How often a server reads what others have revoked, and which keys there are."""
