"""The deployment's secret: made at first start and kept beside the database where nobody gives one; it has to fit."""

from __future__ import annotations

import os
from pathlib import Path
from secrets import token_urlsafe
from tempfile import mkstemp

from doorward.errors import DatabaseUnusable
from doorward.keyring import Keyring
from doorward.ports import Store
from doorward.secret import Secret

_SQLITE = "sqlite:///"


def secret_file_of(database: str) -> Path | None:
    """Where the secret of an embedded database is kept; None where the database is no file.

    ``app.db`` has ``app.secret``; a name of another ending keeps it, or ``app.dev`` and ``app.prod`` would share one.
    """
    file = Path(database.removeprefix(_SQLITE))
    if not database.startswith(_SQLITE) or not file.name:
        return None
    return file.with_name((file.stem if file.suffix == ".db" else file.name) + ".secret")


def read_or_make_secret(path: Path | None) -> Secret:
    """The secret in the file, made with mode 0600 if there is none; without a file one that dies with the process.

    Raises:
        DatabaseUnusable: the file cannot be read or written, or others may read it.
    """
    if path is None:
        return Secret(token_urlsafe(48))
    try:
        _make(path)
        _refuse_if_others_read(path)
        return Secret(path.read_text(encoding="ascii").strip())
    except (OSError, UnicodeDecodeError) as error:
        raise DatabaseUnusable(
            f"The secret beside the database, {path}, cannot be read or made: {error}."
            " Make the folder writable, or give the secret in DOORWARD_SECRET or DOORWARD_SECRET_FILE."
        ) from error


def _make(path: Path) -> None:
    """Write a new secret under another name first: two servers that start at once must read the same one, whole."""
    if path.exists():
        return
    descriptor, draft = mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(token_urlsafe(48) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass  # the other server was first; its secret is the secret
    finally:
        Path(draft).unlink()


def _refuse_if_others_read(path: Path) -> None:
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise DatabaseUnusable(f"The secret in {path} can be read by others (mode {mode:o}). Run: chmod 600 {path}")


async def check_secret(store: Store, keyring: Keyring) -> None:
    """Raises DatabaseUnusable where the database was made with another secret."""
    current, *older = keyring.fingerprints
    if await store.secret_check(current, replaces=older) not in keyring.fingerprints:
        raise DatabaseUnusable(
            "The secret does not fit the database: it was made with another one."
            " Give DOORWARD_SECRET the value that it was made with (or restore the secret file beside the database);"
            " to replace a secret, give the new one first and the old one after it, separated by a comma."
        )
