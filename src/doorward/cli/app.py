"""The commands put together, and how their failures are told."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING

import typer

from doorward.cli import (
    accounts,
    audit,
    cleanup,
    config,
    copy,
    doctor,
    keys,
    migrate,
    openapi,
    serve,
    sessions,
    token,
    verifiers,
    version,
)
from doorward.cli.flags import Group
from doorward.cli.opening import hosted
from doorward.cli.streams import Output
from doorward.errors import DoorwardError, Refusal, WeakPassword

if TYPE_CHECKING:
    from doorward.doorward import Doorward

REFUSED = 1
UNUSABLE = 2
_DEBUG = "--debug"
_CONFIG = "--config"

_HELP = """Authentication for Python applications: sessions, JWTs and the hybrid of both behind one session model.

Settings: flags beat the environment (DOORWARD_...), which beats doorward.toml.  "doorward config show" lists them.
"""
_HELP_HOSTED = "What Doorward keeps for this application, with the application's own settings."
_EXIT_CODES = (
    "Exit codes: 0 done; 1 refused (no such account, a weak password, a token that is not valid) or interrupted; 2 the"
    " command line, the settings or the database cannot be used, and what to do about it is said."
    "  --debug, anywhere, shows the traceback of an error."
)


def run(arguments: Sequence[str], *, auth: Doorward | None = None, name: str = "doorward") -> int:
    """Run one command.  Returns its exit code.

    Args:
        arguments: of the command line, without the program's name.
        auth: the deployment of an application that runs the command; None for that of the settings.
        name: what the command is called.
    """
    hosting = hosted.set(auth)
    try:
        return _run(arguments, make_app(is_hosted=auth is not None), name)
    finally:
        hosted.reset(hosting)


def _run(arguments: Sequence[str], app: typer.Typer, name: str) -> int:
    output, errors = Output(sys.stdout), Output(sys.stderr)
    with redirect_stdout(output), redirect_stderr(errors):
        code = _code_of(arguments, app, name)
        output.flush()
        if output.failed is None or not output.is_result or isinstance(output.failed, BrokenPipeError):
            # Whoever read has had enough, as head does.
            return code
        print(f"doorward: standard output cannot be written to: {output.failed.strerror}.", file=sys.stderr)
        return code or UNUSABLE


def _code_of(arguments: Sequence[str], app: typer.Typer, name: str) -> int:
    # Taken out here: an option of the root would have typer import pydantic for every --help.
    debug = _DEBUG in arguments
    try:
        app(_with_config_last([each for each in arguments if each != _DEBUG]), prog_name=name)
    except DoorwardError as error:
        if debug:
            raise
        print(f"doorward: {told(error)}", file=sys.stderr)
        return REFUSED if isinstance(error, Refusal) else UNUSABLE
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _with_config_last(arguments: list[str]) -> list[str]:
    """The arguments with a ``--config`` before the command put behind it, where it is an option of the command."""
    first, equals, _ = arguments[0].partition("=") if arguments else ("", "", "")
    own = 1 if equals else 2
    if first != _CONFIG or len(arguments) <= own:
        return arguments
    return [*arguments[own:], *arguments[:own]]


def told(error: DoorwardError) -> str:
    """One message, with the remedy."""
    if isinstance(error, WeakPassword):
        return f"{error.public} {error.detail}"
    return error.detail or error.public


def make_app(*, is_hosted: bool = False) -> typer.Typer:
    """The tree of commands; for an application that runs them, those that work on its deployment."""
    app = typer.Typer(
        cls=Group,
        help=_HELP_HOSTED if is_hosted else _HELP,
        epilog=_EXIT_CODES,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    if not is_hosted:
        app.command()(serve.serve)
    app.command()(migrate.migrate)
    app.add_typer(accounts.app, name="accounts")
    app.add_typer(sessions.app, name="sessions")
    app.add_typer(keys.app, name="keys")
    app.add_typer(verifiers.app, name="verifiers")
    app.command()(audit.audit)
    app.command()(cleanup.cleanup)
    app.command()(version.version)
    if not is_hosted:
        app.add_typer(token.app, name="token")
        app.add_typer(config.app, name="config")
        app.command()(copy.copy)
        app.command()(doctor.doctor)
        app.command()(openapi.openapi)
    return app
