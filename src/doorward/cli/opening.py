"""The deployment that a command works on, opened with the same settings as the server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from doorward.accounts.model import Account
    from doorward.audit.model import Actor
    from doorward.doorward import Doorward
    from doorward.server.settings import Settings


hosted: ContextVar[Doorward | None] = ContextVar("hosted", default=None)
"""The deployment of the application that runs the command (``flask doorward``, ``manage.py doorward``), or None."""


@contextmanager
def opened(*, config: Path | None, database: str | None, make: bool = False) -> Iterator[Doorward]:
    """The deployment, open while the block runs.

    Args:
        config: the file that settings are read from.
        database: instead of the one in the settings.
        make: make the database if it is missing.  Elsewhere a missing file is a wrong folder or a misspelt name.

    Raises:
        ConfigurationError: the settings cannot be used.
        DatabaseUnusable: the database cannot be used, or is missing.
    """
    from doorward.blocking import run_blocking

    auth = of_host(config=config, database=database)
    if auth is None:
        auth = _of_settings(config=config, database=database, make=make)
    run_blocking(auth.open())
    try:
        yield auth
    finally:
        run_blocking(auth.close())


def of_host(*, config: Path | None, database: str | None) -> Doorward | None:
    """The deployment of the application that runs the command, or None where none does.

    Raises:
        ConfigurationError: the command line names another one beside it.
    """
    from doorward.errors import ConfigurationError, Problem

    auth = hosted.get()
    if auth is not None and (config is not None or database is not None):
        message = "The application says which database it has; --database and --config would be another's."
        remedy = "Leave them out, or run the command doorward itself."
        raise ConfigurationError([Problem(id="DW102", message=message, remedy=remedy)])
    return auth


def _of_settings(*, config: Path | None, database: str | None, make: bool) -> Doorward:
    from doorward.server.settings import load_settings

    settings = load_settings({"database": database}, config=config).settings
    _refuse_what_is_not_there(settings, make=make)
    return settings.doorward(blocking=True)


def _refuse_what_is_not_there(settings: Settings, *, make: bool) -> None:
    from doorward.errors import ConfigurationError, DatabaseUnusable, Problem

    if settings.database == "memory:":
        remedy = "Name the database with --database or DOORWARD_DATABASE."
        message = "memory: lives in the server's process, where no command reaches it."
        raise ConfigurationError([Problem(id="DW070", message=message, remedy=remedy)])
    file = settings.database_file
    if file is not None and not make and not file.exists():
        raise DatabaseUnusable(
            f"There is no database at {file.absolute()}. Name it with --database or DOORWARD_DATABASE,"
            " or make it with: doorward migrate"
        )


def command_line() -> Actor:
    """On whose behalf commands act, in the audit trail."""
    from doorward.audit.model import Actor

    return Actor(name="command-line")


def find_account(auth: Doorward, named: str) -> Account:
    """The account with this e-mail address or id.  Raises NotFound."""
    from doorward.accounts.rules import parse_email
    from doorward.blocking import run_blocking
    from doorward.errors import NotFound

    if "@" not in named:
        return run_blocking(auth.account(named))
    account = run_blocking(auth.deployment.store.account_by_email(parse_email(named).key))
    if account is None:
        raise NotFound("No account has this e-mail address.")
    return account
