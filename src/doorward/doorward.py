"""Doorward: what an application holds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from secrets import token_bytes
from typing import Any, Self, TypeVar, Unpack

from doorward.accounts import flow as accounts
from doorward.accounts.hook import Fields, SignUpHook, problems_of_hook
from doorward.accounts.model import Account, AccountChange, ImportedAccount
from doorward.assurance import Demands
from doorward.audit.flow import record_refused_credential
from doorward.audit.model import Action, Actor, AuditEvent, Origin
from doorward.authenticators.password import hashing_for
from doorward.background import LoopWrites, ThreadWrites
from doorward.clocks import clock_of_ticks, seconds_of, system_clock
from doorward.completion import to_the_end
from doorward.deployment import Deployment, session_cookies_of
from doorward.errors import ConfigurationError, KeysNotLoaded
from doorward.keyring import Keyring, problems_of_secrets
from doorward.keys import flow as keys
from doorward.keys.model import StoredKey
from doorward.limits import CredentialKind, limits_for
from doorward.option_values import options_of, read_values
from doorward.options import FIRST_PARTY, OptionFields
from doorward.places import Places
from doorward.ports import Clock, Entropy, Page, Removed, Store
from doorward.principal import Carrier, Principal
from doorward.pulse import Pulse
from doorward.revocation.freshness import Freshness, Ticks, boot_seconds
from doorward.revocation.hub import MOST_READERS, Hub
from doorward.rotation import flow as rotation
from doorward.secret import Secret
from doorward.secret_file import NO_SECRET, secret_file_of, secrets_of
from doorward.sessions import everybody, reassessment, signing_in
from doorward.sessions import flow as sessions
from doorward.sessions.model import EndReason, Refreshed, Session, SignedIn
from doorward.stores import is_postgres, open_announcements, open_store
from doorward.tokens import flow as tokens
from doorward.tokens.desk import TokenDesk
from doorward.tokens.status_list import Statuses
from doorward.tokens.statuses import read_status_list
from doorward.trusted_time import Timekeeper
from doorward.verifiers import flow as verifiers
from doorward.verifiers.model import StoredVerifier
from doorward.watching import Watch, WatchingThread, read_changes
from doorward.wire.identifiers import new_identifier

T = TypeVar("T")


class Doorward:
    """Authentication for an application: open it, ask it, close it.

    ``async with Doorward("sqlite:///app.db", strategy="hybrid") as auth: ...``

    Args:
        database: ``sqlite:///file.db``, ``postgresql://user:password@host:port/database`` or ``memory:``.
        secret: the root of all MAC and encryption keys, 32 characters or more; several where one replaces another, the
            new one first.  None: made at first start and kept beside the database's file, for its owner alone.
        memcached: ``memcached://host:port,host:port``, a cache before the database, for the strategy ``session``.
        redis: ``redis://user:password@host:port/0`` and the like, where sessions live instead of in the database.
        geo_database: a file in MaxMind's format, from which sessions get the names of places.
        on_sign_up: called in the transaction that opens an account; may refuse, and store the application's own fields
            (docs/guides/signing-up.md).
        blocking: for synchronous hosts and the command line: every operation runs to its end without suspending.
        makes_keys: make keys of ``signing_algorithm`` where there are only others; a command that looks does not.
        clock: instead of this machine's, and of the database's where it has one of its own.
        ticks: instead of this machine's clock that nobody steps, by which staleness is measured.
        entropy: what secrets are made of.
        options: the fields of ``Options``.

    Raises:
        ConfigurationError: the options contradict each other or weaken a default; every problem at once.
    """

    def __init__(
        self,
        database: str = "sqlite:///doorward.db",
        *,
        secret: Secret | str | Sequence[Secret] | None = None,
        memcached: str | None = None,
        redis: Secret | str | None = None,
        geo_database: Path | str | None = None,
        on_sign_up: SignUpHook | None = None,
        blocking: bool = False,
        makes_keys: bool = True,
        clock: Clock | None = None,
        ticks: Ticks = boot_seconds,
        entropy: Entropy = token_bytes,
        **options: Unpack[OptionFields],
    ) -> None:
        arguments, problems = read_values(
            {
                "database": database,
                "secret": secret,
                "memcached": memcached,
                "redis": redis,
                "geo_database": geo_database,
                "on_sign_up": on_sign_up,
            }
        )
        self.options, wrong = options_of(options)
        problems += wrong + problems_of_hook(on_sign_up)
        if arguments.get("secret") is not None:
            problems += problems_of_secrets(secrets_of(arguments["secret"], None))
        elif "secret" in arguments and is_postgres(arguments.get("database", "")):
            problems.append(NO_SECRET)
        if problems:
            raise ConfigurationError(problems)
        self.places = Places(geo_database)
        self.database = database
        self.secret_file: Path | None = None if secret is not None else secret_file_of(database)
        self._secret: Secret | Sequence[Secret] | None = arguments["secret"]
        self._on_sign_up = on_sign_up
        self.is_blocking = blocking
        self._makes_keys = makes_keys
        self._clock = clock or system_clock
        self._ticks = ticks
        self._entropy = entropy
        self._deployment: Deployment | None = None
        self._redis = redis.reveal() if isinstance(redis, Secret) else redis
        self._store: Store = open_store(
            database,
            clock=clock,
            blocking=blocking,
            memcached_url=memcached,
            redis_url=self._redis,
            knowledge=lambda: self._deployment,
        )
        self._opening, self._opening_thread = asyncio.Lock(), threading.Lock()
        self._watching: Watch | None = None
        self._blocks, self._opened_by_block = 0, False
        self._watching_thread = WatchingThread()

    # Life

    async def open(self) -> None:
        """Open the store, load the keys and what has been revoked.  Opening twice does nothing.

        Raises:
            DatabaseUnusable: the database cannot be used as it is; says what to do.
        """
        if self.is_blocking:
            # A lock of asyncio would want a loop.
            with self._opening_thread:
                await self._open()
        else:
            async with self._opening:
                await self._open()

    async def _open(self) -> None:
        if self._deployment is not None:
            return
        await self._store.open()
        try:
            keyring = Keyring(secrets_of(self._secret, self.secret_file))
            deployment = Deployment(
                options=self.options,
                store=self._store,
                hashing=hashing_for(self.options, blocking=self.is_blocking),
                keyring=keyring,
                clock=self._clock,
                seconds=seconds_of(None if self._clock is system_clock else self._clock),
                entropy=self._entropy,
                hub=Hub(
                    name=new_identifier(token_bytes),
                    ticks=self._ticks,
                    most_readers=0 if self.is_blocking else MOST_READERS,
                    lives_for=self.options.revocations_live_for,
                ),
                freshness=Freshness(),
                ticks=self._ticks,
                timekeeper=Timekeeper(),
                # By the machine's own clock, whatever the others show: a test that moves time stops no process.
                pulse=Pulse(),
                desk=TokenDesk(self.options, entropy=self._entropy),
                limits=limits_for(self.options, clock=clock_of_ticks(self._ticks)),
                statuses=Statuses(),
                on_sign_up=self._on_sign_up,
                session_cookies=session_cookies_of(self.options),
                watches=self._watching_thread.is_on if self.is_blocking else (lambda: True),
                background=ThreadWrites() if self.is_blocking else LoopWrites(),
            )
            await keys.check_secret(deployment)
            await read_changes(deployment, makes_keys=self._makes_keys)
        except BaseException:
            await self._store.close()
            raise
        self._deployment = deployment
        if not self.is_blocking:
            announcements = open_announcements(self.database, redis_url=self._redis)
            self._watching = Watch(deployment, makes_keys=self._makes_keys, announcements=announcements)

    async def close(self) -> None:
        """Close what was opened.  It can be opened again."""
        self._watching_thread.stop()
        if self._watching is not None:
            await self._watching.stop()
            self._watching = None
        if self._deployment is not None:
            self._deployment.hashing.close()
            await self._deployment.background.close()
            self._deployment = None
            await self._store.close()

    async def __aenter__(self) -> Self:
        """Open for the time of the block; what was open before stays open after it."""
        ours = not self.is_open
        await self.open()
        if self._blocks == 0:
            self._opened_by_block = ours
        self._blocks += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self._blocks -= 1
        if self._blocks == 0 and self._opened_by_block:
            await self.close()

    def keep_watch(self) -> None:
        """For a synchronous host, with each request: keep up to date from a thread of this process, once this is open.

        Costs next to nothing where the thread runs.
        """
        if self.is_blocking and self._deployment is not None:
            self._watching_thread.keep_on(self._deployment, makes_keys=self._makes_keys, whose=self)

    @property
    def is_open(self) -> bool:
        """Whether requests can be answered without opening first."""
        return self._deployment is not None

    @property
    def opened(self) -> Deployment | None:
        """The parts of this deployment, or None while it is not open."""
        return self._deployment

    @property
    def deployment(self) -> Deployment:
        """The parts of this deployment, once it is open."""
        if self._deployment is None:
            raise RuntimeError("Doorward is not open: await open(), or use it as an async context manager")
        return self._deployment

    async def _to_the_end(self, operation: Coroutine[Any, Any, T]) -> T:
        """For whatever revokes: what is committed must reach this process's memory as well."""
        return await operation if self.is_blocking else await to_the_end(operation)

    async def read_changes(self) -> None:
        """Learn what other processes have revoked, and which keys and verifiers there are."""
        await read_changes(self.deployment, makes_keys=self._makes_keys)

    async def remove_expired(self) -> Removed:
        """One bounded batch of housekeeping."""
        store, timekeeper, ticks = self.deployment.store, self.deployment.timekeeper, self._ticks()
        return await store.remove_expired(
            session_retention=self.options.session_retention,
            audit_retention=self.options.audit_retention,
            until=timekeeper.removable_until(await store.now(), ticks=ticks),
        )

    async def ping(self) -> None:
        """Whether requests can be answered.  Raises Unavailable naming what is down."""
        await self._store.ping()
        if not self.deployment.desk.ready:
            raise KeysNotLoaded(detail="the signing keys have not been loaded")

    # Accounts

    async def sign_up(
        self,
        *,
        email: str,
        password: Secret,
        name: str | None = None,
        roles: Sequence[str] = (),
        fields: Fields | None = None,
        actor: Actor,
    ) -> Account:
        """See ``accounts.flow.sign_up``."""
        return await accounts.sign_up(
            self.deployment, email=email, password=password, name=name, roles=roles, fields=fields, actor=actor
        )

    @property
    def takes_sign_up_fields(self) -> bool:
        """Whether a hook reads fields of the application's own."""
        return self._on_sign_up is not None

    async def import_account(self, imported: ImportedAccount, *, actor: Actor) -> Account:
        """See ``accounts.flow.import_account``."""
        return await accounts.import_account(self.deployment, imported, actor=actor)

    async def import_again(self, account_id: str, imported: ImportedAccount, *, actor: Actor) -> Account:
        """See ``accounts.flow.import_again``."""
        return await self._to_the_end(accounts.import_again(self.deployment, account_id, imported, actor=actor))

    async def change_password(
        self, principal: Principal, *, current: Secret, new: Secret, origin: Origin
    ) -> Secret | None:
        """See ``accounts.flow.change_password``."""
        return await self._to_the_end(
            accounts.change_password(self.deployment, principal, current=current, new=new, origin=origin)
        )

    async def set_password(
        self, account_id: str, new: Secret, *, keep: str | None = None, actor: Actor
    ) -> Secret | None:
        """See ``accounts.flow.set_password``."""
        return await self._to_the_end(accounts.set_password(self.deployment, account_id, new, keep=keep, actor=actor))

    async def account(self, account_id: str) -> Account:
        """One account.  Raises NotFound."""
        return await accounts.read_account(self.deployment, account_id)

    async def find_accounts(self, page: Page, *, query: str = "") -> Sequence[Account]:
        """Accounts whose e-mail or name contains the query."""
        return await accounts.find_accounts(self.deployment, page, query=query)

    async def change_account(self, account_id: str, change: AccountChange, *, actor: Actor) -> Account:
        """See ``accounts.flow.change_account``."""
        return await self._to_the_end(accounts.change_account(self.deployment, account_id, change, actor=actor))

    # Sessions

    async def sign_in(
        self,
        *,
        email: str,
        password: Secret,
        carrier: Carrier | None = None,
        label: str | None = None,
        remember: bool = False,
        origin: Origin,
        sent_along: Sequence[Secret] = (),
    ) -> SignedIn:
        """See ``sessions.signing_in.sign_in``."""
        return await self._to_the_end(
            signing_in.sign_in(
                self.deployment,
                email=email,
                password=password,
                carrier=carrier,
                label=label,
                remember=remember,
                origin=origin,
                sent_along=sent_along,
            )
        )

    async def prove_password(self, *, email: str, password: Secret, origin: Origin) -> Account:
        """See ``sessions.signing_in.prove_password``."""
        return await signing_in.prove_password(self.deployment, email=email, password=password, origin=origin)

    async def start_session(
        self,
        account: Account,
        *,
        remember: bool = False,
        origin: Origin,
        sent_along: Sequence[Secret] = (),
        methods: Sequence[str] = (),
    ) -> SignedIn:
        """See ``sessions.signing_in.start_session``."""
        return await self._to_the_end(
            signing_in.start_session(
                self.deployment, account, remember=remember, origin=origin, sent_along=sent_along, methods=methods
            )
        )

    async def authenticate(self, *, handle: Secret | None = None, bearer: Secret | None = None) -> Principal:
        """See ``sessions.flow.authenticate``."""
        return await sessions.authenticate(self.deployment, handle=handle, bearer=bearer)

    async def assure(self, principal: Principal, demands: Demands) -> Principal:
        """See ``sessions.reassessment.assure``: every framework asks this."""
        return await reassessment.assure(self.deployment, principal, demands)

    def is_admin_key(self, bearer: Secret) -> bool:
        """Whether the bearer value is the admin key."""
        return self.options.admin_key is not None and self.options.admin_key.matches(bearer)

    async def current(self, principal: Principal) -> tuple[Account, Session]:
        """The account and the session of a request."""
        return await sessions.current_session(self.deployment, principal)

    async def sessions(self, account_id: str) -> Sequence[Session]:
        """The sessions of an account that stand, the newest first.  Raises NotFound where there is no such account."""
        return await accounts.sessions_of(self.deployment, account_id)

    async def own_sessions(self, principal: Principal) -> Sequence[Session]:
        """The sessions of a request's account that stand, the newest first."""
        return await self.deployment.store.sessions_of(principal.subject)

    async def end_session(
        self, session_id: str, *, account_id: str | None, reason: EndReason = EndReason.SIGNED_OUT, actor: Actor
    ) -> None:
        """End one session.  Raises NotFound where there is none, or none of that account."""
        await self._to_the_end(
            sessions.end_session(self.deployment, session_id, account_id=account_id, reason=reason, actor=actor)
        )

    async def end_sessions(
        self, account_id: str, *, keep: str | None = None, reason: EndReason = EndReason.SIGNED_OUT, actor: Actor
    ) -> int:
        """End all sessions of an account, but for the one whose id is ``keep``.  Returns how many."""
        return await self._to_the_end(
            sessions.end_sessions(self.deployment, account_id, keep=keep, reason=reason, actor=actor)
        )

    async def end_everybody(self, *, actor: Actor, report: Callable[[int], None] = lambda _: None) -> int:
        """End the sessions of all accounts; see ``sessions.everybody.end_everybody``.  Returns how many."""
        return await self._to_the_end(everybody.end_everybody(self.deployment, actor=actor, report=report))

    def csrf_token(self, session_id: str) -> str:
        """What a page of this session sends back in ``X-CSRF-Token``."""
        return self.deployment.keyring.csrf_token(session_id)

    def is_csrf_token(self, session_id: str, token: str) -> bool:
        """Whether the token belongs to the session."""
        return self.deployment.keyring.is_csrf_token(session_id, token)

    async def session_of_refresh_token(self, text: Secret) -> str | None:
        """The id of the session whose refresh token this is, of whatever generation, or None.  Changes nothing."""
        session = await rotation.session_of(self.deployment, text)
        return session.id if session is not None else None

    # Tokens

    async def refresh(
        self, text: Secret, *, client: str = FIRST_PARTY, idempotency_key: str | None = None, origin: Origin
    ) -> Refreshed:
        """See ``rotation.flow.refresh``."""
        return await self._to_the_end(
            rotation.refresh(self.deployment, text, client=client, idempotency_key=idempotency_key, origin=origin)
        )

    async def revoke(self, text: Secret, *, client: str = FIRST_PARTY, origin: Origin) -> None:
        """End the session that a token is a lease on (RFC 7009)."""
        await self._to_the_end(tokens.revoke_token(self.deployment, text, client=client, origin=origin))

    async def status_list(self, number: int) -> str:
        """See ``tokens.statuses.read_status_list``."""
        return await read_status_list(self.deployment, number)

    async def introspect(self, text: Secret) -> Mapping[str, Any]:
        """What there is to say of a token (RFC 7662)."""
        return await tokens.introspect(self.deployment, text)

    # Keys

    async def key_set(self) -> dict[str, Any]:
        """The public keys (RFC 7517)."""
        return await keys.key_set(self.deployment)

    async def stored_keys(self) -> Sequence[StoredKey]:
        """All signing keys that are kept, the oldest first."""
        return await self.deployment.store.keys()

    async def rotate_keys(self, *, actor: Actor) -> None:
        """See ``keys.flow.rotate_keys``."""
        await keys.rotate_keys(self.deployment, actor=actor)

    async def retire_key(self, kid: str, *, actor: Actor) -> None:
        """See ``keys.flow.retire_key``."""
        await keys.retire_key(self.deployment, kid, actor=actor)

    async def revoke_key(self, kid: str, *, actor: Actor) -> int:
        """See ``keys.flow.revoke_key``."""
        return await self._to_the_end(keys.revoke_key(self.deployment, kid, actor=actor))

    # Verifiers

    async def add_verifier(self, name: str, *, actor: Actor) -> Secret:
        """See ``verifiers.flow.add_verifier``."""
        return await verifiers.add_verifier(self.deployment, name, actor=actor)

    async def revoke_verifier(self, name: str, *, actor: Actor) -> None:
        """See ``verifiers.flow.revoke_verifier``."""
        await verifiers.revoke_verifier(self.deployment, name, actor=actor)

    async def verifiers(self) -> Sequence[StoredVerifier]:
        """Those who may read the revocation feed, by name."""
        return await self.deployment.store.verifiers()

    async def authenticate_verifier(self, credential: Secret) -> StoredVerifier:
        """See ``verifiers.flow.authenticate_verifier``."""
        return await verifiers.authenticate_verifier(self.deployment, credential)

    # Audit

    async def record_refused_credential(self, kind: CredentialKind, *, origin: Origin) -> None:
        """See ``audit.flow.record_refused_credential``."""
        await record_refused_credential(self.deployment, kind, origin)

    async def trail(
        self, page: Page, *, account: str | None = None, session: str | None = None, action: Action | None = None
    ) -> Sequence[AuditEvent]:
        """The audit trail, the newest first."""
        return await self.deployment.store.trail(page, account=account, session=session, action=action)
