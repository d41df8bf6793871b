"""What other products export, read into accounts.

Each product has a shape for its users and a function that reads one of them.  An unknown field is ignored: an export
has many that do not concern us.  Roles are never taken over: a role called ``admin`` would mean ours.
"""

from __future__ import annotations

import re
from base64 import b64decode, urlsafe_b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import typer

from doorward.accounts.model import ImportedAccount
from doorward.authenticators.derivation import Argon2, FirebaseScrypt, Scrypt, UnusableHash
from doorward.authenticators.encoded import encode_argon2, encode_firebase, encode_pbkdf2
from doorward.errors import FieldError, ValidationFailed
from doorward.secret import Secret

T = TypeVar("T")
Read = tuple[ImportedAccount, str | int | None]
"""An account, and its id in the other system."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """The users of an export.

    Args:
        users: as they were decoded, in their order.
        read: the account of one of them.  Raises ValidationFailed.
    """

    users: list[Any]
    read: Callable[[Any], Read]

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        return enumerate(self.users, start=1)


def open_export(product: str, file: Path, *, hash_config: Path | None) -> Export:
    """The users in a file.

    Raises:
        typer.BadParameter: it cannot be read, or is no export of this product.
    """
    if (product == "firebase") != (hash_config is not None):
        raise typer.BadParameter("--hash-config goes with --from firebase: it has the parameters of its hashes.")
    document = _document(file)
    if product == "keycloak":
        return Export(users=_keycloak_users(document), read=_keycloak)
    if product == "firebase":
        assert hash_config is not None  # noqa: S101 -- checked above
        return Export(users=_listed(document, "users"), read=partial(_firebase, config=_firebase_config(hash_config)))
    passwords = _better_auth_passwords(_listed(document, "account"))
    return Export(users=_listed(document, "user"), read=partial(_better_auth, passwords=passwords))


def _document(file: Path) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(_bytes(file))
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise typer.BadParameter(f"{file} is not JSON.") from None
    if not isinstance(found, dict):
        raise typer.BadParameter(f"{file} is not a JSON object.")
    return found


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read: {error.strerror}.") from None


def _listed(document: dict[str, Any], name: str) -> list[Any]:
    found = document.get(name)
    if not isinstance(found, list):
        raise typer.BadParameter(f'There is no list "{name}" in the file.')
    return found


def _converted(value: Any, shape: type[T]) -> T:
    try:
        return msgspec.convert(value, type=shape, strict=False)
    except msgspec.ValidationError as error:
        # Names a field and a type, and no value.
        raise _refused("user", str(error)) from None


def _refused(field: str, message: str) -> ValidationFailed:
    return ValidationFailed([FieldError(field=field, message=message)])


def _secret(text: str | None) -> Secret | None:
    return Secret(text) if text is not None else None


# Keycloak: kc.sh export --users same_file, or REALM-users-0.json


class _KeycloakCredential(msgspec.Struct, rename="camel"):
    type: str
    secret_data: str = ""
    credential_data: str = ""


class _KeycloakUser(msgspec.Struct, rename="camel"):
    id: str | None = None
    email: str = ""
    email_verified: bool = False
    enabled: bool = True
    first_name: str | None = None
    last_name: str | None = None
    service_account_client_id: str | None = None
    credentials: tuple[_KeycloakCredential, ...] = ()


class _KeycloakSecret(msgspec.Struct, rename="camel"):
    value: str
    salt: str


class _KeycloakParameters(msgspec.Struct, rename="camel"):
    algorithm: str
    hash_iterations: int
    additional_parameters: dict[str, list[str]] | None = None


def _keycloak_users(document: dict[str, Any]) -> list[Any]:
    if "users" not in document:
        raise typer.BadParameter(
            "This export has no users. Export the realm with kc.sh export --users same_file, or import the files"
            " REALM-users-0.json and so on."
        )
    return _listed(document, "users")


def _keycloak(value: Any) -> Read:
    user = _converted(value, _KeycloakUser)
    if user.service_account_client_id is not None:
        raise _refused("user", "This is the service account of a client.")
    passwords = [each for each in user.credentials if each.type == "password"]
    account = ImportedAccount(
        email=user.email,
        email_verified=user.email_verified,
        name=" ".join(each for each in (user.first_name, user.last_name) if each) or None,
        password_hash=_secret(_keycloak_hash(passwords[0])) if passwords else None,
        disabled=not user.enabled,
    )
    return account, user.id


def _keycloak_hash(credential: _KeycloakCredential) -> str:
    try:
        secret = msgspec.json.decode(credential.secret_data, type=_KeycloakSecret)
        asked = msgspec.json.decode(credential.credential_data, type=_KeycloakParameters)
        salt, digest = b64decode(secret.salt, validate=True), b64decode(secret.value, validate=True)
        if asked.algorithm == "argon2":
            return encode_argon2(_keycloak_argon2(asked, size=len(digest)), salt=salt, digest=digest)
    except UnusableHash as error:
        raise _refused("credentials", f"This password hash cannot be imported: {error}.") from None
    except (msgspec.DecodeError, ValueError, LookupError):
        raise _refused("credentials", "This password hash cannot be imported: it is malformed.") from None
    algorithm = {"pbkdf2": "sha1", "pbkdf2-sha256": "sha256", "pbkdf2-sha512": "sha512"}.get(asked.algorithm)
    if algorithm is None:
        raise _refused("credentials", "This password hash cannot be imported: its scheme is not supported.")
    return encode_pbkdf2(algorithm, asked.hash_iterations, salt=salt, digest=digest)


def _keycloak_argon2(asked: _KeycloakParameters, *, size: int) -> Argon2:
    given = asked.additional_parameters or {}
    return Argon2(
        variant=given["type"][0],
        version={"1.0": 16, "1.3": 19}[given["version"][0]],
        memory_kib=int(given["memory"][0]),
        passes=asked.hash_iterations,
        lanes=int(given["parallelism"][0]),
        size=size,
    )


# Firebase: firebase auth:export users.json


class _FirebaseUser(msgspec.Struct, rename="camel"):
    local_id: str | None = None
    email: str = ""
    email_verified: bool = False
    display_name: str | None = None
    disabled: bool = False
    password_hash: str = ""
    salt: str = ""


_FIREBASE_PARAMETER = re.compile(r"(base64_signer_key|base64_salt_separator|rounds|mem_cost)\W*?[:=]\s*\"?([\w+/=-]+)")


def _firebase_config(file: Path) -> FirebaseScrypt:
    """The parameters as Firebase's console shows them ("Password hash parameters")."""
    found = dict(_FIREBASE_PARAMETER.findall(_bytes(file).decode(errors="replace")))
    try:
        return FirebaseScrypt(
            scrypt=Scrypt(n=1 << min(int(found["mem_cost"]), 32), r=int(found["rounds"]), p=1, size=64),
            signer_key=b64decode(found["base64_signer_key"], validate=True),
            salt_separator=b64decode(found["base64_salt_separator"], validate=True),
        )
    except (ValueError, LookupError):
        raise typer.BadParameter(
            f"{file} does not have base64_signer_key, base64_salt_separator, rounds and mem_cost. Copy them from"
            " Firebase's console: Authentication, Users, the menu, Password hash parameters."
        ) from None


def _firebase(value: Any, *, config: FirebaseScrypt) -> Read:
    user = _converted(value, _FirebaseUser)
    account = ImportedAccount(
        email=user.email,
        email_verified=user.email_verified,
        name=user.display_name,
        password_hash=_secret(_firebase_hash(user, config)) if user.password_hash else None,
        disabled=user.disabled,
    )
    return account, user.local_id


def _firebase_hash(user: _FirebaseUser, config: FirebaseScrypt) -> str:
    # An export has base64url, the console base64.
    try:
        salt, digest = (urlsafe_b64decode(each + "=" * (-len(each) % 4)) for each in (user.salt, user.password_hash))
    except ValueError:
        raise _refused("passwordHash", "This password hash cannot be imported: it is malformed.") from None
    return encode_firebase(config=config, salt=salt, digest=digest)


# Better Auth: its tables "user" and "account" in one JSON object


class _BetterAuthUser(msgspec.Struct, rename="camel"):
    id: str | int
    email: str = ""
    email_verified: bool = False
    name: str | None = None
    banned: bool | None = None


class _BetterAuthAccount(msgspec.Struct, rename="camel"):
    user_id: str | int
    provider_id: str
    password: str | None = None


def _better_auth_passwords(accounts: list[Any]) -> dict[str | int, str]:
    try:
        read = [_converted(each, _BetterAuthAccount) for each in accounts]
    except ValidationFailed as refused:
        raise typer.BadParameter(f'In the list "account": {refused.detail}') from None
    return {each.user_id: each.password for each in read if each.provider_id == "credential" and each.password}


def _better_auth(value: Any, *, passwords: dict[str | int, str]) -> Read:
    user = _converted(value, _BetterAuthUser)
    account = ImportedAccount(
        email=user.email,
        email_verified=user.email_verified,
        name=user.name,
        password_hash=_secret(passwords.get(user.id)),
        disabled=user.banned is True,
    )
    return account, user.id
