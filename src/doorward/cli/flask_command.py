"""``flask doorward ...``: the commands that work on an app's own deployment (entry point ``flask.commands``).

Flask loads this for every command line in an environment that has Doorward, so it imports nothing but Flask.
"""

from __future__ import annotations

import sys

import click
from flask import current_app
from flask.cli import with_appcontext

_NO_TYPER = "The commands need typer and rich: pip install 'doorward[flask]'"


@click.command(
    "doorward",
    short_help="Doorward: accounts, sessions, audit, keys, verifiers, migrate, cleanup.",
    # Everything after it is for the command behind it, --help included.
    context_settings={"ignore_unknown_options": True},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@with_appcontext
def command(arguments: tuple[str, ...]) -> None:
    try:
        from doorward.cli.app import run
    except ImportError:
        raise click.ClickException(_NO_TYPER) from None
    from doorward.web.flask import doorward_of

    sys.exit(run(arguments, auth=doorward_of(current_app), name="flask doorward"))
