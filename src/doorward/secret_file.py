"""The deployment's secret: made at first start and kept beside the database where nobody gives one; it has to fit."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from secrets import token_urlsafe
from tempfile import mkstemp

from doorward.errors import DatabaseUnusable, Problem
from doorward.secret import Secret

_SQLITE = "sqlite:///"

NO_SECRET = Problem(
    id="DW053",
    message="A PostgreSQL database has no place for a secret that every server could find.",
    remedy="Give all servers the same in DOORWARD_SECRET, made with:"
    " python3 -c 'import secrets; print(secrets.token_urlsafe(48))'",
)


def secret_file_of(database: str) -> Path | None:
    """Where the secret of an embedded database is kept; None where the database is no file.

    ``app.db`` has ``app.secret``; a name of another ending keeps it, or ``app.dev`` and ``app.prod`` would share one.
    """
    file = Path(database.removeprefix(_SQLITE))
    if not database.startswith(_SQLITE) or not file.name:
        return None
    return file.with_name((file.stem if file.suffix == ".db" else file.name) + ".secret")


def secrets_of(given: Secret | str | Sequence[Secret] | None, file: Path | None) -> Sequence[Secret]:
    """The secrets of a deployment, the current one first; raises as ``read_or_make_secret`` where none is given."""
    if given is None:
        return [read_or_make_secret(file)]
    if isinstance(given, str):
        return [Secret(given)]
    return [given] if isinstance(given, Secret) else list(given)


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
