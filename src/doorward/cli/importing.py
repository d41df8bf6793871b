"""``doorward accounts import``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from doorward.cli.flags import AsJson, Config, Database
from doorward.cli.opening import command_line, opened

if TYPE_CHECKING:
    from doorward.cli.exports import Read

_LONGEST_LINE = 16 * 1024


class Product(StrEnum):
    """Whose file it is."""

    LINES = "lines"
    KEYCLOAK = "keycloak"
    FIREBASE = "firebase"
    BETTER_AUTH = "better-auth"

    @property
    def unit(self) -> str:
        return "line" if self is Product.LINES else "user"


From = Annotated[Product, typer.Option("--from", help="What wrote the file; lines: a JSON object on each line.")]
HashConfig = Annotated[
    Path | None,
    typer.Option(help="For --from firebase: a file with the password hash parameters that Firebase's console shows."),
]
_STANDARD_INPUT = "-"


def import_accounts(
    file: Annotated[str, typer.Argument(help="Accounts, a JSON object on each line; - reads standard input.")],
    *,
    product: From = Product.LINES,
    hash_config: HashConfig = None,
    database: Database = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Open accounts with the password hashes of another system, so that nobody has to choose a password anew.

    A line has "email" and, where there are any, "password_hash", "name", "roles", "email_verified", "disabled" and
    "id", the account's id in the other system.  An address that has an account already is left as it is, so that an
    import that was interrupted can be run again.  Exit code 1: some lines were refused; all others are imported.

    Hashes of these systems are read: Django (PBKDF2, scrypt, argon2, bcrypt), Werkzeug (scrypt, PBKDF2), passlib and
    pwdlib (argon2, bcrypt, bcrypt-sha256, PBKDF2, scrypt), Better Auth, Firebase and Supabase ($fbscrypt$).  One hash
    of each set of parameters is computed; what takes more than 3 seconds is refused.

    --from keycloak, firebase and better-auth read the files that those export, one JSON object.  Roles and second
    factors in them are not imported.

    With --json, a line is printed for each that was read: its number, "id", and "account" or why it was not imported.
    """
    from doorward.blocking import run_blocking
    from doorward.cli.output import plain
    from doorward.errors import EmailTaken, ValidationFailed

    entries, read = _opened_file(file, product, hash_config)
    counts = {"imported": 0, "present": 0, "refused": 0}
    with opened(config=config, database=database) as auth:
        for number, value in entries:
            told: dict[str, object] = {"line": number}
            try:
                imported, told["id"] = read(value)
                told["account"] = run_blocking(auth.import_account(imported, actor=command_line())).id
                outcome = "imported"
            except EmailTaken:
                outcome = "present"
            except ValidationFailed as refused:
                outcome, told["why"] = "refused", refused.detail
                print(f"{product.unit} {number}: {plain(refused.detail)}", file=sys.stderr)
            counts[outcome] += 1
            if as_json:
                _print_line({"outcome": outcome, **told})
    if not as_json:
        print(
            f"Imported {counts['imported']} accounts; {counts['present']} addresses had one already;"
            f" {counts['refused']} {product.unit}s were refused."
        )
    raise typer.Exit(counts["refused"] > 0)


def _opened_file(
    file: str, product: Product, hash_config: Path | None
) -> tuple[Iterable[tuple[int, Any]], Callable[[Any], Read]]:
    """What the file has, numbered from 1, and what reads one of them."""
    if product is Product.LINES:
        if hash_config is not None:
            raise typer.BadParameter("--hash-config goes with --from firebase: it has the parameters of its hashes.")
        return _lines(file), _read
    from doorward.cli.exports import open_export

    export = open_export(product.value, Path(file), hash_config=hash_config)
    return export, export.read


def _lines(file: str) -> Iterator[tuple[int, bytes]]:
    if file == _STANDARD_INPUT:
        yield from _numbered(sys.stdin.buffer)
        return
    try:
        with Path(file).open("rb") as opened_file:
            yield from _numbered(opened_file)
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read: {error.strerror}.") from None


def _numbered(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    number = 0
    while line := file.readline(_LONGEST_LINE + 1):
        number += 1
        if len(line) > _LONGEST_LINE:
            raise typer.BadParameter(f"Line {number} is longer than 16 KiB.")
        if line.strip():
            yield number, line


def _read(line: bytes) -> Read:
    """The account of a line, and its id in the other system.

    Raises:
        ValidationFailed: the line says something else.  What it says is not repeated: it holds a hash.
    """
    import msgspec

    from doorward.accounts.model import ImportedAccount
    from doorward.errors import FieldError, ValidationFailed
    from doorward.secret import Secret

    shape = msgspec.defstruct(
        "Line",
        [
            ("email", str),
            ("password_hash", str | None, None),
            ("name", str | None, None),
            ("roles", tuple[str, ...], ()),
            ("email_verified", bool, False),
            ("disabled", bool, False),
            ("id", str | int | None, None),
        ],
        forbid_unknown_fields=True,
    )
    try:
        read: Any = msgspec.json.decode(line, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValidationFailed([FieldError(field="line", message=str(error))]) from None
    imported = ImportedAccount(
        email=read.email,
        password_hash=Secret(read.password_hash) if read.password_hash is not None else None,
        name=read.name,
        roles=read.roles,
        email_verified=read.email_verified,
        disabled=read.disabled,
    )
    return imported, read.id


def _print_line(value: dict[str, object]) -> None:
    import msgspec

    print(msgspec.json.encode(value).decode())
