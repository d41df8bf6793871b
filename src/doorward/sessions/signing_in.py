"""Signing in: proving a password, and starting a session."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from doorward.accounts.model import Account, Owner
from doorward.accounts.rules import Email, parse_email, parse_label
from doorward.audit.model import Action, Actor, AuditEvent, Origin
from doorward.deployment import Deployment
from doorward.errors import (
    InvalidCredentials,
    NotPermitted,
    StoreUnavailable,
    Unavailable,
    ValidationFailed,
    WeakPassword,
)
from doorward.options import FIRST_PARTY
from doorward.principal import Carrier
from doorward.secret import Secret
from doorward.sessions.model import (
    AccountMoved,
    Credentials,
    EndReason,
    NewSession,
    Session,
    SignedIn,
)
from doorward.sessions.rules import decide_carrier, decide_remembered, is_held
from doorward.tokens.statuses import take_number
from doorward.wire.handle import SECRET_BYTES, Handle, hash_secret, parse_handle, write_handle
from doorward.wire.identifiers import new_identifier
from doorward.wire.refresh_token import RefreshToken, parse_refresh_token, write_refresh_token

_log = logging.getLogger(__name__)

_ROUNDS = 3
"""How often signing in starts again because the account changed between reading and writing."""


async def sign_in(
    deployment: Deployment,
    *,
    email: str,
    password: Secret,
    carrier: Carrier | None = None,
    label: str | None = None,
    remember: bool = False,
    origin: Origin,
    sent_along: Sequence[Secret] = (),
) -> SignedIn:
    """Start a session for whoever proves to own the account.

    Args:
        deployment: where.
        email: as it was typed.
        password: as it was typed.
        carrier: how the session travels; None for the strategy's default.
        label: what its owner calls it.
        remember: whether its owner asked to stay signed in when the browser closes.
        origin: where the request comes from.
        sent_along: handles and refresh tokens that came with the request: what they name ends, so that a session
            which somebody planted in this browser is not carried on (session fixation).

    Raises:
        InvalidCredentials: e-mail and password do not go together; the same for an unknown e-mail.
        ValidationFailed: the strategy has no such carrier.
        RateLimited: too many attempts.
    """
    chosen = decide_carrier(deployment.options.strategy, carrier)
    label = parse_label(label)
    typed = _before_password(deployment, email, origin)
    replaces = [key for text in sent_along if (key := await _live_key(deployment, text)) is not None]
    for _ in range(_ROUNDS):
        account = await _authenticate_password(deployment, typed, password, origin=origin)
        started = await _start(
            deployment,
            account,
            chosen,
            label=label,
            remember=remember,
            origin=origin,
            replaces=replaces,
            methods=("pwd",),
        )
        if started is not None:
            return started
    raise StoreUnavailable(detail="the account changed again and again while signing in")


async def prove_password(deployment: Deployment, *, email: str, password: Secret, origin: Origin) -> Account:
    """Whose e-mail and password these are, without starting a session; counted and recorded as signing in is.

    Raises:
        InvalidCredentials: they do not go together; the same for an unknown e-mail.
        RateLimited: too many attempts.
    """
    return await _authenticate_password(
        deployment, _before_password(deployment, email, origin), password, origin=origin
    )


async def start_session(
    deployment: Deployment,
    account: Account,
    *,
    remember: bool = False,
    origin: Origin,
    sent_along: Sequence[Secret] = (),
    methods: Sequence[str] = (),
) -> SignedIn:
    """Start a session for an account whose owner the application has found to be who makes the request.

    Args:
        deployment: where.
        account: as it was read when that was found.
        remember: as for ``sign_in``.
        origin: where the request comes from.
        sent_along: as for ``sign_in``.
        methods: how the owner proved it, RFC 8176 values.

    Raises:
        NotPermitted: the account is disabled.
        StoreUnavailable: the account has changed since it was read.
    """
    if account.disabled_at is not None:
        raise NotPermitted("the account is disabled")
    chosen = decide_carrier(deployment.options.strategy, None)
    replaces = [key for text in sent_along if (key := await _live_key(deployment, text)) is not None]
    started = await _start(
        deployment,
        account,
        chosen,
        label=None,
        remember=remember,
        origin=origin,
        replaces=replaces,
        methods=tuple(methods),
    )
    if started is None:
        raise StoreUnavailable(detail="the account changed while a session was started for it")
    return started


async def _start(
    deployment: Deployment,
    account: Account,
    carrier: Carrier,
    *,
    label: str | None,
    remember: bool,
    origin: Origin,
    replaces: Sequence[int],
    methods: tuple[str, ...],
) -> SignedIn | None:
    """The session, or None where the account has changed since it was read."""
    secret = deployment.entropy(SECRET_BYTES)
    remembered = decide_remembered(carrier, asked=remember)
    new = _new_session(deployment, account, carrier, secret=secret, remembered=remembered, origin=origin)
    new = replace(new, status_index=await take_number(deployment), label=label, methods=methods)
    actor = Actor(name=account.id, origin=origin)
    now = deployment.clock()
    started = await deployment.store.start_session(
        new,
        limit=deployment.options.session_limit,
        replaces=replaces,
        ending=deployment.ending(EndReason.SIGNED_OUT, actor),
    )
    if isinstance(started, AccountMoved):
        return None
    deployment.live.merge(started.revocations)
    credentials = issue_credentials(deployment, started.session, account, secret=secret, now=now)
    return SignedIn(account=account, session=started.session, credentials=credentials)


def _before_password(deployment: Deployment, email: str, origin: Origin) -> Email | None:
    """Count an attempt; what was typed, or None where it can be nobody's.  Raises RateLimited."""
    typed = _typed_email(email)
    deployment.limits.before_sign_in(origin, typed.key if typed else email)
    return typed


async def _authenticate_password(
    deployment: Deployment, typed: Email | None, password: Secret, *, origin: Origin
) -> Account:
    account = await deployment.store.account_by_email(typed.key) if typed else None
    # The same work whether or not there is an account: time must not tell.
    matches = await deployment.hashing.verify(password, account.password_hash if account else None)
    if account is None or not matches or account.disabled_at is not None:
        cause = "unknown account" if account is None else "wrong password" if not matches else "account disabled"
        await deployment.store.record(
            AuditEvent(
                action=Action.SESSION_REFUSED,
                actor=Actor(origin=origin),
                account=account.id if account else None,
                detail={"cause": cause},
            )
        )
        raise InvalidCredentials(cause)
    if typed is not None:
        deployment.limits.after_sign_in(typed.key)
    if account.password_hash is not None and deployment.hashing.is_outdated(account.password_hash):
        await _rehash(deployment, account, password, Actor(name=account.id, origin=origin))
    return account


async def _rehash(deployment: Deployment, account: Account, password: Secret, actor: Actor) -> None:
    """Put today's parameters in the place of older ones; another day where there is no room for it now."""
    try:
        password_hash = await deployment.hashing.hash(password)
        await deployment.store.rehash_password(account, password_hash, actor=actor)
    except (Unavailable, WeakPassword, ValidationFailed) as error:
        # Imported with its hash, a password may be one that nobody could choose here; it goes on working.
        _log.warning("the password of account %s keeps its older parameters: %s", account.id, error.detail)


def _typed_email(text: str) -> Email | None:
    """What was typed, or None where it can be nobody's: answered like an unknown address."""
    try:
        return parse_email(text)
    except ValidationFailed:
        return None


def _new_session(
    deployment: Deployment, account: Account, carrier: Carrier, *, secret: bytes, remembered: bool, origin: Origin
) -> NewSession:
    options = deployment.options
    # Without a refresh token a session lives as long as its one access token.
    stateless = options.strategy == "jwt"
    idle = options.session_idle_remembered if remembered else options.session_idle
    return NewSession(
        key=int.from_bytes(deployment.entropy(8)) >> 1,
        id=new_identifier(deployment.entropy),
        account=account.id,
        account_version=account.version,
        client=FIRST_PARTY,
        strategy=options.strategy,
        carrier=carrier,
        secret_hash=hash_secret(secret),
        idle=options.access_lifetime if stateless else idle,
        absolute=options.access_lifetime if stateless else options.session_absolute,
        label=None,
        origin=origin,
        methods=(),
        remembered=remembered,
    )


def issue_credentials(
    deployment: Deployment, session: Session, account: Owner, *, secret: bytes, now: datetime
) -> Credentials:
    """What the client of a session is handed.

    Args:
        deployment: where.
        session: the row as it is in the store.
        account: whose it is.
        secret: the 128 bits of the handle or the refresh token.
        now: this machine's time, read before the statement that wrote the row.
    """
    csrf_token = deployment.keyring.csrf_token(session.id) if session.carrier == "cookie" else None
    if session.strategy == "session":
        return Credentials(handle=write_handle(Handle(key=session.key, secret=secret)), csrf_token=csrf_token)
    access_token = deployment.desk.issue(session, account, now=now)
    if session.strategy == "jwt":
        return Credentials(access_token=access_token)
    token = RefreshToken(key=session.key, generation=session.generation, secret=secret)
    return Credentials(
        access_token=access_token,
        refresh_token=write_refresh_token(token, client=session.client, keyring=deployment.keyring),
        refresh_expires_in=max(session.leaves_at - now, timedelta(0)),
        csrf_token=csrf_token,
    )


async def _live_key(deployment: Deployment, text: Secret) -> int | None:
    """The key of the session that a credential proves to own, whatever its kind."""
    parsed = parse_handle(text.reveal()) or parse_refresh_token(
        text.reveal(), client=FIRST_PARTY, keyring=deployment.keyring
    )
    if parsed is None:
        return None
    seen = await deployment.store.session(parsed.key)
    return parsed.key if seen.session is not None and is_held(seen.session, parsed.secret_hash) else None
