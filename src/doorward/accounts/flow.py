"""Signing up, changing passwords, and what administrators do to accounts."""

from __future__ import annotations

from collections.abc import Sequence

from doorward.accounts.hook import Fields, HookFailed, SignUp, SignUpStep
from doorward.accounts.model import Account, AccountChange, ImportedAccount
from doorward.accounts.rules import parse_email, parse_name, parse_owner, parse_roles
from doorward.audit.model import Action, Actor, AuditEvent, Origin
from doorward.authenticators.imported import import_hash
from doorward.authenticators.strength import judge_strength
from doorward.deployment import Deployment
from doorward.errors import (
    EmailTaken,
    FieldError,
    InvalidCredentials,
    NotFound,
    StoreUnavailable,
    ValidationFailed,
    WeakPassword,
)
from doorward.ports import Page
from doorward.principal import Principal
from doorward.secret import Secret
from doorward.sessions.model import AccountMoved, EndReason, Session
from doorward.wire.handle import SECRET_BYTES, Handle, hash_secret, write_handle
from doorward.wire.identifiers import new_identifier


async def sign_up(
    deployment: Deployment,
    *,
    email: str,
    password: Secret,
    name: str | None = None,
    roles: Sequence[str] = (),
    fields: Fields | None = None,
    actor: Actor,
) -> Account:
    """Open an account.

    Args:
        deployment: where.
        email: as it was typed.
        password: as it was typed.
        name: what to call the person.
        roles: what the account is.
        fields: for the deployment's hook, unchecked.
        actor: who does it.

    Raises:
        EmailTaken: the address has one.
        WeakPassword: it is too short or guessed too easily.
        ValidationFailed: the address, the name or the password will not do.
        RateLimited: too many from this address.
    """
    address, name, wrong = parse_owner(email, name)
    granted = parse_roles(roles)
    deployment.limits.before_sign_up(actor.origin)
    about = [address.address if address else email, *([name] if name else [])]
    minimum = deployment.options.password_minimum
    try:
        await deployment.hashing.run(lambda: judge_strength(password, about=about, minimum=minimum))
    except ValidationFailed as refused:
        wrong += refused.errors
    except WeakPassword as refused:
        if not wrong:
            raise
        wrong += [FieldError(field="password", message=said) for said in (refused.public, *refused.advice)]
    if wrong or address is None:
        raise ValidationFailed(wrong)
    account = Account(
        id=new_identifier(deployment.entropy),
        email=address.address,
        email_key=address.key,
        name=name,
        password_hash=await deployment.hashing.hash(password),
        roles=granted,
        created_at=await deployment.store.now(),
    )
    try:
        created = await deployment.store.create_account(account, actor=actor, step=_step(deployment, account, fields))
    except HookFailed as failed:
        raise failed.error from None
    if not created:
        raise EmailTaken
    return account


def _step(deployment: Deployment, account: Account, fields: Fields | None) -> SignUpStep | None:
    hook = deployment.on_sign_up
    if hook is None:
        return None
    return lambda connection: hook(SignUp(account=account, fields=dict(fields or {}), connection=connection))


async def import_account(deployment: Deployment, imported: ImportedAccount, *, actor: Actor) -> Account:
    """Open an account whose owner goes on with the password that he has in another system.

    Raises:
        EmailTaken: the address has an account.
        ValidationFailed: a field will not do, or the hash cannot be checked or asks for too much work.
        Busy: too many passwords are being hashed.
    """
    address, given = parse_email(imported.email), imported.password_hash
    created_at = await deployment.store.now()
    account = Account(
        id=new_identifier(deployment.entropy),
        email=address.address,
        email_key=address.key,
        email_verified=imported.email_verified,
        name=parse_name(imported.name),
        password_hash=await deployment.hashing.run(lambda: import_hash(given.reveal())) if given is not None else None,
        roles=parse_roles(imported.roles),
        created_at=created_at,
        disabled_at=created_at if imported.disabled else None,
    )
    if not await deployment.store.create_account(account, actor=actor):
        raise EmailTaken
    return account


async def import_again(deployment: Deployment, account_id: str, imported: ImportedAccount, *, actor: Actor) -> Account:
    """Make an account what it would be if it were imported now.  Its sessions end.

    For an account that an application opened for one of its users in a transaction that it then rolled back.  Where it
    is disabled it stays so.

    Raises:
        NotFound: there is no such account.
        ValidationFailed: as ``import_account``.
    """
    given = imported.password_hash
    password_hash = await deployment.hashing.run(lambda: import_hash(given.reveal())) if given is not None else None
    change = AccountChange(name=imported.name, roles=imported.roles)
    account = await change_account(deployment, account_id, change, actor=actor)
    if password_hash is None:
        password_hash = await deployment.hashing.hash(Secret(deployment.entropy(SECRET_BYTES).hex()))
    await _replace_password(deployment, account, password_hash, keep_id=None, actor=actor)
    return await read_account(deployment, account_id)


async def change_password(
    deployment: Deployment, principal: Principal, *, current: Secret, new: Secret, origin: Origin
) -> Secret | None:
    """Change the password of whoever knows it; every other session of the account ends.

    Returns:
        the session's new handle where a handle carries it: a credential from before must not outlive the change.

    Raises:
        InvalidCredentials: the current password is wrong.
        WeakPassword: the new one is guessed too easily.
    """
    actor = Actor(name=principal.subject, origin=origin)
    account = await read_account(deployment, principal.subject)
    deployment.limits.before_sign_in(origin, account.email_key)
    if not await deployment.hashing.verify(current, account.password_hash):
        await deployment.store.record(
            AuditEvent(action=Action.PASSWORD_REFUSED, actor=actor, account=account.id, session=principal.session_id)
        )
        raise InvalidCredentials("the current password is wrong")
    deployment.limits.after_sign_in(account.email_key)
    about = [account.email, *([account.name] if account.name else [])]
    minimum = deployment.options.password_minimum
    await deployment.hashing.run(lambda: judge_strength(new, about=about, minimum=minimum, field="new_password"))
    new_hash = await deployment.hashing.hash(new)
    return await _replace_password(deployment, account, new_hash, keep_id=principal.session_id, actor=actor)


async def set_password(
    deployment: Deployment, account_id: str, new: Secret, *, keep: str | None = None, actor: Actor
) -> Secret | None:
    """Set a password that the application has taken and judged itself; every other session of the account ends.

    Args:
        deployment: where.
        account_id: whose.
        new: the password.
        keep: the id of the session that goes on: that of whoever chose the password.
        actor: who does it.

    Returns:
        the kept session's new handle where a handle carries it.

    Raises:
        NotFound: there is no such account.
    """
    account = await read_account(deployment, account_id)
    return await _replace_password(deployment, account, await deployment.hashing.hash(new), keep_id=keep, actor=actor)


async def _replace_password(
    deployment: Deployment, account: Account, new_hash: Secret, *, keep_id: str | None, actor: Actor
) -> Secret | None:
    keep = (await deployment.store.session_by_id(keep_id)).session if keep_id is not None else None
    secret = deployment.entropy(SECRET_BYTES) if keep is not None and keep.strategy == "session" else None
    outcome = await deployment.store.change_password(
        account,
        new_hash,
        keep=keep,
        new_secret_hash=hash_secret(secret) if secret is not None else None,
        ending=deployment.ending(EndReason.PASSWORD_CHANGED, actor),
    )
    if isinstance(outcome, AccountMoved):
        raise StoreUnavailable(detail="the account changed while its password was being changed")
    deployment.live.merge(outcome.revocations)
    return write_handle(Handle(key=keep.key, secret=secret)) if keep is not None and secret is not None else None


async def read_account(deployment: Deployment, account_id: str) -> Account:
    """One account.  Raises NotFound."""
    account = await deployment.store.account(account_id)
    if account is None:
        raise NotFound
    return account


async def find_accounts(deployment: Deployment, page: Page, *, query: str = "") -> Sequence[Account]:
    """Accounts whose e-mail or name contains the query."""
    return await deployment.store.accounts(page, query=query.strip())


async def change_account(deployment: Deployment, account_id: str, change: AccountChange, *, actor: Actor) -> Account:
    """Change an account; disabling it ends all its sessions at once.  Raises NotFound, ValidationFailed."""
    checked = AccountChange(
        name=parse_name(change.name),
        roles=parse_roles(change.roles) if change.roles is not None else None,
        disabled=change.disabled,
    )
    ending = deployment.ending(EndReason.ACCOUNT_DISABLED, actor)
    changed = await deployment.store.change_account(account_id, checked, ending)
    if changed is None:
        raise NotFound
    deployment.live.merge(changed.revocations)
    return changed.account


async def sessions_of(deployment: Deployment, account_id: str) -> Sequence[Session]:
    """The sessions of an account that stand.  Raises NotFound where there is no such account."""
    await read_account(deployment, account_id)
    return await deployment.store.sessions_of(account_id)
