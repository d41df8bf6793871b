"""What an account is."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from doorward.revocation.model import Revocation
from doorward.secret import Secret


class Owner(Protocol):
    """What a session and its tokens need to know of the account that they are of.

    A store may keep this beside the session, so that one look-up answers a request; ``Account`` has it too.
    """

    @property
    def id(self) -> str: ...

    @property
    def roles(self) -> tuple[str, ...]: ...

    @property
    def version(self) -> int: ...

    @property
    def disabled_at(self) -> datetime | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One row of the account table.

    Args:
        id: opaque, the claim ``sub``.
        email: as its owner wrote it, normalised.
        email_key: what two spellings of one address have in common; unique.
        email_verified: whether somebody proved to read it.
        name: what to call the person, or None.
        password_hash: the PHC string of argon2id, one that was imported, or None where no password is set.
        roles: sorted.
        version: raised whenever everything that was issued before must stop being accepted (claim ``ver``).
        created_at: UTC.
        disabled_at: UTC, or None while the account may sign in.
    """

    id: str
    email: str
    email_key: str
    email_verified: bool = False
    name: str | None = None
    password_hash: Secret | None = field(default=None, repr=False, compare=False)
    roles: tuple[str, ...] = ()
    version: int = 0
    created_at: datetime
    disabled_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedAccount:
    """An account of another system.

    Args:
        email: as its owner signs in there.
        password_hash: as that system kept it (``authenticators.encoded`` lists the formats); it is checked as it was
            made, and replaced by one of ours when its owner first signs in.  None where nobody can sign in.
        name: what to call the person, or None.
        roles: what the account is.
        email_verified: whether the other system saw proof that its owner reads the address.
        disabled: whether nobody may sign in, whatever the password.
    """

    email: str
    password_hash: Secret | None = field(default=None, repr=False)
    name: str | None = None
    roles: tuple[str, ...] = ()
    email_verified: bool = False
    disabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountChange:
    """What an administrator changes of an account; None leaves a field as it is."""

    name: str | None = None
    roles: tuple[str, ...] | None = None
    disabled: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountChanged:
    """The change took, with what follows from it."""

    account: Account
    revocations: tuple[Revocation, ...] = ()
